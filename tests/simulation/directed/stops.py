"""Jobs that are stopped, or that end while they are."""

from tests.simulation.directed.plan import directed, job
from tests.simulation.scenario import Action, Fault

SCENARIOS = (
    directed(
        "result while it leaves",
        "a job ends by itself while KubeStellar is slow to withdraw it: its result counts",
        jobs=(job(seconds=20.0),),
        actions=(Action(12.0, "deactivate", "j0"),),
        faults=(Fault(10.0, "component", "kubestellar", seconds=60.0),),
    ),
    directed(
        "Workload deleted",
        "somebody deletes the Workload of a long job: its pods end",
        jobs=(job(seconds=600.0),),
        actions=(Action(20.0, "delete_workload", "j0"),),
    ),
    directed(
        "Workload deleted, then a result, and Kueue away",
        "Kueue sees a deleted Workload and a job that has ended meanwhile: it cannot stop a finished one",
        jobs=(job(seconds=20.0),),
        actions=(Action(12.0, "delete_workload", "j0"),),
        faults=(
            Fault(10.0, "component", "kueue", seconds=60.0),
            Fault(10.0, "component", "kubestellar", seconds=60.0),
        ),
    ),
    directed(
        "Workload deleted, and we do not see it",
        "a job ends just after its Workload was deleted, and the watch of Workloads is silent: Kueue, "
        "which is slow, could not stop a job that we show as finished",
        jobs=tuple(job(f"j{n}", at=1.0 + n, seconds=15.0) for n in range(4)),
        actions=tuple(Action(18.0 + n / 2, "delete_workload", f"j{n}") for n in range(4)),
        faults=(
            Fault(10.0, "silent", "hub/workloads", seconds=60.0),
            Fault(17.0, "component", "kueue", seconds=20.0),
        ),
    ),
    directed(
        "job deleted",
        "somebody deletes a long job: its pods end",
        jobs=(job(seconds=600.0),),
        actions=(Action(20.0, "delete", "j0"),),
    ),
    directed(
        "made again at once",
        "a job is deleted and made again under its name, and the garbage collector is late: Kueue would use "
        "the earlier Workload for it",
        jobs=(job(seconds=600.0), job("j1", at=21.0, name="job0")),
        actions=(Action(20.0, "delete", "j0"),),
        faults=(Fault(10.0, "no_garbage_collection", "hub", seconds=60.0),),
    ),
    directed(
        "Kueue away at the end",
        "a job has ended, Kueue does not see it for minutes, and somebody tidies up on the worker",
        jobs=(job(seconds=5.0),),
        actions=(Action(12.0, "delete_any_worker_job", "j0"),),
        faults=(Fault(10.0, "component", "kueue", seconds=450.0),),
    ),
    directed(
        "Kueue slow to evict",
        "an attempt that nobody saw start is given back, and Kueue takes so long that it could fail again",
        jobs=(job(seconds=100.0),),
        faults=(
            Fault(1.5, "silent", "its/manifestworks", seconds=78.0),
            Fault(45.0, "component", "kueue", seconds=21.0),
        ),
    ),
    directed(
        "a pod broke, then another cluster",
        "an attempt counted a failed pod; the next one, elsewhere, has none, and a counter cannot fall",
        jobs=(
            job(seconds=20.0, breaks_on="w1"),
            job("j1", at=36.0, pods=3, cpu=2, seconds=100.0),
        ),
        actions=(Action(30.0, "deactivate", "j0"), Action(42.0, "reactivate", "j0")),
    ),
    directed(
        "a Workload that names another's job",
        "somebody makes a Workload that names a job that is being stopped: the job's pods still count",
        jobs=(job(seconds=100.0, grace=60),),
        actions=(Action(20.0, "deactivate", "j0"), Action(30.0, "forge_workload", "j0")),
    ),
    directed(
        "a Binding that waits",
        "neither KubeStellar's transport nor the garbage collector has got to a Binding whose policy is gone",
        jobs=(job(seconds=60.0), job("j1", at=20.0, pods=3, cpu=2, seconds=100.0)),
        actions=(Action(10.0, "deactivate", "j0"), Action(25.0, "reactivate", "j0")),
        faults=(
            Fault(2.0, "component", "transport", seconds=58.0),
            Fault(2.0, "silent", "wds/bindings", seconds=78.0),
            Fault(2.0, "no_garbage_collection", "wds", seconds=68.0),
        ),
    ),
    directed(
        "a ManifestWork that was never shown",
        "the watch of ManifestWorks is silent, and a worker that is cut off for a moment ends nothing",
        jobs=(job(seconds=100.0),),
        actions=(Action(10.0, "deactivate", "j0"),),
        faults=(
            Fault(1.5, "silent", "its/manifestworks", seconds=78.0),
            Fault(9.0, "cut_worker", "w1", seconds=45.0),
        ),
    ),
    directed(
        "evicted, check still Ready",
        "one of Kueue's ways to evict does not reset the checks: the condition alone has to end the pods",
        jobs=(job(seconds=300.0),),
        actions=(Action(20.0, "evict_only", "j0"),),
    ),
    directed(
        "nothing fits",
        "a job that fits its quota and no cluster gives the quota back",
        jobs=(job(trouble="big"),),
    ),
    directed(
        "pods that never start",
        "an image that cannot be pulled: the job is tried again, elsewhere, and then no more",
        jobs=(job(trouble="never"),),
    ),
    directed(
        "history compacted",
        "the watches of the hub end and their history is gone: what happens next is seen all the same",
        jobs=(job(seconds=300.0),),
        actions=(Action(20.0, "deactivate", "j0"),),
        faults=(Fault(10.0, "compact", "hub"),),
    ),
)
