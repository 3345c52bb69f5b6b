# The completion task is submitted with the end of the last member, and is told how they ended.
worker w1 type=email slots=2
group g1 tasks=t1,t2,t3 type=email attempts_max=1 then=report
complete t1 epoch=1 result=1
fail t2 epoch=1 code=smtp_down
cancel t3
----
g1 open tasks=0 succeeded=0 failed=0
t1 queued
t2 queued
t3 queued
g1 closed tasks=3 succeeded=0 failed=0
t1 running worker=w1 attempt=1 epoch=1 until=30s
t2 running worker=w1 attempt=1 epoch=1 until=30s
t1 succeeded result=1
t3 running worker=w1 attempt=1 epoch=1 until=30s
t2 dead reason=smtp_down
t3 cancelled
g1 done tasks=3 succeeded=1 failed=2
then-g1 queued {"group":"g1","tasks":3,"succeeded":1,"dead":1
  ,"cancelled":1,"expired":0,"failed":["t2","t3"],"payload":"done"}
  tell w1 to stop t3

# An open group takes tasks until it is closed; then it ends when they have.
confirm t3 epoch=1
group g2
submit t4 type=email in=g2
complete t4 epoch=1 result=1
submit t5 type=email in=g2
close g2
submit t6 type=email in=g2
complete t5 epoch=1 result=1
close g2
----
t3 slot free
g2 open tasks=0 succeeded=0 failed=0
t4 queued
t4 running worker=w1 attempt=1 epoch=1 until=30s
t4 succeeded result=1
t5 queued
t5 running worker=w1 attempt=1 epoch=1 until=30s
g2 closed tasks=2 succeeded=1 failed=0
error group_closed (it is closed)
t5 succeeded result=1
g2 done tasks=2 succeeded=2 failed=0

# Closed without a task it is done at once.
group g3 then=report
close g3
----
g3 open tasks=0 succeeded=0 failed=0
g3 closed tasks=0 succeeded=0 failed=0
g3 done tasks=0 succeeded=0 failed=0
then-g3 queued {"group":"g3","tasks":0,"succeeded":0,"dead":0
  ,"cancelled":0,"expired":0,"failed":[],"payload":"done"}

# A member that is redriven before the end counts again; after it no more.
group g4 tasks=t7,t8 type=email attempts_max=1 then=report
fail t7 epoch=1 code=smtp_down
redrive t7
complete t8 epoch=1 result=1
complete t7 epoch=2 result=1
redrive t2
----
g4 open tasks=0 succeeded=0 failed=0
t7 queued
t8 queued
g4 closed tasks=2 succeeded=0 failed=0
t7 running worker=w1 attempt=1 epoch=1 until=30s
t8 running worker=w1 attempt=1 epoch=1 until=30s
t7 dead reason=smtp_down
t7 queued redrives=1
t7 running worker=w1 attempt=2 epoch=2 until=30s
t8 succeeded result=1
t7 succeeded result=1
g4 done tasks=2 succeeded=2 failed=0
then-g4 queued {"group":"g4","tasks":2,"succeeded":2,"dead":0
  ,"cancelled":0,"expired":0,"failed":[],"payload":"done"}
t2 queued redrives=1
t2 running worker=w1 attempt=2 epoch=2 until=30s

# The whole group said again is the group that is there; another one of that id is refused.
group g4 tasks=t7,t8 type=email attempts_max=1 then=report
group g4 tasks=t7,t8 type=email attempts_max=1 then=other
group g4 tasks=t9 type=email then=report
----
error id_conflict (018bcfe5-6800-7e07-aba5-d0294765fd72)
error group_closed (it is done)

# A group that is not there.
submit t10 type=email in=g9
close g9
----
error group_not_found (018bcfe5-6800-7847-bec8-63d72863ea66)
error group_not_found (018bcfe5-6800-7847-bec8-63d72863ea66)
