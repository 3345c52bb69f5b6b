# Cancelling a task that waits ends it at once.
submit t1 type=email
cancel t1 reason=changed-my-mind
cancel t1
show t1
----
t1 queued
t1 cancelled
t1 cancelled failures=0 crashes=0

# A running one is cancelled at once too; its slot stays taken until the worker confirms.
worker w1 type=email slots=1
submit t2 type=email
submit t3 type=email
cancel t2
show t3
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t3 queued
t2 cancelled
  tell w1 to stop t2
t3 queued failures=0 crashes=0
  waits: all workers of type 'email' are busy, 1 tasks are queued

renew t2 worker=w1 epoch=1
----
  tell w1 to stop t2

confirm t2 epoch=1
----
t2 slot free
t3 running worker=w1 attempt=1 epoch=1 until=30s

# Or until the lease runs out.
submit t4 type=email
cancel t3
advance 29s
----
t4 queued
t3 cancelled
  tell w1 to stop t3

advance 1s
----
t3 slot free
t4 running worker=w1 attempt=1 epoch=1 until=1m

# A result of a cancelled task does not count, but it frees the slot.
cancel t4
complete t4 epoch=1 result="too-late"
show t4
cancel t4
----
t4 cancelled
  tell w1 to stop t4
t4 slot free
t4 cancelled failures=0 crashes=0

# What has ended otherwise cannot be cancelled.
submit t5 type=email
complete t5 epoch=1 result=5
cancel t5
----
t5 queued
t5 running worker=w1 attempt=1 epoch=1 until=1m
t5 succeeded result=5
error task_finished (it is succeeded)
