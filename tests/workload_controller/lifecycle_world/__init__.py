"""The world around one job and its re-creations, for the lifecycle machine: everybody but us.

Kueue, KubeStellar, the garbage collector, work agents, Job controllers, kubelets, status add-ons, metrics
agents and users, each as steps that the machine takes in any order. They behave as docs/design.md sections 2
and 4 say (Kueue with its gate FinishOrphanedWorkloads off). Nothing here imports a decision of ours; what the
objects look like is spelled by hand, so that a wrong word of ours is seen.
"""
