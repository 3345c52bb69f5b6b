# A worker that asks for tasks takes no more than it asked for, however much it has ended since.
worker w1 type=email slots=10 credit=2
submit t1 type=email
submit t2 type=email
submit t3 type=email
complete t1 epoch=1 result=1
show t3
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t3 queued
t1 succeeded result=1
t3 queued failures=0 crashes=0
  waits: all workers of type 'email' are busy, 1 tasks are queued

worker w1 type=email slots=10 credit=1
----
t3 running worker=w1 attempt=1 epoch=1 until=30s
