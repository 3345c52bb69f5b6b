# A worker of several types has its slots for all of them together.
worker w1 type=email,sms slots=2
submit t1 type=sms
submit t2 type=email
submit t3 type=email
show t3
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t3 queued
t3 queued failures=0 crashes=0
  waits: all workers of type 'email' are busy, 1 tasks are queued

# What it ends makes room for either type.
complete t1 epoch=1 result=1
----
t1 succeeded result=1
t3 running worker=w1 attempt=1 epoch=1 until=30s

# Taking one type less, it gets no more of that.
worker w1 type=sms slots=2
submit t4 type=sms
complete t2 epoch=1 result=1
submit t5 type=email
show t5
----
t4 queued
t2 succeeded result=1
t4 running worker=w1 attempt=1 epoch=1 until=30s
t5 queued
t5 queued failures=0 crashes=0
  waits: no worker of type 'email' is registered

# Types that share a worker take turns, however long the line of one of them is.
worker w1 type=sms,fax slots=1
complete t3 epoch=1 result=1
complete t4 epoch=1 result=1
submit t6 type=fax
submit t7 type=fax
submit t8 type=fax
submit t9 type=sms
complete t6 epoch=1 result=1
complete t9 epoch=1 result=1
----
t3 succeeded result=1
t4 succeeded result=1
t6 queued
t6 running worker=w1 attempt=1 epoch=1 until=30s
t7 queued
t8 queued
t9 queued
t6 succeeded result=1
t9 running worker=w1 attempt=1 epoch=1 until=30s
t9 succeeded result=1
t7 running worker=w1 attempt=1 epoch=1 until=30s
