"""The whole answer to "where could this Workload go now": its policy, what it may use, and the placement.

The controller acts on it; ``kueue-ks explain`` and ``whatif`` ask the same question of the same facts, so
that what they say is what it would do. Nothing is written here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from workload_controller.candidates import barred, lately_failed, outside
from workload_controller.facts import Held
from workload_controller.never import never_fits
from workload_controller.placement import place
from workload_controller.ranking import Ranking
from workload_controller.refusals import Refusal
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Place
from workload_controller.verdicts import Placement
from workload_controller.view import View


@dataclass(frozen=True, slots=True)
class Choice:
    """``obstacle``: why no cluster is looked at, "" with a placement; ``never``: the refusal that follows."""

    obstacle: str
    placement: Placement | None = None
    never: Refusal | None = None


def choose(s: Situation, action: Place, view: View, timing: Timing, assumed: Iterable[Held] = ()) -> Choice:
    """Judge all clusters for this Workload. ``assumed``: room that is promised and not written yet."""
    assert s.workload is not None
    check = action.check
    rules = view.rules(check.name)
    if obstacle := action.obstacle or rules.problem:
        return Choice(obstacle)
    clusters = view.cluster_facts(s.now)
    left_out = {**rules.outside, **outside(clusters, s.policy)}
    still_on = {work.cluster for work in s.works}
    not_now = barred(clusters, left_out, check.history, still_on, now=s.now, exclusion=timing.exclusion)
    failed_ago = lately_failed(check.history, now=s.now, exclusion=timing.exclusion)
    placement = place(
        s.workload.uid,
        s.workload.pod_sets,
        clusters,
        view.promises().plus(assumed),
        view.known_flavors(),
        not_now,
        outside=left_out,
        ranking=Ranking(rules.policy, view.cluster_labels(), failed_ago),
        rooms=view.rooms,
    )
    if placement.choice is not None:
        return Choice("", placement)
    return Choice("", placement, never_fits(s.workload, placement.never, rules.policy.when_never_fits))
