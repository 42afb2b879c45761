"""A small runtime for controllers that talk to several API servers from one event loop.

It speaks of objects and API servers only. Every class states its guarantees; tests/kube_runtime holds them.
"""
