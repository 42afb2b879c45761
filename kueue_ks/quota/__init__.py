"""``kueue-ks quota``: what the quotas are made of, and what QuotaManager would write. Reads only."""
