# Higher priority first, then first come first served; a released task goes to the end.
submit low type=email priority=1
submit first type=email
submit second type=email
submit urgent type=email priority=9
show low
----
low queued
first queued
second queued
urgent queued
low queued failures=0 crashes=0
  waits: no worker of type 'email' is registered

worker w1 type=email slots=2
----
urgent running worker=w1 attempt=1 epoch=1 until=30s
first running worker=w1 attempt=1 epoch=1 until=30s

release urgent epoch=1
release urgent epoch=1
complete first epoch=1 result=1
----
urgent queued
urgent running worker=w1 attempt=2 epoch=2 until=30s
error stale_lease (held by w1 with epoch 2)
first succeeded result=1
second running worker=w1 attempt=1 epoch=1 until=30s

complete urgent epoch=2 result=1
complete second epoch=1 result=1
----
urgent succeeded result=1
low running worker=w1 attempt=1 epoch=1 until=30s
second succeeded result=1
