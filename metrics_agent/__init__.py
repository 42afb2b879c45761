"""The agent on each worker: what its nodes have, what is asked of them, which Workloads have pods.

Reads Nodes and Pods, folds them into one ``vocabulary.cluster_metrics.ClusterReport`` and writes it to
the status of the ClusterMetrics object that KubeStellar carried here.
"""
