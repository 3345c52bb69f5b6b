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
----
schedule nightly 30s overlapped by nightly@20s settled=30s
error schedule_overlap (018bcfe5-b620-7168-bd2f-a8642377c16d)
nightly@20s succeeded result=1
nightly@30s queued
schedule nightly 30s submitted
nightly@30s running worker=w1 attempt=1 epoch=1 until=1m

# Times that passed unseen: the newest of them is made up for.
schedule other every=10s type=report
advance 5m
schedule-fire other at=40s,50s,60s older=3
complete other@1m epoch=1 result=1
----
schedule other set
nightly@30s scheduled reason=lease_expired due=1m1s154ms
nightly@30s queued
nightly@30s running worker=w1 attempt=2 epoch=2 until=1m31s154ms
nightly@30s scheduled reason=lease_expired due=1m33s326ms
nightly@30s queued
nightly@30s running worker=w1 attempt=3 epoch=3 until=2m3s326ms
nightly@30s scheduled reason=lease_expired due=2m7s688ms
nightly@30s queued
nightly@30s running worker=w1 attempt=4 epoch=4 until=2m37s688ms
nightly@30s scheduled reason=lease_expired due=2m45s753ms
nightly@30s queued
nightly@30s running worker=w1 attempt=5 epoch=5 until=3m15s753ms
nightly@30s scheduled reason=lease_expired due=3m32s281ms
nightly@30s queued
nightly@30s running worker=w1 attempt=6 epoch=6 until=4m2s281ms
nightly@30s scheduled reason=lease_expired due=4m41s585ms
nightly@30s queued
nightly@30s running worker=w1 attempt=7 epoch=7 until=5m11s585ms
nightly@30s scheduled reason=lease_expired due=6m20s190ms
other@1m queued
schedule other 1m submitted settled=1m missed=5
other@1m running worker=w1 attempt=1 epoch=1 until=6m
other@1m succeeded result=1

# All of them, one after the other.
schedule other every=10s type=report misfire=all overlap=allow
advance 2m
schedule-fire other at=360s,370s
schedule-fire other at=360s,370s
----
schedule other set
nightly@30s queued
nightly@30s running worker=w1 attempt=8 epoch=8 until=6m50s190ms
nightly@30s scheduled reason=lease_expired due=9m24s731ms
other@6m queued
schedule other 6m submitted settled=6m
other@6m running worker=w1 attempt=1 epoch=1 until=8m
other@6m10s queued
schedule other 6m10s submitted settled=6m10s
other@6m10s running worker=w1 attempt=1 epoch=1 until=8m

# None of them.
schedule third every=10s type=report misfire=skip
advance 2m
schedule-fire third at=470s,480s
schedule-fire third at=470s,480s
schedule-fire third at=480s,580s
----
schedule third set
other@6m scheduled reason=lease_expired due=8m1s41ms
other@6m10s scheduled reason=lease_expired due=8m1s42ms
other@6m queued
other@6m running worker=w1 attempt=2 epoch=2 until=8m31s41ms
other@6m10s queued
other@6m10s running worker=w1 attempt=2 epoch=2 until=8m31s42ms
other@6m scheduled reason=lease_expired due=8m33s257ms
other@6m10s scheduled reason=lease_expired due=8m33s305ms
other@6m queued
other@6m running worker=w1 attempt=3 epoch=3 until=9m3s257ms
other@6m10s queued
other@6m10s running worker=w1 attempt=3 epoch=3 until=9m3s305ms
other@6m scheduled reason=lease_expired due=9m8s211ms
other@6m10s scheduled reason=lease_expired due=9m7s788ms
other@6m10s queued
other@6m10s running worker=w1 attempt=4 epoch=4 until=9m37s788ms
other@6m queued
other@6m running worker=w1 attempt=4 epoch=4 until=9m38s211ms
nightly@30s queued
nightly@30s running worker=w1 attempt=9 epoch=9 until=9m54s731ms
schedule third settled=8m missed=2
third@9m40s queued
schedule third 9m40s submitted settled=9m40s
third@9m40s running worker=w1 attempt=1 epoch=1 until=10m

# The task before is cancelled.
schedule third every=10s type=report overlap=replace
advance 10s
schedule-fire third at=590s
confirm third@9m40s epoch=1
----
schedule third set
other@6m10s scheduled reason=lease_expired due=9m46s546ms
other@6m scheduled reason=lease_expired due=9m48s21ms
third@9m40s cancelled
third@9m50s queued
schedule third 9m50s submitted settled=9m50s
  tell w1 to stop third@9m40s
third@9m50s running worker=w1 attempt=1 epoch=1 until=10m10s
third@9m40s slot free

# The queue takes nothing: the time is settled all the same.
drain report by=ann
advance 10s
schedule-fire third at=600s
schedule-run third
unpause report
----
queue report changed
other@6m10s queued
other@6m10s running worker=w1 attempt=5 epoch=5 until=10m16s546ms
other@6m queued
other@6m running worker=w1 attempt=5 epoch=5 until=10m18s21ms
schedule third 10m refused queue_draining settled=10m
error queue_draining (report)
queue report changed

# While it is paused, and by an old plan, nothing has its turn.
schedule-pause third by=ann
advance 10s
schedule-fire third at=610s
schedule-resume third
schedule-fire third at=610s
schedule-fire third at=630s
----
schedule third paused
nightly@30s scheduled reason=lease_expired due=14m58s921ms
schedule third set
third@9m50s cancelled
third@10m10s queued
schedule third 10m10s submitted settled=10m10s
  tell w1 to stop third@9m50s
third@10m10s running worker=w1 attempt=1 epoch=1 until=10m30s
third@10m10s cancelled
third@10m30s queued
schedule third 10m30s submitted settled=10m30s
  tell w1 to stop third@10m10s
third@10m30s running worker=w1 attempt=1 epoch=1 until=10m30s

# Made up for because somebody asks: what was submitted before is there.
schedule-backfill third at=590s
schedule-backfill third at=610s
schedule-backfill third at=610s
----

# It goes, its tasks stay.
schedule-remove third
schedule-remove third
schedule-fire third at=640s
explain third@10m10s
----
schedule third removed
error schedule_not_found (third)
error schedule_not_found (third)
third@10m10s stopping: worker w1 has been told to stop
  until the worker confirms, or its lease runs out at 2023-11-14T22:23:50.000000Z
  queued 0s
  between_attempts 0s
  dispatched 0s
  running 0s
