# Each time has its turn once; a worker takes what it submits.
worker w1 type=report slots=5
schedule nightly every=10s type=report
advance 10s
schedule-fire nightly at=10s
schedule-fire nightly at=10s
complete nightly@10s epoch=1 result=1
advance 10s
schedule-fire nightly at=10s,20s
----
schedule nightly set
nightly@10s queued
schedule nightly 10s submitted settled=10s
nightly@10s running worker=w1 attempt=1 epoch=1 until=40s
nightly@10s succeeded result=1
nightly@20s queued
schedule nightly 20s submitted settled=20s
nightly@20s running worker=w1 attempt=1 epoch=1 until=50s

# The task before has not ended: this time is left out.
advance 10s
schedule-fire nightly at=30s
schedule-run nightly
complete nightly@20s epoch=1 result=1
schedule-run nightly
complete nightly@30s epoch=1 result=1
worker-gone w1
----
schedule nightly 30s overlapped by nightly@20s settled=30s
error schedule_overlap (018bcfe5-b620-7168-bd2f-a8642377c16d)
nightly@20s succeeded result=1
nightly@30s queued
schedule nightly 30s submitted
nightly@30s running worker=w1 attempt=1 epoch=1 until=1m
nightly@30s succeeded result=1

# Times that passed unseen: the newest of them is made up for.
schedule other every=10s type=report
advance 5m
schedule-fire other at=40s,50s,60s older=3
----
schedule other set
other@1m queued
schedule other 1m submitted settled=1m missed=5

# All of them, one after the other.
schedule other every=10s type=report misfire=all overlap=allow
advance 2m
schedule-fire other at=340s,350s,460s
schedule-fire other at=340s,350s,460s
----
schedule other set
other@5m40s queued
schedule other 5m40s submitted settled=5m40s
other@5m50s queued
schedule other 5m50s submitted settled=5m50s

# None of them.
schedule third every=10s type=report misfire=skip
advance 2m
schedule-fire third at=460s,470s
schedule-fire third at=460s,470s
schedule-fire third at=480s,570s
----
schedule third set
schedule third settled=7m50s missed=2
third@9m30s queued
schedule third 9m30s submitted settled=9m30s missed=1

# The task before is cancelled.
schedule third every=10s type=report overlap=replace
advance 10s
schedule-fire third at=580s
----
schedule third set
third@9m30s cancelled
third@9m40s queued
schedule third 9m40s submitted settled=9m40s

# The queue takes nothing: the time is settled all the same.
drain report by=ann
advance 10s
schedule-fire third at=590s
schedule-run third
unpause report
----
queue report changed
schedule third 9m50s refused queue_draining settled=9m50s
error queue_draining (report)
queue report changed

# While it is paused nothing has its turn, and what passed meanwhile never has; what is still to
# come waits.
schedule-pause third by=ann
advance 10s
schedule-fire third at=600s
schedule-resume third
schedule-fire third at=600s
schedule-fire third at=610s
----
schedule third paused
schedule third set

# Made up for because somebody asks: what was submitted before is there.
schedule-backfill third at=580s
schedule-backfill third at=600s
schedule-backfill third at=600s
----
third@10m queued
schedule third 10m submitted

# It goes, its tasks stay.
schedule-remove third
schedule-remove third
schedule-fire third at=640s
explain third@10m
----
schedule third removed
error schedule_not_found (third)
error schedule_not_found (third)
third@10m no_worker: no worker of type 'report' is registered
  until a worker of type 'report' comes
  queued 0s
