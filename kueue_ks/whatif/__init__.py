"""``kueue-ks whatif``: what would happen, by the controllers' own code. Writes nothing."""
