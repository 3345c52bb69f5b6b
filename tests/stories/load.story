# Tasks go to the worker that holds the fewest; a worker that is full gets none.
worker w1 type=email slots=2
worker w2 type=email slots=1
submit t1 type=email
submit t2 type=email
submit t3 type=email
submit t4 type=email
show t4
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 running worker=w2 attempt=1 epoch=1 until=30s
t3 queued
t3 running worker=w1 attempt=1 epoch=1 until=30s
t4 queued
t4 queued failures=0 crashes=0
  waits: all workers of type 'email' are busy, 1 tasks are queued

complete t2 epoch=1 result=2
----
t2 succeeded result=2
t4 running worker=w2 attempt=1 epoch=1 until=30s

# A type without a worker waits and says so.
submit other type=fax
show other
----
other queued
other queued failures=0 crashes=0
  waits: no worker of type 'fax' is registered

worker w3 type=fax slots=1
----
other running worker=w3 attempt=1 epoch=1 until=30s
