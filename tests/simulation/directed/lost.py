"""Clusters that are not heard of, or not to be used, and what becomes of their jobs."""

from tests.simulation.directed.plan import ONE, SMALL_THIRD, directed, job
from tests.simulation.scenario import Action, Fault

SCENARIOS = (
    directed(
        "lost, at most once",
        "its cluster is cut off for longer than a loss takes: the job stays, since it may still run there",
        jobs=(job(seconds=300.0),),
        faults=(Fault(10.0, "cut_worker", "w1", seconds=250.0),),
    ),
    directed(
        "lost, leased, long grace",
        "the lease of a lost cluster's job is over, but its pods still end: nothing starts elsewhere yet",
        jobs=(job(seconds=400.0, on_loss="leased", grace=100),),
        faults=(Fault(10.0, "cut_worker", "w1", seconds=500.0),),
    ),
    directed(
        "lease over, cluster back",
        "a worker that heard nothing for a lease has suspended the job and is back before it counts as lost",
        jobs=(job(seconds=300.0, on_loss="leased"),),
        faults=(Fault(10.0, "cut_worker", "w1", seconds=110.0),),
    ),
    directed(
        "room of a job that leaves",
        "a job that fills the only cluster was evicted before any report counted its pods, which end slowly",
        jobs=(job(pods=4, cpu=2, seconds=300.0, grace=60), job("j1", at=30.0, pods=4, cpu=2)),
        actions=(Action(20.0, "deactivate", "j0"),),
        faults=(Fault(2.0, "silent", "its/workstatuses", seconds=50.0),),
        workers=ONE,
    ),
    directed(
        "back with an old result",
        "a lost cluster is back and tells the end of a job that runs elsewhere by now, as its user chose",
        jobs=tuple(job(f"j{number}", seconds=200.0, on_loss="atLeastOnce") for number in range(3)),
        faults=(Fault(10.0, "cut_worker", "w1", seconds=300.0),),
    ),
    directed(
        "two clusters of one label",
        "an administrator has given a cluster the label of another one: a job would be carried to both",
        jobs=(job(cpu=2, seconds=60.0),),
        actions=(Action(0.5, "mislabel", "w2", seconds=40.0),),
        workers=SMALL_THIRD,
    ),
    directed(
        "back while it is given up",
        "a cluster is back as its job is given up, and starts what it was given while it was away",
        jobs=tuple(
            job(f"j{n}", at=60.0 + n / 7, seconds=100.0, start=0.5, on_loss="atLeastOnce", grace=30)
            for n in range(8)
        ),
        faults=(
            Fault(20.0, "cut_worker", "w1", seconds=121.0),
            Fault(100.0, "lag", "its", seconds=100.0, amount=8.0),
            Fault(139.0, "component", "kubestellar", seconds=4.0),
        ),
    ),
    directed(
        "a heartbeat's end is refused",
        "the last leased job of a cluster is over while the WDS refuses writes: the heartbeat still ends",
        jobs=tuple(job(f"j{n}", at=1.0 + 9.0 * n, seconds=5.0, on_loss="leased") for n in range(4)),
        faults=(Fault(5.0, "conflict", "wds", seconds=60.0, amount=0.6),),
    ),
)
