# Under one key a submit is done once: the answer names the task that is there.
submit t1 type=email payload=1 once=order-7
submit t2 type=email payload=1 once=order-7
----
t1 queued
it is t1

# With another content it is refused, and the refusal names the task.
submit t3 type=email payload=2 once=order-7
submit t4 type=email payload=1 once=order-7 priority=9
----
error key_conflict (task 018bcfe5-6800-77d0-a8a8-0d69281a8ad5)
error key_conflict (task 018bcfe5-6800-77d0-a8a8-0d69281a8ad5)

# A task that has ended still answers for its key for a day.
worker w1 type=email slots=1
complete t1 epoch=1 result=1
advance 23h
submit t5 type=email payload=1 once=order-7
submit t6 type=email payload=2 once=order-7
----
t1 running worker=w1 attempt=1 epoch=1 until=30s
t1 succeeded result=1
it is t1
error key_conflict (task 018bcfe5-6800-77d0-a8a8-0d69281a8ad5)

# After that the key is free.
advance 1h
submit t7 type=email payload=2 once=order-7
submit t8 type=email payload=2 once=order-7
fail t7 epoch=1 code=bad_address permanent=yes
----
t7 queued
t7 running worker=w1 attempt=1 epoch=1 until=1d30s
it is t7
t7 dead reason=bad_address

# A dead task does not hold it for ever either.
advance 24h
submit t9 type=email payload=3 once=order-7
complete t9 epoch=1 result=9
----
t9 queued
t9 running worker=w1 attempt=1 epoch=1 until=2d30s
t9 succeeded result=9

# A task that lives holds its key, however old it is.
submit t10 type=nobody payload=1 once=order-8
advance 30h
submit t11 type=nobody payload=1 once=order-8
submit t12 type=nobody payload=2 once=order-8
----
t10 queued
it is t10
error key_conflict (task 018bda32-2000-7e07-aba5-d0294765fd72)
