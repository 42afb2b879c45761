"""The simulated API server answers as a real one does: the same table is asked of both."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar, cast

import pytest
import pytest_asyncio

from kube_runtime.errors import Gone
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests.simulation.api_server import ApiServer
from tests.simulation.conformance import NAMESPACE, ROWS, Row, job
from tests.simulation.network import Plans, SimSpace, Weather
from tests.simulation.world import ProcessLoop, World
from vocabulary.resources import CONFIG_MAPS, JOBS, NAMESPACES

T = TypeVar("T")


class Simulated:
    """One server and one process in front of it."""

    def __init__(self) -> None:
        self.world = World("conformance")
        self.server = ApiServer(self.world, "server")
        self.server.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self.loop = ProcessLoop(self.world)
        sim = SimSpace(self.server, Weather(), self.loop, "test", Plans(), lambda _why: None)
        self.space = cast("Space", cast("object", sim))
        for resource in (JOBS, CONFIG_MAPS):
            self.server.table(resource)

    def run(self, story: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await story

        task = self.loop.create_task(awaited())
        try:
            self.world.run(1000.0, task.done)
            return task.result()
        finally:
            self.loop.kill()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_the_simulated_server(row: Row) -> None:
    simulated = Simulated()
    assert simulated.run(row.story(simulated.space, "a-name")) == row.want


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Space]:
    folder = tmp_path_factory.mktemp("conformance")
    async with Fleet(folder / "fleet", Options(workers=1)) as fleet, fleet.space("wds") as space:
        await space.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        yield space


@pytest.mark.fleet
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row.reason for row in ROWS])
async def test_the_real_server(wds: Space, number: int) -> None:
    assert await ROWS[number].story(wds, f"row-{number}") == ROWS[number].want


async def _events(space: Space, since: str, wanted: int, **params: str) -> list[tuple[str, str]]:
    path = JOBS.path()
    seen = []
    async for event in space.watch(
        path, {"resourceVersion": since, "timeoutSeconds": "300", **params}, idle=90.0
    ):
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if len(seen) == wanted:
            break
    return seen


def test_a_watch_tells_what_came_after_its_list_and_what_left_its_selector() -> None:
    simulated = Simulated()
    labelled: dict[str, Any] = {"metadata": {"labels": {"ours": "yes"}}}
    simulated.server.create(JOBS, job("before", **labelled))
    since = str(simulated.server.version)
    simulated.server.create(JOBS, job("in", metadata={"labels": {"ours": "yes"}}))
    simulated.server.create(JOBS, job("out"))
    simulated.server.change(JOBS, (NAMESPACE, "in"), lambda obj: obj["metadata"].pop("labels"))
    simulated.server.change(JOBS, (NAMESPACE, "out"), _label)
    simulated.server.delete(JOBS, (NAMESPACE, "before"))
    story = _events(simulated.space, since, 4, labelSelector="ours=yes")
    assert simulated.run(story) == [
        ("ADDED", "in"),
        ("DELETED", "in"),
        ("ADDED", "out"),
        ("DELETED", "before"),
    ]


def _label(obj: Obj) -> None:
    obj["metadata"]["labels"] = {"ours": "yes"}


def test_a_watch_from_before_the_compaction_is_gone() -> None:
    simulated = Simulated()
    since = str(simulated.server.version)
    simulated.server.create(JOBS, job("a"))
    simulated.server.compact()
    with pytest.raises(Gone):
        simulated.run(_events(simulated.space, since, 1))


def test_dependents_go_with_their_owner() -> None:
    simulated = Simulated()
    server = simulated.server
    owner = server.create(JOBS, job("owner"))
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": owner["metadata"]["uid"]}
    server.create(JOBS, job("child", metadata={"ownerReferences": [reference]}))
    server.delete(JOBS, (NAMESPACE, "owner"))
    assert server.find(JOBS, (NAMESPACE, "child")) is not None
    simulated.world.run(5.0, lambda: False)
    simulated.loop.kill()
    assert server.find(JOBS, (NAMESPACE, "child")) is None
