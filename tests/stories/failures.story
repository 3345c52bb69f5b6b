# A failed attempt is tried again after a growing wait, until the attempts are spent.
worker w1 type=email slots=1
submit t1 type=email attempts_max=3 backoff=10s
fail t1 epoch=1 code=smtp_down
show t1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 scheduled reason=smtp_down due=10s990ms
t1 scheduled failures=1 crashes=0
  waits: attempt 1 failed with smtp_down; it is tried again at 2023-11-14T22:13:30.990174Z

# Saying it twice counts once.
fail t1 epoch=1 code=smtp_down
show t1
----
t1 scheduled failures=1 crashes=0
  waits: attempt 1 failed with smtp_down; it is tried again at 2023-11-14T22:13:30.990174Z

advance 13s
fail t1 epoch=2 code=smtp_down
----
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=40s990ms
t1 scheduled reason=smtp_down due=34s697ms

advance 30s
fail t1 epoch=3 code=smtp_down
show t1
----
t1 queued
t1 running worker=w1 attempt=3 epoch=3 until=1m4s697ms
t1 dead reason=smtp_down
t1 dead failures=3 crashes=0

# A permanent error is not tried again.
submit t2 type=email attempts_max=3
fail t2 epoch=1 code=bad_payload permanent=yes
show t2
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=1m13s
t2 dead reason=bad_payload
t2 dead failures=1 crashes=0
