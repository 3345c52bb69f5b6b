# No more leases at a time than the queue may have, whatever the workers could take.
worker w1 type=email slots=9
queue email concurrency=2
submit t1 type=email
submit t2 type=email
submit t3 type=email
explain t3
----
queue email changed
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t3 queued
t3 queue_limit: 2 of 2 are leased: 018bcfe5-6800-77d0-a8a8-0d69281a8ad5 and 1 more
  until one of them ends
  queued 0s

# A cancelled task's lease counts until its worker lets go.
cancel t1
----
t1 cancelled
  tell w1 to stop t1

confirm t1 epoch=1
----
t1 slot free
t3 running worker=w1 attempt=1 epoch=1 until=30s

# A limit set lower leaves what runs; set higher, the next goes on at once.
queue email concurrency=1
submit t4 type=email
complete t2 epoch=1 result=1
explain t4
queue email
----
queue email changed
t4 queued
t2 succeeded result=1
t4 queue_limit: 1 of 1 are leased: 018bcfe5-6800-7420-a8c6-4782a7afd0f0
  until one of them ends
  queued 0s
queue email changed
t4 running worker=w1 attempt=1 epoch=1 until=30s

# No more leases of one key; others go by.
queue call key_concurrency=1
worker w2 type=call slots=9
submit a1 type=call key=acme
submit a2 type=call key=acme
submit b1 type=call key=bolt
submit c1 type=call
submit c2 type=call
explain a2
complete a1 epoch=1 result=1
----
queue call changed
a1 queued
a1 running worker=w2 attempt=1 epoch=1 until=30s
a2 queued
b1 queued
b1 running worker=w2 attempt=1 epoch=1 until=30s
c1 queued
c1 running worker=w2 attempt=1 epoch=1 until=30s
c2 queued
c2 running worker=w2 attempt=1 epoch=1 until=30s
a2 key_limit: 1 of 1 of key 'acme' are leased: 018bcfe5-6800-7a7b-89c9-9755e39b325f
  until one of them ends
  queued 0s
a1 succeeded result=1
a2 running worker=w2 attempt=1 epoch=1 until=30s

# No more of one key may wait than its backlog allows; a repeated submit is no new one.
queue slow key_backlog_max=2
submit s1 type=slow key=acme
submit s2 type=slow key=acme delay=1h
submit s3 type=slow key=acme
submit s1 type=slow key=acme
submit s4 type=slow key=bolt
submit s5 type=slow
cancel s1
submit s3 type=slow key=acme
----
queue slow changed
s1 queued
s2 scheduled
error key_backlog_full (2 of key 'acme')
s4 queued
s5 queued
s1 cancelled
s3 queued
