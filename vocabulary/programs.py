"""The names of our programs, as they stand in Leases, identities and the settings file."""

from typing import Final

PROGRAMS: Final = ("workload-controller", "quota-manager", "metrics-agent")
