# Events of a key wait for those before them; others go on.
subscribe g pattern=t ordered=yes
publish t data=x1 key=x
publish t data=x2 key=x
publish t data=y1 key=y
publish t data=free
ask g
ask g
ack g topic=t event=1 epoch=2
ask g
nack g topic=t event=2 epoch=3
publish t data=x3 key=x
ask g
advance 1s
ask g
show g
----
group g reads t
published t:1
published t:2
published t:3
published t:4
g epoch 2: t:1 t:2 waits for its key t:3 t:4
  x1 attempt 1
  y1 attempt 1
  free attempt 1
g t:1 acknowledged
g epoch 3: t:2
  x2 attempt 1
g t:2 failed, again at 1s
published t:5
g epoch 4: t:5 waits for its key
g epoch 5: t:2
  x2 attempt 2
g lag=4 dead=0 lost=0
  t settled 1 of 5
