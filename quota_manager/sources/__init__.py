"""Where facts about clusters come from, best first: their own reports, a Prometheus, OCM's sum.

``source.py`` is what they have in common, ``choice.py`` which of them counts for a cluster.
"""
