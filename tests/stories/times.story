# A task put off waits for the wall clock, also when that is set.
worker w1 type=email slots=1
submit t1 type=email delay=1m
explain t1
advance 59s
----
t1 scheduled
t1 not_due: it was put off until 2023-11-14T22:14:20.000000Z
  until the time comes
  queued 0s

advance 1s
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=1m30s

submit t2 type=email run_in=1h
set-clock 2h
----
t2 scheduled
t2 queued

# A clock set forward expires nothing and times nothing out: the limits follow the engine's time.
complete t1 epoch=1 result=1
complete t2 epoch=1 result=2
submit t3 type=nobody queue_timeout=1h
set-clock 5h
show t3
----
t1 succeeded result=1
t2 running worker=w1 attempt=1 epoch=1 until=1m30s
t2 succeeded result=2
t3 queued
t3 queued failures=0 crashes=0
  waits: no worker of type 'nobody' is registered

# Not begun in time.
advance 1h
show t3
----
t3 expired reason=expired
t3 expired failures=0 crashes=0

# What was begun in time may wait again for as long as it likes, up to its whole time.
worker-gone w1
submit t4 type=email queue_timeout=1m total_timeout=10m backoff=2m backoff_max=2m jitter=0
worker w2 type=email slots=1
fail t4 epoch=1 code=smtp_down
show t4
advance 2m
----
t4 queued
t4 running worker=w2 attempt=1 epoch=1 until=1h1m30s
t4 scheduled reason=smtp_down due=1h3m
t4 scheduled failures=1 crashes=0
  waits: attempt 1 failed with smtp_down; it is tried again at 2023-11-15T06:16:20.000000Z
t4 queued
t4 running worker=w2 attempt=2 epoch=2 until=1h3m30s

fail t4 epoch=2 code=smtp_down
advance 2m
fail t4 epoch=3 code=smtp_down
advance 2m
fail t4 epoch=4 code=smtp_down
worker-gone w2
advance 2m
show t4
----
t4 scheduled reason=smtp_down due=1h5m
t4 queued
t4 running worker=w2 attempt=3 epoch=3 until=1h5m30s
t4 scheduled reason=smtp_down due=1h7m
t4 queued
t4 running worker=w2 attempt=4 epoch=4 until=1h7m30s
t4 scheduled reason=smtp_down due=1h9m
t4 queued
t4 queued failures=4 crashes=0
  waits: no worker of type 'email' is registered

# Its time is over before the next attempt comes.
advance 10m
show t4
explain t4
----
t4 expired reason=deadline_exceeded
t4 expired failures=4 crashes=0
t4 ended: it is expired
  queued 0s
  between_attempts 10m
  dispatched 0s
  running 0s

# A running task whose whole time is over is stopped; a late result does not count.
worker w3 type=email slots=1
submit t5 type=email total_timeout=10s
advance 10s
explain t5
complete t5 epoch=1 result=1
show t5
----
t5 queued
t5 running worker=w3 attempt=1 epoch=1 until=1h19m30s
t5 expired reason=deadline_exceeded
  tell w3 to stop t5
t5 stopping: worker w3 has been told to stop
  until the worker confirms, or its lease runs out at 2023-11-15T06:32:50.000000Z
  queued 0s
  between_attempts 0s
  dispatched 0s
  running 10s
t5 slot free
t5 expired failures=0 crashes=0

# A task put off may begin late: its limits count from when it may begin.
submit t6 type=email delay=2h queue_timeout=1m
advance 2h
----
t6 scheduled
t6 queued
t6 running worker=w3 attempt=1 epoch=1 until=3h19m40s
