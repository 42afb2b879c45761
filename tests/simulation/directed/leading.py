"""Leaders that stop, sleep and come back."""

from tests.simulation.directed.plan import directed, job
from tests.simulation.scenario import Fault

SCENARIOS = (
    directed(
        "leader stopped in a burst",
        "a leader that slept in the middle of its work wakes up when another one leads: it writes nothing",
        jobs=tuple(job(f"j{number}", at=5.0 + number / 200) for number in range(12)),
        faults=(Fault(5.15, "pause", seconds=30.0),),
        replicas=2,
    ),
)
