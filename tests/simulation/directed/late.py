"""Writes that arrive after their sender has died, and servers that show how it was before."""

from tests.simulation.directed.plan import ONE, directed, job
from tests.simulation.scenario import Action, Fault


def _dies_with(resource: str, *, seconds: float) -> tuple[Fault, ...]:
    """The first write to a resource of the WDS is on its way for so long; its sender dies meanwhile."""
    return (
        Fault(0.5, "late_write", f"wds/{resource}", seconds=seconds),
        Fault(1.9, "kill", "hub", seconds=0.1),
    )


SCENARIOS = (
    directed(
        "policy after its copy",
        "a BindingPolicy arrives when its job has been deleted and the copy is gone",
        jobs=(job(seconds=60.0),),
        actions=(Action(2.0, "delete", "j0"),),
        faults=_dies_with("bindingpolicies", seconds=50.0),
    ),
    directed(
        "copy after its Workload",
        "a copy arrives when its job and its Workload are gone",
        jobs=(job(seconds=60.0),),
        actions=(Action(2.0, "delete", "j0"),),
        faults=_dies_with("jobs", seconds=50.0),
    ),
    directed(
        "copy of an earlier attempt",
        "a copy arrives when the next attempt was placed on another cluster and is about to start",
        jobs=(job(seconds=60.0), job("j1", at=22.0, pods=3, cpu=2, seconds=100.0)),
        actions=(Action(2.0, "deactivate", "j0"), Action(28.0, "reactivate", "j0")),
        faults=(
            *_dies_with("jobs", seconds=40.0),
            Fault(27.0, "silent", "hub/jobs", seconds=25.0),
        ),
    ),
    directed(
        "copy of an earlier Workload",
        "a copy arrives when its Workload was deleted and another one of the same job is about to start",
        jobs=(job(seconds=60.0),),
        actions=(Action(2.0, "delete_workload", "j0"), Action(10.0, "drain", seconds=20.0)),
        faults=(
            *_dies_with("jobs", seconds=40.0),
            Fault(25.0, "silent", "hub/jobs", seconds=25.0),
        ),
    ),
    directed(
        "an old word to a running job",
        "a check's text, why the job had to wait, arrives when the job was placed long ago and runs",
        jobs=(job("j1", pods=4, cpu=2, seconds=20.0), job(at=6.0, seconds=80.0)),
        faults=(Fault(5.0, "late_write", "hub/workloads", seconds=60.0),),
        workers=ONE,
    ),
    directed(
        "old view of the WDS",
        "who begins to lead is shown the WDS as it was before the copy, of a job that was evicted meanwhile",
        jobs=(job(seconds=100.0, grace=30),),
        actions=(Action(20.5, "deactivate", "j0"),),
        faults=(Fault(20.0, "old_view", "wds", seconds=40.0, amount=19.5),),
    ),
    directed(
        "old view of the hub",
        "who begins to lead is shown a finished job as running",
        jobs=(job(seconds=5.0),),
        faults=(Fault(40.0, "old_view", "hub", seconds=40.0, amount=36.0),),
    ),
)
