"""The real control planes as local processes: demo, tests, benchmarks.

A recipe, in start order: ``stack`` (what is compiled) and ``build``; ``pki``, ``ports`` and ``layout``
(what one fleet owns); ``components`` (each program with its flags, its readiness test and why each unusual
flag is there); ``bootstrap`` (what is written into the API servers); ``fleet`` (everything together);
``supervisor`` (the same in the background).
"""

from local_fleet.errors import FleetError
from local_fleet.fleet import Fleet, Options

__all__ = ["Fleet", "FleetError", "Options"]
