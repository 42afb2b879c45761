"""WorkloadController: where an admitted job runs, and its way there and back.

facts, placement, ledger, lifecycle and waves decide; actions writes; controller wires them together.
"""
