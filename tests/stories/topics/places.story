# A group begins where it is told, and an id is published once.
publish t data=one id=a
publish t data=again id=a
publish t data=two id=b
publish t data=three
subscribe all pattern=t
subscribe new pattern=t from=newest
subscribe some pattern=t sequence=2
subscribe far pattern=t sequence=99
ask all
ask new
ask some
ask far
----
published t:1
again 1
published t:2
published t:3
group all reads t
  t from 1
group new reads t
  t from 4
group some reads t
  t from 2
group far reads t
  t from 4
all epoch 5: t:1 t:2 t:3
  one attempt 1
  two attempt 1
  three attempt 1
some epoch 7: t:2 t:3
  two attempt 1
  three attempt 1

# What retention takes before a group had it, the group is told once.
subscribe late pattern=t
trim t through=2
show late
ask late
ask late
show late
----
group late reads t
  t from 1
trimmed t through 2
late lag=1 dead=0 lost=2
  t settled 2 of 3
late epoch 11: t:3
told lost 2: t 1 to 2
  three attempt 1
late lag=1 dead=0 lost=2
  t settled 2 of 3

# A topic and a group that are gone are gone with all that was theirs.
remove t
show all
publish t data=anew
ask all
ack all topic=t event=1 epoch=6
unsubscribe all
ask all
unsubscribe all
remove none
----
topic t removed
all lag=0 dead=0 lost=2
published t:1
all epoch 6: t:1
  anew attempt 1
all t:1 acknowledged
group all removed
error subscription_not_found: no group has this name (all)
error subscription_not_found: no group has this name (all)
error topic_not_found: no topic has this name (none)
