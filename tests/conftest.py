"""Settings of all tests."""

from hypothesis import settings

# No deadline per example: the machine that runs this may be busy with six API servers.
settings.register_profile("kueue-ks", deadline=None, print_blob=True)
settings.load_profile("kueue-ks")
