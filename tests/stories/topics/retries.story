# A silent member loses its delivery; its late word is refused once somebody else has it.
subscribe g pattern=t ack_timeout=5s attempts_max=3
publish t data=one
ask g consumer=c1
advance 4s
renew g topic=t event=1 epoch=2
advance 4s
advance 1s
ask g consumer=c2
advance 1s
ask g consumer=c2
ack g topic=t event=1 epoch=2
----
group g reads t
published t:1
g epoch 2: t:1
  one attempt 1
g t:1 timed out, again at 10s
g epoch 3: t:1
  one attempt 2
error stale_delivery: the delivery is no longer leased as it was (held by c2)

# What fails again and again is a dead letter, and can begin anew.
nack g topic=t event=1 epoch=3
advance 2s
ask g consumer=c2
nack g topic=t event=1 epoch=4
show g
redrive g topic=t event=1
ask g
release g topic=t event=1 epoch=5
ask g
nack g topic=t event=1 epoch=6 permanent=yes
drop g topic=t event=1
drop g topic=t event=1
show g
----
g t:1 failed, again at 12s
g epoch 4: t:1
  one attempt 3
g t:1 failed, dead
g lag=0 dead=1 lost=0
  t settled 1 of 1
g t:1 begins anew
g epoch 5: t:1
  one attempt 1
g t:1 released
g epoch 6: t:1
  one attempt 1
g t:1 failed, dead
g t:1 dropped
error dead_letter_not_found: the group has no such dead letter (t:1)
g lag=0 dead=0 lost=0
  t settled 1 of 1
