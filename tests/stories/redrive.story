# A dead task begins anew: failures are counted anew, attempts and epochs go on.
submit t1 type=email attempts_max=1
worker w1 type=email slots=1
fail t1 epoch=1 code=smtp_down
redrive t1
fail t1 epoch=2 code=smtp_down
show t1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 dead reason=smtp_down
t1 queued redrives=1
t1 running worker=w1 attempt=2 epoch=2 until=30s
t1 dead reason=smtp_down
t1 dead attempts=2 failures=1 crashes=0

# With another payload; only while it is dead.
edit t1 payload=[2]
redrive t1
edit t1 payload=[3]
redrive t1
complete t1 epoch=3 result=1
redrive t1
----
t1 dead payload=[2]
t1 queued redrives=2
t1 running worker=w1 attempt=3 epoch=3 until=30s
error task_not_dead (it is running)
error task_not_dead (it is running)
t1 succeeded result=1
error task_not_dead (it is succeeded)

# One that expired before it began has its whole time again.
submit t2 type=call queue_timeout=10s
advance 11s
redrive t2
advance 9s
show t2
advance 2s
----
t2 queued
t2 expired reason=expired
t2 queued redrives=1
t2 queued attempts=0 failures=0 crashes=0
  waits: no worker of type 'call' is registered
t2 expired reason=expired

# A worker that has not stopped yet stands in the way.
submit t3 type=email total_timeout=5s
advance 6s
redrive t3
confirm t3 epoch=1
redrive t3
----
t3 queued
t3 running worker=w1 attempt=1 epoch=1 until=52s
t3 expired reason=deadline_exceeded
  tell w1 to stop t3
error task_not_dead (its worker has not stopped yet)
t3 slot free
t3 queued redrives=1
t3 running worker=w1 attempt=2 epoch=2 until=58s

# Its idempotency key is its own again, unless another task took it.
worker w2 type=keyed slots=1
submit t4 type=keyed once=order-7 attempts_max=1
fail t4 epoch=1 code=smtp_down
advance 25h
submit t5 type=keyed once=order-7
redrive t4
submit t6 type=keyed once=order-7
complete t5 epoch=1 result=1
complete t4 epoch=2 result=1
----
t4 queued
t4 running worker=w2 attempt=1 epoch=1 until=58s
t4 dead reason=smtp_down
t3 expired reason=deadline_exceeded
  tell w1 to stop t3
t3 slot free
t5 queued
t5 running worker=w2 attempt=1 epoch=1 until=1d1h58s
t4 queued redrives=1
it is t5
t5 succeeded result=1
t4 running worker=w2 attempt=2 epoch=2 until=1d1h58s
t4 succeeded result=1

# Nobody did: said again under the key it is the redriven task.
submit t7 type=keyed once=order-8 attempts_max=1
fail t7 epoch=1 code=smtp_down
advance 25h
redrive t7
submit t8 type=keyed once=order-8 attempts_max=1
----
t7 queued
t7 running worker=w2 attempt=1 epoch=1 until=1d1h58s
t7 dead reason=smtp_down
t7 queued redrives=1 with its key
t7 running worker=w2 attempt=2 epoch=2 until=2d2h58s
it is t7

# A task that is not there.
redrive t99
----
error task_not_found (018bdaa0-6a60-7438-8d25-ce7129ab0a7c)
