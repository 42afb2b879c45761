"""What was read of each API server, and what could not be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kube_runtime.objects import Obj
from kueue_ks.install.checks import Duty
from workload_controller.published import STALE_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceFacts:
    """One API server. What is absent in a mapping was not answered; unknown is never "none"."""

    name: str
    duty: Duty
    server: str = ""
    problem: str = ""
    """Why nothing more was read, "" when everything was asked."""
    version: str = ""
    minor: tuple[int, int] | None = None
    ahead: float | None = None
    """Seconds by which its clock is ahead of ours; its Date header has whole seconds."""
    identity: str = ""
    """uid of kube-system: two spaces with the same one are one API server."""
    served: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Path of a group and version → plurals; an empty set: not served."""
    lists: Mapping[str, Sequence[Obj]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    """Name of a list, or "rights of X" → why it is absent."""
    denied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """"caller" or a program → rights of its role that it lacks."""
    reviewed: Mapping[str, int] = field(default_factory=dict)
    """The same → how many rights were asked for."""

    def serves(self, group_path: str, plural: str) -> bool | None:
        """None: nobody has said."""
        plurals = self.served.get(group_path)
        return None if plurals is None else plural in plurals


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything. ``now`` is unix seconds of our clock."""

    now: float
    spaces: tuple[SpaceFacts, ...]
    stale_after: float = STALE_AFTER

    def of(self, duty: Duty) -> SpaceFacts:
        """Hub, WDS or ITS; one that nothing is known of where it was not asked."""
        found = (space for space in self.spaces if space.duty is duty)
        return next(found, SpaceFacts(name=duty.value, duty=duty, problem="not asked"))

    @property
    def workers(self) -> tuple[SpaceFacts, ...]:
        """Those that kubeconfigs were given for."""
        return tuple(space for space in self.spaces if space.duty is Duty.WORKER)
