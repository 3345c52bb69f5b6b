# Each group has every event; the members of a group share them.
subscribe kitchen pattern=order.placed
subscribe audit pattern=order.*
publish order.placed data=one
publish order.placed data=two
ask kitchen consumer=k1 max=1
ask kitchen consumer=k2 max=5
ask audit
ask kitchen consumer=k1
----
group kitchen reads order.placed
group audit reads order.*
published order.placed:1
published order.placed:2
kitchen epoch 2: order.placed:1
  one attempt 1
kitchen epoch 3: order.placed:2
  two attempt 1
audit epoch 3: order.placed:1 order.placed:2
  one attempt 1
  two attempt 1

# The cursor goes over what is settled, in whatever order that was.
ack kitchen topic=order.placed event=2 epoch=3
show kitchen
ack kitchen topic=order.placed event=1 epoch=2
show kitchen
----
kitchen order.placed:2 acknowledged
kitchen lag=1 dead=0 lost=0
  order.placed settled 0 of 2
kitchen order.placed:1 acknowledged
kitchen lag=0 dead=0 lost=0
  order.placed settled 2 of 2

# Said again it is no error; of another lease it is.
ack kitchen topic=order.placed event=1 epoch=2
ack audit topic=order.placed event=1 epoch=99
nack kitchen topic=order.placed event=1 epoch=2
----
error stale_delivery: the delivery is no longer leased as it was (held by )
error stale_delivery: the delivery is no longer leased as it was (it is settled)

# A topic that comes later is read from its first event.
publish order.ready data=three
ask audit
----
published order.ready:1
audit epoch 4: order.ready:1
  three attempt 1
