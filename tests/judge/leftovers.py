"""What our programs made, or had made, and nobody took away."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.judge.authors import Authors
from tests.judge.facts import Write
from tests.judge.history import History
from tests.judge.rules import Rules

BINDING_LABEL = "transport.kubestellar.io/originOwnerReferenceBindingKey"
"""On a ManifestWork, and on the WorkStatus made for it: the Binding, which has its policy's name."""

_POLICIES = "bindingpolicies.control.kubestellar.io"
_CARRIED = frozenset({"manifestworks.work.open-cluster-management.io", "workstatuses.control.kubestellar.io"})


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that exists at the end of the log; ``policy`` is what had it made, "" for our own objects."""

    space: str
    resource: str
    namespace: str
    name: str
    created_at: float
    created_by: str
    policy: str = ""

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        why = f" for policy {self.policy}" if self.policy else ""
        return f"{self.space} {self.resource} {path}, created by {self.created_by}{why}"


def leftovers(history: History, rules: Rules | None = None, keep: Sequence[str] = ()) -> list[Leftover]:
    """Objects of our users, and ManifestWorks and WorkStatuses for policies of theirs, that still exist.

    ``keep`` are patterns (``fnmatch``) for names that may stay: of objects, and of policies with all that
    they carry. Standing resources (``Rules.standing``) are never counted.
    """
    rules = rules or Rules()
    authors = Authors()
    policies = set()
    for write in history.writes:
        authors.note(write)
        if write.created and write.resource == _POLICIES and write.user in rules.users:
            policies.add(write.name)
    found = []
    for made in authors.living():
        policy = made.labels.get(BINDING_LABEL, "") if made.resource in _CARRIED else ""
        ours = made.user in rules.users and made.resource not in rules.standing
        name = policy or made.name
        if (ours or policy in policies) and not any(fnmatchcase(name, pattern) for pattern in keep):
            found.append(_leftover(made, policy))
    return found


def _leftover(made: Write, policy: str) -> Leftover:
    return Leftover(
        made.space,
        made.resource,
        made.namespace,
        made.name,
        made.when.earliest / 1_000_000,
        made.user,
        policy,
    )
