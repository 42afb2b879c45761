"""Scenarios written by hand: rare coincidences that the guards of the program are for.

The same data as ``scenario(seed)`` draws, with faults that chance is not given yet: one silent watch, one
write that arrives late, one server whose lists are old for longer. The correct program passes all of them
under any chance; each is what catches some planted bug (``caught_by.json``).
"""

from tests.simulation.directed import late, leading, lost, sharing, stops
from tests.simulation.directed.plan import Directed

DIRECTED: dict[str, Directed] = {
    scenario.name: scenario
    for module in (late, leading, lost, sharing, stops)
    for scenario in module.SCENARIOS
}
