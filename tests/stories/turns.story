# Keys take turns: who sends much does not hold up who sends little.
queue email concurrency=1
worker w1 type=email slots=1
submit n1 type=email key=noisy
submit n2 type=email key=noisy
submit n3 type=email key=noisy
submit n4 type=email key=noisy
submit q1 type=email key=quiet
complete n1 epoch=1 result=1
complete q1 epoch=1 result=1
complete n2 epoch=1 result=1
----
queue email changed
n1 queued
n1 running worker=w1 attempt=1 epoch=1 until=30s
n2 queued
n3 queued
n4 queued
q1 queued
n1 succeeded result=1
q1 running worker=w1 attempt=1 epoch=1 until=30s
q1 succeeded result=1
n2 running worker=w1 attempt=1 epoch=1 until=30s
n2 succeeded result=1
n3 running worker=w1 attempt=1 epoch=1 until=30s

# A key that counts more has more turns.
cancel n3
confirm n3 epoch=1
complete n4 epoch=1 result=1
queue email concurrency=1 gold=2
submit x0 type=email
submit g1 type=email key=gold
submit g2 type=email key=gold
submit g3 type=email key=gold
submit g4 type=email key=gold
submit p1 type=email key=plain
submit p2 type=email key=plain
complete x0 epoch=1 result=1
complete g1 epoch=1 result=1
complete p1 epoch=1 result=1
complete g2 epoch=1 result=1
complete g3 epoch=1 result=1
complete p2 epoch=1 result=1
complete g4 epoch=1 result=1
----
n3 cancelled
  tell w1 to stop n3
n3 slot free
n4 running worker=w1 attempt=1 epoch=1 until=30s
n4 succeeded result=1
queue email changed
x0 queued
x0 running worker=w1 attempt=1 epoch=1 until=30s
g1 queued
g2 queued
g3 queued
g4 queued
p1 queued
p2 queued
x0 succeeded result=1
g1 running worker=w1 attempt=1 epoch=1 until=30s
g1 succeeded result=1
p1 running worker=w1 attempt=1 epoch=1 until=30s
p1 succeeded result=1
g2 running worker=w1 attempt=1 epoch=1 until=30s
g2 succeeded result=1
g3 running worker=w1 attempt=1 epoch=1 until=30s
g3 succeeded result=1
p2 running worker=w1 attempt=1 epoch=1 until=30s
p2 succeeded result=1
g4 running worker=w1 attempt=1 epoch=1 until=30s
g4 succeeded result=1

# Priority goes before turns, and it can be changed while a task waits.
submit y0 type=email
submit y1 type=email
submit y2 type=email
submit y3 type=email
priority y3 to=9
priority y1 to=0
priority y1 to=0
complete y0 epoch=1 result=1
complete y3 epoch=1 result=1
complete y2 epoch=1 result=1
priority y1 to=3
complete y1 epoch=1 result=1
priority y1 to=3
----
y0 queued
y0 running worker=w1 attempt=1 epoch=1 until=30s
y1 queued
y2 queued
y3 queued
y3 priority 9
y1 priority 0
y0 succeeded result=1
y3 running worker=w1 attempt=1 epoch=1 until=30s
y3 succeeded result=1
y2 running worker=w1 attempt=1 epoch=1 until=30s
y2 succeeded result=1
y1 running worker=w1 attempt=1 epoch=1 until=30s
y1 priority 3
y1 succeeded result=1
error task_finished (it is succeeded)
