"""``kueue-ks config``: the effective options of every program, and where each comes from."""
