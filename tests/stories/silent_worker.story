# A silent worker loses its lease, and its late answer is refused once another got the task.
worker w1 type=email slots=1
submit t1 type=email backoff=10s
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s

worker-gone w1
advance 30s
----
t1 scheduled reason=lease_expired due=40s990ms

worker w2 type=email slots=1
advance 13s
----
t1 queued
t1 running worker=w2 attempt=2 epoch=2 until=1m10s990ms

complete t1 epoch=1 result="late"
----
error stale_lease (held by w2 with epoch 2)

complete t1 epoch=2 result="sent"
complete t1 epoch=2 result="sent"
complete t1 epoch=1 result="late"
show t1
----
t1 succeeded result="sent"
error stale_lease (epoch 1, task is succeeded)
t1 succeeded failures=0 crashes=1
