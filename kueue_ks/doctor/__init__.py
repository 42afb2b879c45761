"""``kueue-ks doctor``: whether everything is there that the controllers need, before and while they run."""
