"""The words that our programs share with each other and with their users.

Label and annotation keys, the API resources that more than one program touches, and the
ClusterMetrics report. No decisions and no I/O.
"""
