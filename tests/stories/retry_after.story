# A worker may say when trying again makes sense; the longer of that and the backoff counts.
submit t1 type=bill attempts_max=4 backoff=10s
----
t1 queued

worker w1 type=bill slots=1
----
t1 running worker=w1 attempt=1 epoch=1 until=30s

fail t1 epoch=1 code=http_429 after=60s
----
t1 scheduled reason=http_429 due=1m

advance 59s
----

advance 1s
----
t1 queued
t1 running worker=w1 attempt=2 epoch=2 until=1m30s

fail t1 epoch=2 code=http_503 after=1s
----
t1 scheduled reason=http_503 due=1m21s697ms

advance 19s
----

advance 10s
----
t1 queued
t1 running worker=w1 attempt=3 epoch=3 until=1m51s697ms

fail t1 epoch=3 code=http_400 after=60s permanent=yes
----
t1 dead reason=http_400
