# A result that comes after the lease ran out counts while nobody else got the task.
worker w1 type=email slots=1
submit t1 type=email backoff=10s
worker-gone w1
advance 31s
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 scheduled reason=lease_expired due=40s990ms

complete t1 epoch=1 result="done-after-all"
show t1
----
t1 succeeded result="done-after-all"
t1 succeeded failures=0 crashes=1

# The same when the task is queued again but no worker took it.
worker w1 type=email slots=1
submit t2 type=email backoff=1s
worker-gone w1
advance 60s
show t2
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=1m1s
t2 scheduled reason=lease_expired due=1m2s107ms
t2 queued
t2 queued failures=0 crashes=1
  waits: no worker of type 'email' is registered

complete t2 epoch=1 result=2
----
t2 succeeded result=2
