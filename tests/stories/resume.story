# After a restart every live lease runs for a whole lease from now.
worker w1 type=email slots=1
submit t1 type=email backoff=5s
advance 29s
resume
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
resumed leases_until=59s

advance 29s
----

advance 1s
----
t1 scheduled reason=lease_expired due=1m4s800ms

# A renewed lease lasts as long as its worker says so.
submit t2 type=email
advance 6s
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=1m29s
t1 queued

advance 29s
renew t1 worker=w1 epoch=2
advance 29s
----
t2 scheduled reason=lease_expired due=1m30s107ms
t1 running worker=w1 attempt=2 epoch=2 until=1m59s
t2 queued
t1 renewed until=2m4s

renew t1 worker=other epoch=2
renew t1 worker=w1 epoch=1
advance 2s
----
t1 scheduled reason=lease_expired due=2m15s17ms
t2 running worker=w1 attempt=2 epoch=2 until=2m34s
