"""The three spaces that the controllers stand between: hub, WDS and ITS.

The WDS is never the hub: a hub job would then be carried itself, before anybody admitted it. WDS and ITS
may be one API server.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane, require_version
from kube_runtime.preflight import require_different
from kube_runtime.program import ProgramSettings
from kube_runtime.space import Space

OLDEST_HUB = "1.34"  # oldest that Kueue 0.19 supports
OLDEST_CONTROL_PLANE = "1.29"  # KubeFlex's own k8s control planes


class SpacesSettings(ProgramSettings):
    """How to reach the three spaces; what is not given for WDS and ITS is found by KubeFlex on the hub."""

    hub_kubeconfig: Path | None = Field(None, description="kubeconfig of the hub; default: KUBECONFIG or pod")
    hub_context: str | None = Field(None, description="context in it; default: its current one")
    wds_kubeconfig: Path | None = Field(None, description="kubeconfig of the WDS; default: found by KubeFlex")
    wds_context: str | None = Field(None, description="context in it; default: its current one")
    wds_name: str = Field("wds", description="ControlPlane of the WDS; wds means the only one of that type")
    its_kubeconfig: Path | None = Field(None, description="kubeconfig of the ITS; default: found by KubeFlex")
    its_context: str | None = Field(None, description="context in it; default: its current one")
    its_name: str = Field("its", description="ControlPlane of the ITS; its means the only one of that type")

    @property
    def hub(self) -> ConnectionSettings:
        """The hub's connection."""
        return ConnectionSettings(kubeconfig=self.hub_kubeconfig, context=self.hub_context)

    @property
    def wds(self) -> ConnectionSettings:
        """The WDS's, where it is named."""
        return ConnectionSettings(kubeconfig=self.wds_kubeconfig, context=self.wds_context)

    @property
    def its(self) -> ConnectionSettings:
        """The ITS's, where it is named."""
        return ConnectionSettings(kubeconfig=self.its_kubeconfig, context=self.its_context)


@dataclass(frozen=True, slots=True)
class Spaces:
    """Connected and told apart."""

    hub: Space
    wds: Space
    its: Space


@asynccontextmanager
async def connect_spaces(settings: SpacesSettings) -> AsyncIterator[Spaces]:
    """Connect all three; raises ConnectionFailed or PreflightFailed before anything else is done."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(await connect("hub", settings.hub))
        await require_version(hub, OLDEST_HUB)
        wds = await stack.enter_async_context(
            await connect_control_plane(hub, "wds", settings.wds, control_plane=settings.wds_name)
        )
        its = await stack.enter_async_context(
            await connect_control_plane(hub, "its", settings.its, control_plane=settings.its_name)
        )
        # One after the other: of several at once the first failure would close the others' connections, and
        # those would fail with a traceback after the sentence.
        await require_version(wds, OLDEST_CONTROL_PLANE)
        await require_version(its, OLDEST_CONTROL_PLANE)
        await require_different(
            hub, wds, "Use a WDS of its own (kflex create wds1 --type k8s), never a host-type one."
        )
        yield Spaces(hub, wds, its)
