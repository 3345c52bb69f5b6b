# A paused worker gets nothing and keeps what it has; others go on.
worker w1 type=email slots=2
worker w2 type=email slots=1
submit t1 type=email
hold-worker w1
submit t2 type=email
submit t3 type=email
explain t3
complete t1 epoch=1 result=1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
w1 paused
t2 queued
t2 running worker=w2 attempt=1 epoch=1 until=30s
t3 queued
t3 workers_full: all workers of type 'email' are busy, 1 tasks are queued
  until one of 2 workers ends a task, or one more comes
  queued 0s
t1 succeeded result=1

# When all are held that is why; a second pause changes nothing.
drain-worker w2
hold-worker w1
complete t2 epoch=1 result=1
explain t3
free-worker w1
----
w2 draining
t2 succeeded result=1
t3 workers_paused: all workers of type 'email' are paused, w1 since 2023-11-14T22:13:20.000000Z
  until one of them is resumed, or one more comes
  queued 0s
w1 takes tasks
t3 running worker=w1 attempt=1 epoch=1 until=30s

# It holds one that is away, and one that comes again.
hold-worker w3
worker w3 type=call slots=1
submit t4 type=call
worker-gone w3
worker w3 type=call slots=2
explain t4
free-worker w3
free-worker w3
----
w3 paused
t4 queued
t4 workers_paused: all workers of type 'call' are paused, w3 since 2023-11-14T22:13:20.000000Z
  until one of them is resumed, or one more comes
  queued 0s
w3 takes tasks
t4 running worker=w3 attempt=1 epoch=1 until=30s

# By the name that stays when it is started anew, and by the whole one.
worker sum-1-5f1c0d9a type=sum slots=1
hold-worker sum-1
submit t5 type=sum
worker-gone sum-1-5f1c0d9a
worker sum-1-00000000 type=sum slots=1
worker sum-10 type=sum slots=1
free-worker sum-1
hold-worker sum-1-00000000
submit t6 type=sum
free-worker sum-1-00000000
----
sum-1 paused
t5 queued
t5 running worker=sum-10 attempt=1 epoch=1 until=30s
sum-1 takes tasks
sum-1-00000000 paused
t6 queued
sum-1-00000000 takes tasks
t6 running worker=sum-1-00000000 attempt=1 epoch=1 until=30s
