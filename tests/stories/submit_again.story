# The same submit again is answered as the first time; other content under the same id is refused.
submit t1 type=email payload=1
submit t1 type=email payload=1
submit t1 type=email payload=2
show t1
----
t1 queued
error id_conflict (018bcfe5-6800-77d0-a8a8-0d69281a8ad5)
t1 queued failures=0 crashes=0
  waits: no worker of type 'email' is registered
