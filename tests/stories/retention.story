# What has ended goes, what has not stays, and nobody is told twice.
worker w1 type=email slots=2
submit t1 type=email
submit t2 type=email
submit t3 type=email
complete t1 epoch=1 result=1
drop on=t1,t2,t3
drop on=t1
----
t1 queued
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t3 queued
t1 succeeded result=1
t3 running worker=w1 attempt=1 epoch=1 until=30s
t1 deleted

# One that has become something else since it was found stays: t2 died and was redriven.
fail t2 epoch=1 code=bad permanent=yes
show t2
redrive t2
drop on=t2 as=11
show t2
----
t2 dead reason=bad
t2 dead failures=1 crashes=0
t2 queued redrives=1
t2 running worker=w1 attempt=2 epoch=2 until=30s
t2 running attempts=2 failures=0 crashes=0

# A worker that has not stopped keeps its task.
cancel t2
drop on=t2
confirm t2 epoch=2
drop on=t2
----
t2 cancelled
  tell w1 to stop t2
t2 slot free
t2 deleted

# What is gone may be said again, and goes again.
submit t2 type=email
complete t2 epoch=1 result=2
drop on=t2
----
t2 queued
t2 running worker=w1 attempt=1 epoch=1 until=30s
t2 succeeded result=2
t2 deleted
