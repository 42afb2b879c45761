"""Copies that share a wave, and leave it one by one."""

from dataclasses import replace

from tests.simulation.directed.plan import ONE, Directed, directed, job
from tests.simulation.scenario import Action, Fault

SIZE = 25


def _shared(scenario: Directed) -> Directed:
    return scenario._replace(plan=replace(scenario.plan, wave_size=SIZE))


SCENARIOS = tuple(
    map(
        _shared,
        (
            directed(
                "one of a wave is deleted",
                "the others of its wave run on, and are started once",
                jobs=(job(seconds=60.0), job("j1", at=1.1, seconds=60.0), job("j2", at=1.2, seconds=60.0)),
                actions=(Action(15.0, "delete", "j1"),),
                workers=ONE,
            ),
            directed(
                "leaves a wave before KubeStellar has seen it",
                "it has joined, and would be listed after a later copy of its job has been made elsewhere",
                jobs=(
                    job(seconds=120.0),
                    job("j1", at=1.5, pods=2, seconds=120.0, grace=5),
                    job("j2", at=22.2, pods=3, cpu=2, seconds=100.0),
                ),
                actions=(Action(7.0, "deactivate", "j1"), Action(23.0, "reactivate", "j1")),
                faults=(Fault(1.5, "late", "binder", seconds=16.0, amount=22.5),),
            ),
            directed(
                "old view of a wave",
                "the next leader sees the first of a wave only, which ends: the wave carries another",
                jobs=(job(seconds=8.0), job("j1", at=1.5, seconds=60.0)),
                faults=(Fault(6.0, "old_view", "wds", seconds=18.0, amount=4.5),),
                workers=ONE,
            ),
            directed(
                "leaves a wave while its ManifestWork is being made",
                "the transport has read the Binding that lists it, and writes much later",
                jobs=(job(seconds=120.0), job("j1", at=1.5, seconds=120.0)),
                actions=(Action(6.0, "deactivate", "j1"),),
                faults=(Fault(2.0, "late", "transport", seconds=60.0, amount=30.0),),
                workers=ONE,
            ),
        ),
    )
)
