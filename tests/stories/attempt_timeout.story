# An attempt that takes too long fails: its worker is told to stop and holds its slot until it has.
worker w1 type=email slots=1
submit t1 type=email timeout=10s attempts_max=2 backoff=1s jitter=0
advance 10s
explain t1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 running reason=attempt_timeout
  tell w1 to stop t1
t1 stopping: worker w1 has been told to stop
  until the worker confirms, or its lease runs out at 2023-11-14T22:13:50.000000Z
  queued 0s
  between_attempts 0s
  dispatched 0s
  running 10s

confirm t1 epoch=1
show t1
advance 1s
----
t1 scheduled reason=slot free due=11s
t1 scheduled failures=1 crashes=0
  waits: attempt 1 failed with attempt_timeout; it is tried again at 2023-11-14T22:13:31.000000Z
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=41s

# A deaf worker does not hold it for ever: its lease is not made longer.
advance 5s
renew t1 worker=w1 epoch=2
advance 5s
renew t1 worker=w1 epoch=2
advance 30s
show t1
----
t1 renewed until=46s
t1 running reason=attempt_timeout
  tell w1 to stop t1
  tell w1 to stop t1
t1 dead reason=slot free
t1 dead failures=2 crashes=0

# A result that comes before the next attempt began counts, late as it is.
submit t2 type=email timeout=10s
advance 10s
complete t2 epoch=1 result=7 took=9s
explain t2
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=1m21s
t2 running reason=attempt_timeout
  tell w1 to stop t2
t2 succeeded result=7
t2 ended: it is succeeded
  queued 0s
  between_attempts 0s
  dispatched 1s
  running 9s

# Its failure does not count twice.
submit t3 type=email timeout=10s backoff=1s jitter=0
advance 10s
fail t3 epoch=1 code=smtp_down
show t3
----
t3 queued
t3 running worker=w1 attempt=1 epoch=1 until=1m31s
t3 running reason=attempt_timeout
  tell w1 to stop t3
t3 scheduled reason=slot free due=1m12s
t3 scheduled failures=1 crashes=0
  waits: attempt 1 failed with attempt_timeout; it is tried again at 2023-11-14T22:14:32.000000Z

# The timeout can be an error that is not tried again.
submit t4 type=email timeout=10s no_retry=attempt_timeout
advance 10s
confirm t4 epoch=1
show t4
----
t4 queued
t4 running worker=w1 attempt=1 epoch=1 until=1m41s
t3 queued
t4 running reason=attempt_timeout
  tell w1 to stop t4
t4 dead reason=slot free
t3 running worker=w1 attempt=2 epoch=2 until=1m51s
t4 dead failures=1 crashes=0

# Cancelled while it is being stopped.
advance 1m
cancel t3
submit t5 type=email timeout=10s
advance 10s
cancel t5
confirm t5 epoch=1
show t5
----
t3 running reason=attempt_timeout
  tell w1 to stop t3
t3 scheduled reason=slot free due=1m53s
t3 queued
t3 running worker=w1 attempt=3 epoch=3 until=2m23s
t3 running reason=attempt_timeout
  tell w1 to stop t3
t3 cancelled
  tell w1 to stop t3
t5 queued
t3 slot free
t5 running worker=w1 attempt=1 epoch=1 until=2m53s
t5 cancelled
  tell w1 to stop t5
t5 slot free
t5 cancelled failures=0 crashes=0
