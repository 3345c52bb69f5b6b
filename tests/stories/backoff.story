# The same wait every time.
worker w1 type=email slots=1
submit t1 type=email kind=fixed backoff=10s jitter=0
fail t1 epoch=1 code=smtp_down
advance 10s
fail t1 epoch=2 code=smtp_down
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 scheduled reason=smtp_down due=10s
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=40s
t1 scheduled reason=smtp_down due=20s

# A wait that grows by as much each time, up to the most.
cancel t1
submit t2 type=email kind=linear backoff=10s backoff_max=25s jitter=0
fail t2 epoch=1 code=smtp_down
advance 10s
fail t2 epoch=2 code=smtp_down
advance 20s
fail t2 epoch=3 code=smtp_down
----
t1 cancelled
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=40s
t2 scheduled reason=smtp_down due=20s
t2 queued
t2 running worker=w1 attempt=2 epoch=2 until=50s
t2 scheduled reason=smtp_down due=40s
t2 queued
t2 running worker=w1 attempt=3 epoch=3 until=1m10s
t2 scheduled reason=smtp_down due=1m5s

# One that doubles.
cancel t2
submit t3 type=email kind=exponential backoff=10s backoff_max=35s jitter=0
fail t3 epoch=1 code=smtp_down
advance 10s
fail t3 epoch=2 code=smtp_down
advance 20s
fail t3 epoch=3 code=smtp_down
----
t2 cancelled
t3 queued
t3 running worker=w1 attempt=1 epoch=1 until=1m10s
t3 scheduled reason=smtp_down due=50s
t3 queued
t3 running worker=w1 attempt=2 epoch=2 until=1m20s
t3 scheduled reason=smtp_down due=1m10s
t3 queued
t3 running worker=w1 attempt=3 epoch=3 until=1m40s
t3 scheduled reason=smtp_down due=1m45s

# Up to twice as long by chance.
cancel t3
submit t4 type=email kind=fixed backoff=10s jitter=100
fail t4 epoch=1 code=smtp_down
----
t3 cancelled
t4 queued
t4 running worker=w1 attempt=1 epoch=1 until=1m40s
t4 scheduled reason=smtp_down due=1m23s856ms

# Codes that are not tried again end it at once; a crash is one of them.
cancel t4
submit t5 type=email no_retry=bad_address
fail t5 epoch=1 code=bad_address
submit t6 type=email no_retry=crashed
advance 30s
show t6
----
t4 cancelled
t5 queued
t5 running worker=w1 attempt=1 epoch=1 until=1m40s
t5 dead reason=bad_address
t6 queued
t6 running worker=w1 attempt=1 epoch=1 until=1m40s
t6 dead reason=lease_expired
t6 dead failures=0 crashes=1
