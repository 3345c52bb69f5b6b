# What has ended goes, what has not stays, and nobody is told twice.
worker w1 type=email slots=2
submit t1 type=email
submit t2 type=email
submit t3 type=email
complete t1 epoch=1 result=1
drop on=t1,t2,t3
drop on=t1
----

# One that has become something else since it was found stays: t2 died and was redriven.
fail t2 epoch=1 code=bad permanent=yes
show t2
redrive t2
drop on=t2 as=11
show t2
----

# A worker that has not stopped keeps its task.
cancel t2
drop on=t2
confirm t2 epoch=2
drop on=t2
----

# What is gone may be said again, and goes again.
submit t2 type=email
complete t2 epoch=1 result=2
drop on=t2
----
