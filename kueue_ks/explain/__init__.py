"""``kueue-ks explain``: where a job is, why, and what it waits for."""
