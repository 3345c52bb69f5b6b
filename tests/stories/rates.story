# Two leases in ten seconds, evenly.
worker w1 type=email slots=9
queue email rate=2
submit t1 type=email
submit t2 type=email
explain t2
submit t3 type=email
advance 5s
----
queue email changed
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 queue_rate: queue 'email' leases no faster
  until the time comes at 2023-11-14T22:13:25.000000Z
  queued 0s
t3 queued
t2 running worker=w1 attempt=1 epoch=1 until=35s

advance 5s
----
t3 running worker=w1 attempt=1 epoch=1 until=40s

# After a while without, a burst at once; then evenly again.
queue email rate=2 burst=3
complete t1 epoch=1 result=1
complete t2 epoch=1 result=1
complete t3 epoch=1 result=1
advance 1h
submit u1 type=email
submit u2 type=email
submit u3 type=email
submit u4 type=email
advance 5s
----
queue email changed
t1 succeeded result=1
t2 succeeded result=1
t3 succeeded result=1
u1 queued
u1 running worker=w1 attempt=1 epoch=1 until=1h40s
u2 queued
u2 running worker=w1 attempt=1 epoch=1 until=1h40s
u3 queued
u3 running worker=w1 attempt=1 epoch=1 until=1h40s
u4 queued
u4 running worker=w1 attempt=1 epoch=1 until=1h45s

# Each key has a rate of its own.
queue call key_rate=1
worker w2 type=call slots=9
submit a1 type=call key=acme
submit a2 type=call key=acme
submit b1 type=call key=bolt
explain a2
advance 10s
----
queue call changed
a1 queued
a1 running worker=w2 attempt=1 epoch=1 until=1h45s
a2 queued
b1 queued
b1 running worker=w2 attempt=1 epoch=1 until=1h45s
a2 key_rate: key 'acme' is leased no faster
  until the time comes at 2023-11-14T23:13:45.000000Z
  queued 0s
a2 running worker=w2 attempt=1 epoch=1 until=1h55s

# A restart does not know what was used and begins with an empty bucket.
resume
submit u5 type=email
explain u5
advance 5s
----
resumed leases_until=1h55s
u5 queued
u5 queue_rate: queue 'email' leases no faster
  until the time comes at 2023-11-14T23:13:50.000000Z
  queued 0s
u5 running worker=w1 attempt=1 epoch=1 until=1h1m
