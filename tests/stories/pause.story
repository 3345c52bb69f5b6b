# Nothing more is leased from a paused queue; who paused it and why is kept.
worker w1 type=email slots=2
submit t1 type=email
pause email by=ann reason=smtp-down
pause email by=bob
submit t2 type=email
explain t2
complete t1 epoch=1 result=1
unpause email
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
queue email changed
t2 queued
t2 queue_paused: queue 'email' is paused since 2023-11-14T22:13:20.000000Z by ann: smtp-down
  until it is resumed
  queued 0s
t1 succeeded result=1
queue email changed
t2 running worker=w1 attempt=1 epoch=1 until=30s

# One key alone.
pause email key=acme by=ann reason=unpaid
submit t3 type=email key=acme
submit t4 type=email
explain t3
unpause email
unpause email key=acme
complete t2 epoch=1 result=1
----
queue email changed
t3 queued
t4 queued
t4 running worker=w1 attempt=1 epoch=1 until=30s
t3 key_paused: key 'acme' is paused since 2023-11-14T22:13:20.000000Z by ann: unpaid
  until it is resumed
  queued 0s
queue email changed
t2 succeeded result=1
t3 running worker=w1 attempt=1 epoch=1 until=30s

# A queue that is drained takes nothing new and runs what it has.
drain email by=ann reason=moving
submit t5 type=email
submit t3 type=email key=acme
unpause email
submit t5 type=email
----
queue email changed
error queue_draining (email)
queue email changed
t5 queued
