# Crashes are counted apart from failures and have a limit of their own.
worker w1 type=email slots=1
submit t1 type=email attempts_max=1 crashes_max=2 backoff=1s
advance 32s
show t1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 scheduled reason=lease_expired due=31s154ms
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=1m1s154ms
t1 running failures=0 crashes=1

advance 30s
show t1
----
t1 dead reason=lease_expired
t1 dead failures=0 crashes=2
