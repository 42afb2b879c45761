"""Two replicas of WorkloadController: one acts, the other stands by, and a change of hands harms no job.

A fleet of its own, because controllers are stopped and frozen here. After each test the judge reads the audit
logs of all API servers; it knows nothing of our code.
"""

import asyncio
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from kube_runtime.errors import NotFound
from kube_runtime.lease import LeaderElection
from kube_runtime.objects import Obj
from kube_runtime.process_identity import process_identity
from kube_runtime.resources import LEASES
from tests import judge
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack, running_stack
from tests.judge.rules import WORKLOAD_CONTROLLER
from vocabulary import keys

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

FIRST, SECOND = "workload-controller", "workload-controller#2"
LEASE = "workload-controller"
JOBS_AT_WORK = 5

GRACEFUL = 3.0  # seconds from the leader's SIGTERM to the next leader: one retry period and a busy machine
AT_ONCE = 5.0  # seconds after kill -9: one retry period, and the start of no program
LEASE_LOST = 17.0  # seconds: the Lease's duration and a retry period
RETRIES_SEEN = 5.0  # seconds: two retry periods, so that each candidate has looked, and a busy machine
STILL_VALID = 8.0  # seconds after its last renewal at the latest: the renew deadline without a retry period


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("leadership")
    async with running_stack(folder) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def judged(stack: Stack) -> AsyncIterator[None]:
    yield
    await stack.nothing_left()
    stack.judged()


async def history(stack: Stack) -> judge.History:
    return await asyncio.to_thread(judge.read, stack.fleet.root / "audit")


async def lease(stack: Stack) -> Obj:
    return await stack.hub.get(LEASES, LEASE, keys.SYSTEM_NAMESPACE)


async def led_by(stack: Stack, name: str, *, within: float) -> None:
    """Wait until the Lease names the process of that name."""
    pid = str(stack.programs.pid(name))

    async def holder() -> str:
        try:
            return str((await lease(stack))["spec"].get("holderIdentity", ""))
        except NotFound:
            return ""

    await eventually(
        holder,
        lambda identity: identity.split("_")[-2:-1] == [pid],
        within=within,
        what=f"{name} leads",
        every=0.05,
    )


async def kill_all(stack: Stack) -> None:
    for name in (FIRST, SECOND):
        if name in stack.programs.names():
            await stack.programs.kill(name)


@asynccontextmanager
async def two_replicas(stack: Stack) -> AsyncIterator[None]:
    """FIRST leads and SECOND stands by; in the end FIRST alone runs, whatever happened."""
    await kill_all(stack)
    await stack.programs.start(FIRST)
    await led_by(stack, FIRST, within=30)
    port = free_port()
    await stack.programs.start(SECOND, options=(f"--metrics-port={port}",))
    await eventually(lambda: ready(port), lambda answer: answer == (200, "ok\n"), within=30, what="standby")
    try:
        yield
    finally:
        await kill_all(stack)
        await stack.programs.start(FIRST)
        await led_by(stack, FIRST, within=30)  # before that, SIGTERM would meet a Python that only starts


async def at_work(stack: Stack, *, runs: str = "6s") -> list[Obj]:
    """Jobs of which some are being placed and some run."""
    jobs = [await stack.submit(runs=runs) for _ in range(JOBS_AT_WORK)]
    await stack.running(jobs[0])
    return jobs


async def each_ran_once(stack: Stack, jobs: Sequence[Obj], *, within: float = 60) -> None:
    for job in jobs:
        assert (await stack.condition(job, "Finished", within=within))["reason"] == "Succeeded"
        uid = (await stack.workload_of(job))["metadata"]["uid"]
        pods = [pod for pod in (await history(stack)).pods if pod.workload == uid]
        assert len({pod.owner for pod in pods}) == 1, pods
        assert {pod.attempt for pod in pods} == {"1"}, pods


