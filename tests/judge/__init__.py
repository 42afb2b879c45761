"""The judge: did the promises hold, by the API servers' own records?

Reads the audit logs of all API servers of a fleet after a test and checks what no component of the
fleet says about itself. It imports nothing of ours, so that it cannot share a mistake with the code
that it judges, and only the standard library, so that it runs anywhere the logs are.

    history = judge.read(audit_dir)
    assert judge.check(history) == []
    assert judge.leftovers(history) == []

What it takes for true (each is documented behaviour of kube-apiserver, 1.36):

* A write was committed somewhere between ``requestReceivedTimestamp`` and ``stageTimestamp`` of its
  ResponseComplete event. Two facts that only *may* have overlapped are not held against anybody: what
  is reported is certain, on one clock for all servers.
* A log may end in half a line, be rotated, and miss the last writes of a server that was killed.
"""

from tests.judge.audit import read
from tests.judge.history import History
from tests.judge.leftovers import Leftover, leftovers
from tests.judge.rules import Permission, Rules, Violation
from tests.judge.verdict import check

__all__ = ["History", "Leftover", "Permission", "Rules", "Violation", "check", "leftovers", "read"]
