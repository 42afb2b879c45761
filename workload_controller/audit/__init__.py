"""What should not be: facts of everything and a time → findings. Controller and command line share it.

``facts`` (gathered from the stores by ``gather``) → ``workloads`` (with ``due``) and ``leftovers``, the rules
→ ``settling``: a suspicion that lasts longer than a normal transition is a finding. ``patrol`` runs it in
the controller.
"""
