"""Which wave a new copy joins, with what is being written at this moment and no store shows.

What is remembered here is lost in a restart, and costs no promise then: a burst opens some more waves than it
needed, or a copy finds that its wave has no policy any more and is made again (``steps.LeaveWave``).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from workload_controller import waves
from workload_controller.facts import Decision, JobFacts, Mates, PolicyFacts, WorkloadFacts
from workload_controller.view import View
from workload_controller.waves import Berth

OPENING = 1.0  # seconds that others wait for a wave that is being opened


class Boarding:
    """``size`` is our setting: how many copies a wave that we open may have."""

    def __init__(self, view: View, size: int) -> None:
        self._view = view
        self._size = size
        self._joining: Counter[str] = Counter()
        self._opening: dict[str, float] = {}  # since when, by cluster
        self._closing: set[str] = set()  # uids of policies that are being deleted

    def berth(self, workload: WorkloadFacts, job: JobFacts, decision: Decision, now: float) -> Berth | None:
        """The wave of a new copy; None when it has to wait.

        It waits for a wave that another copy is opening, or for others that are leaving the wave that it
        opened before: a policy made anew under that name would carry them again.
        """
        cluster = decision.cluster
        present = self._view.shared_waves(cluster) if self._size > 1 else []
        shared = [(p, self._mates(p.name)) for p in present if p.uid not in self._closing]
        berth = waves.berth(job.raw["spec"], shared, now, self._size)
        if berth.joins:
            return berth
        if berth.size > 1:
            if now - self._opening.get(cluster, 0.0) < OPENING:
                return None
            self._opening[cluster] = now
        own = self._view.mates(waves.wave_of(workload.uid, cluster, decision.attempt))
        return None if own.total else berth

    @contextmanager
    def joining(self, berth: Berth) -> Iterator[None]:
        """While the copy is being made."""
        self._joining[berth.joins] += 1
        try:
            yield
        finally:
            self._joining[berth.joins] -= 1
            self._joining += Counter()  # forgets what is at 0

    def opened(self, cluster: str) -> None:
        """The policy of a wave is there."""
        self._opening.pop(cluster, None)

    def is_boarding(self, policy: PolicyFacts) -> bool:
        """Whether a copy that joins it is being made."""
        return self._joining[policy.name] > 0

    @contextmanager
    def closing(self, policy: PolicyFacts) -> Iterator[None]:
        """While its policy is being deleted: nobody joins it."""
        self._closing.add(policy.uid)
        try:
            yield
        finally:
            self._closing.discard(policy.uid)

    def _mates(self, wave: str) -> Mates:
        mates, joining = self._view.mates(wave), self._joining[wave]
        return Mates(mates.staying + joining, mates.total + joining)
