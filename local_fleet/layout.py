"""Where everything of one fleet is: folders, spaces, ports.

Nothing outside ``root`` is written. ``fleet.json`` in it is our mark: a folder without it that is not empty
is never used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

HUB: Final = "hub"
CONTROL: Final = "control"  # the API server that is both WDS and ITS
CONTEXT_SPACE: Final = {"hub": HUB, "wds": CONTROL, "its": CONTROL}
"""kubeconfig context to API server; a worker's context is the worker's name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths and ports. ``ports`` is keyed by what listens there: "hub", "kueue/webhook", "w1/kwok"."""

    root: Path
    workers: tuple[str, ...]
    ports: Mapping[str, int]
    etcd_per_space: bool = False
    proxied: bool = False

    @property
    def spaces(self) -> tuple[str, ...]:
        """All API servers, in start order."""
        return (HUB, CONTROL, *self.workers)

    @property
    def contexts(self) -> dict[str, str]:
        """The API server behind each context."""
        return {**CONTEXT_SPACE, **{worker: worker for worker in self.workers}}

    def url(self, space: str) -> str:
        """The API server's own address, without any proxy."""
        return f"https://127.0.0.1:{self.ports[space]}"

    @property
    def links(self) -> dict[str, str]:
        """The space that each proxied link leads to: "hub", "wds", "its", and a worker's way to the ITS."""
        return {**CONTEXT_SPACE, **dict.fromkeys(self.workers, CONTROL)} if self.proxied else {}

    def url_by_link(self, link: str) -> str:
        """Through the proxy of the link where there is one; a worker's link leads to the ITS."""
        if self.proxied:
            return f"https://127.0.0.1:{self.ports[f'link/{link}']}"
        return self.url(CONTEXT_SPACE.get(link, CONTROL))

    def address(self, listener: str) -> str:
        """Host and port of a listener: "127.0.0.1:PORT"."""
        return f"127.0.0.1:{self.ports[listener]}"

    def etcd_of(self, space: str) -> str:
        """Name of the etcd that holds the space."""
        return f"etcd-{space}" if self.etcd_per_space else "etcd"

    @property
    def etcds(self) -> tuple[str, ...]:
        """Names of all etcds."""
        return tuple(dict.fromkeys(self.etcd_of(space) for space in self.spaces))

    def log(self, component: str) -> Path:
        """The log file of a component."""
        return self.root / "logs" / f"{component.replace('/', '-')}.log"

    def audit_log(self, space: str) -> Path:
        """The audit log of an API server, JSON lines."""
        return self.root / "audit" / f"{space}.log"

    def config(self, name: str) -> Path:
        """A configuration file that we write for a component."""
        return self.root / "config" / name

    def kubeconfig(self, context: str, identity: str | None = None) -> Path:
        """The kubeconfig of a context; without identity the admin's."""
        folder = self.root / "kubeconfigs"
        return (folder / identity if identity else folder) / f"{context}.yaml"

    def agent_kubeconfig(self, worker: str, identity: str) -> Path:
        """What a worker's agent reaches the ITS with: through the worker's own link where there is one."""
        return self.root / "kubeconfigs" / identity / f"{worker}-its.yaml"


def listeners(workers: tuple[str, ...], *, etcd_per_space: bool, proxied: bool) -> list[str]:
    """Everything that needs a port."""
    plan = Layout(Path(), workers, {}, etcd_per_space, proxied)
    names = [f"{etcd}/{role}" for etcd in plan.etcds for role in ("client", "peer")]
    names += [*plan.spaces, "hub/kube-controller-manager", "control/kube-controller-manager"]
    names += [f"kueue/{role}" for role in ("health", "webhook", "metrics")]
    names += [f"{p}/{role}" for p in ("kubestellar", "transport") for role in ("metrics", "health", "pprof")]
    for worker in workers:
        roles = ("kube-controller-manager", "kube-scheduler", "kwok", "work-agent", "status-addon")
        names += [f"{worker}/{role}" for role in roles]
    names += [f"link/{link}" for link in plan.links]
    return names


def default_root(name: str) -> Path:
    """Where the fleet ``name`` lives unless the user says otherwise."""
    return platformdirs.user_state_path("kueue-kubestellar") / "fleets" / name
