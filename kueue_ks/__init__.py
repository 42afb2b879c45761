"""The command line: `kueue-ks` and `kubectl kueue-ks`."""
