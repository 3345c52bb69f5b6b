# An operation acts on what it found, and leaves alone what has become something else.
worker w1 type=email slots=1
submit t1 type=email
submit t2 type=email
submit t3 type=email
start o1 action=cancel q=type:email
step o1 on=t1,t2
step o1 on=t3 as=1
step o1 on=t2,t3 last=yes
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t3 queued
o1 cancel running changed=0 passed_over=0
t1 cancelled
t2 cancelled
o1 cancel running changed=2 passed_over=0
  tell w1 to stop t1
o1 cancel running changed=2 passed_over=1
t3 cancelled
o1 cancel running changed=3 passed_over=2
o1 cancel done changed=3 passed_over=2

# What it meant to say again is no second one; with other content it is refused.
start o1 action=cancel q=type:email
start o1 action=delete q=type:email
----
error id_conflict (018bcfe5-6800-70c4-8889-d1fda9a5911e)

# Redriven are those that are dead and whose worker has stopped; t1 was cancelled.
confirm t1 epoch=1
submit t4 type=email attempts_max=1
fail t4 epoch=1 code=bad
start o2 action=redrive q=type:email
step o2 on=t4,t1 last=yes
----
t1 slot free
t4 queued
t4 running worker=w1 attempt=1 epoch=1 until=30s
t4 dead reason=bad
o2 redrive running changed=0 passed_over=0
t4 queued redrives=1
o2 redrive running changed=1 passed_over=1
o2 redrive done changed=1 passed_over=1
t4 running worker=w1 attempt=2 epoch=2 until=30s

# Deleted are those that have ended; t4 runs again.
start o3 action=delete q=type:*
step o3 on=t1,t2,t4
stop o3
step o3 on=t3
stop o3
submit t1 type=email
----
o3 delete running changed=0 passed_over=0
t1 deleted
t2 deleted
o3 delete running changed=2 passed_over=1
o3 delete stopped changed=2 passed_over=1
t1 queued

# An operation that is not there.
stop o9
step o9 on=t1
----
error operation_not_found (018bcfe5-6800-7975-b3cf-caec75ffc566)
error operation_not_found (018bcfe5-6800-7975-b3cf-caec75ffc566)
