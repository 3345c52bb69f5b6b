# What a worker says of its task renews the lease, and is gone with the attempt.
worker w1 type=email slots=1
submit t1 type=email
advance 20s
report t1 epoch=1 percent=40
show t1
advance 20s
report t1 epoch=1 percent=80
show t1
fail t1 epoch=1 code=bad
show t1
report t1 epoch=1 percent=90
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 renewed until=50s
t1 running progress=40% failures=0 crashes=0
t1 renewed until=1m10s
t1 running progress=80% failures=0 crashes=0
t1 scheduled reason=bad due=41s154ms
t1 scheduled failures=1 crashes=0
  waits: attempt 1 failed with bad; it is tried again at 2023-11-14T22:14:01.154218Z
error stale_lease (epoch 1)

# An old lease says nothing; a cancelled one is told to stop.
advance 2s
report t1 epoch=1 percent=5
cancel t1
report t1 epoch=2 percent=10
show t1
----
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=1m11s154ms
error stale_lease (epoch 1)
t1 cancelled
  tell w1 to stop t1
  tell w1 to stop t1
t1 cancelled failures=1 crashes=0

# Nor does a task that is not there.
report t9 epoch=1 percent=5
----
error task_not_found (018bcfe6-0c10-75f2-9e00-af29182f3d68)
