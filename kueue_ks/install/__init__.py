"""``kueue-ks install`` and ``uninstall``: our objects on other people's API servers."""
