"""``kueue-ks cordon``, ``uncordon``, ``drain``: whether a cluster gets jobs, and keeps those it has."""