async def test_the_standby_is_ready_and_writes_nothing(stack: Stack) -> None:
    """The Lease is ours, so the only replica that runs stands by, with jobs that wait for it."""
    await kill_all(stack)
    port = free_port()
    election = LeaderElection(stack.hub, keys.SYSTEM_NAMESPACE, LEASE, process_identity())
    leading = asyncio.Event()

    async def lead() -> None:
        leading.set()
        await asyncio.Event().wait()

    held = asyncio.create_task(election.run(lead))
    try:
        await asyncio.wait_for(leading.wait(), 30)
        before = (await history(stack)).writes
        await stack.programs.start(FIRST, options=(f"--metrics-port={port}",))
        await eventually(lambda: ready(port), lambda answer: answer == (200, "ok\n"), within=30, what="ready")
        jobs = [await stack.submit() for _ in range(3)]
        for job in jobs:
            await stack.condition(job, "QuotaReserved")
        await asyncio.sleep(5)  # two retry periods of the election
        writes = [w for w in (await history(stack)).writes if w.user == WORKLOAD_CONTROLLER]
        assert len(writes) == len([w for w in before if w.user == WORKLOAD_CONTROLLER]), writes[-3:]
    finally:
        held.cancel()
        await asyncio.wait({held})
    await led_by(stack, FIRST, within=GRACEFUL)
    await each_ran_once(stack, jobs)


async def test_a_leader_that_is_asked_to_end_hands_over_at_once(stack: Stack) -> None:
    async with two_replicas(stack):
        jobs = await at_work(stack)
        stack.programs.send(FIRST, signal.SIGTERM)
        asked = time.monotonic()
        await led_by(stack, SECOND, within=GRACEFUL)
        assert await stack.programs.ended(FIRST, within=10) == 0
        assert time.monotonic() - asked < 10
        await each_ran_once(stack, jobs)


@pytest.mark.parametrize("frozen_for", [LEASE_LOST + 8])
async def test_a_leader_that_wakes_up_too_late_steps_down(stack: Stack, frozen_for: float) -> None:
    async with two_replicas(stack):
        jobs = await at_work(stack, runs="30s")
        jobs += [await stack.submit(runs="30s") for _ in range(3)]  # it is frozen with them half way
        await asyncio.sleep(0.03)
        stack.programs.send(FIRST, signal.SIGSTOP)
        frozen = time.monotonic()
        try:
            await led_by(stack, SECOND, within=LEASE_LOST + 3)
            assert time.monotonic() - frozen > 10, "taken before the renew deadline can have passed"
            jobs += [await stack.submit(runs="10s") for _ in range(2)]
            await asyncio.sleep(max(0.0, frozen + frozen_for - time.monotonic()))
        finally:
            stack.programs.send(FIRST, signal.SIGCONT)
        await eventually(
            lambda: asyncio.to_thread(stack.programs.log, FIRST),
            lambda log: "leadership lost" in log,
            within=10,
            what="the old leader steps down",
        )
        await each_ran_once(stack, jobs, within=120)
        await led_by(stack, SECOND, within=1)


async def test_after_kill_nine_the_standby_does_not_wait_for_the_lease(stack: Stack) -> None:
    async with two_replicas(stack):
        jobs = await at_work(stack)
        await stack.programs.kill(FIRST)
        await led_by(stack, SECOND, within=AT_ONCE)
        await each_ran_once(stack, jobs)


async def test_a_lease_that_somebody_deletes_is_nobodys_while_its_leader_may_still_write(
    stack: Stack,
) -> None:
    """Frozen, it cannot make the Lease anew, and when it wakes up it goes on for what is left of its time."""
    async with two_replicas(stack):
        jobs = await at_work(stack, runs="15s")
        before, led = await lease(stack), led_so_far(stack, SECOND)
        stack.programs.send(FIRST, signal.SIGSTOP)
        frozen = time.monotonic()
        try:
            await stack.hub.delete(LEASES, LEASE, keys.SYSTEM_NAMESPACE, uid=before["metadata"]["uid"])
            jobs += [await stack.submit(runs="2s") for _ in range(2)]
            await asyncio.sleep(RETRIES_SEEN)
            with pytest.raises(NotFound):
                await lease(stack)
        finally:
            stack.programs.send(FIRST, signal.SIGCONT)
        assert time.monotonic() - frozen < STILL_VALID, "too late to tell: it may not write any more"
        await led_by(stack, FIRST, within=GRACEFUL)
        assert (await lease(stack))["metadata"]["uid"] != before["metadata"]["uid"]
        assert led_so_far(stack, SECOND) == led, "the standby led too"
        await each_ran_once(stack, jobs)


def led_so_far(stack: Stack, name: str) -> int:
    return len(re.findall(r"\bleading\b", stack.programs.log(name)))


async def ready(port: int) -> tuple[int, str]:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            return answer.status, await answer.text()
    except aiohttp.ClientError as refused:
        return 0, str(refused)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
