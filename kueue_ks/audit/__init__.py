"""``kueue-ks audit``: what should not be, in hub, WDS, ITS and the workers' reports, and what mends it."""
