"""What every recipe needs to know."""

from dataclasses import dataclass

import aiohttp

from local_fleet.binaries import Binaries
from local_fleet.component import KILL_AFTER, Probe, Spec
from local_fleet.layout import Layout
from local_fleet.pki import Pki
from local_fleet.probes import http_ok
from local_fleet.processes import Command

CLIENT_QPS = 1000  # requests per second: client-go's defaults (5 to 50) would be what a benchmark measures
CLIENT_BURST = 2000


@dataclass(frozen=True, slots=True)
class Site:
    """One fleet's folder and ports, its certificates, its programs, and a session for readiness tests."""

    layout: Layout
    pki: Pki
    binaries: Binaries
    session: aiohttp.ClientSession

    def ready(self, url: str) -> Probe:
        """Ready when ``url`` answers 200."""
        return http_ok(self.session, url)

    def spec(
        self,
        name: str,
        argv: list[str],
        probe: Probe,
        *,
        listens: tuple[str, ...],
        environment: dict[str, str] | None = None,
        grace: float = KILL_AFTER,
    ) -> Spec:
        """A component of this fleet; ``listens`` names its ports in the layout."""
        command = Command(argv, self.layout.log(name), environment or {})
        return Spec(name, command, probe, tuple(self.layout.ports[each] for each in listens), grace)
