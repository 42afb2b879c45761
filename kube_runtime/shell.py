"""The process around a program: kopf's start-up, signals and clean-up.

kopf is used for its activities only. Our objects go through our own informers: kopf queues every event by
itself, keeps what was deleted while it was away, and ends the process after 54 s of errors from one server.

kopf looks up the API groups once, even without any handler for a resource, and fails with the server that
it asks. It asks a server of our own on loopback, which knows no groups, so that no outage of anybody can
end us that way.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import kopf
import structlog
from aiohttp import web

from kube_runtime.errors import KubeError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Program = Callable[[], Awaitable[None]]


def run(program: Program, *, name: str) -> int:
    """Run until the program ends or a signal comes; SIGTERM and SIGINT cancel it and wait for its clean-up.

    Returns the exit code: 0 after a signal or a normal end, 1 when the program failed. A KubeError is told
    as its sentence, anything else with its traceback.
    """
    try:
        return asyncio.run(_run(program, name))
    except KeyboardInterrupt:  # came before kopf listened to signals, so the program has not begun
        return 0


async def _run(program: Program, name: str) -> int:
    registry = kopf.OperatorRegistry()
    stop = asyncio.Event()
    running: list[asyncio.Task[None]] = []

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401  kopf's keywords
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.process.ultimate_exiting_timeout = (
            None  # kopf would kill the process 600 s after a cancellation
        )
        task = asyncio.create_task(_awaited(program), name=name)
        task.add_done_callback(lambda _: stop.set())
        running.append(task)

    @kopf.on.cleanup(registry=registry)
    async def clean_up(**_: Any) -> None:  # noqa: ANN401  kopf's keywords
        for number in (signal.SIGTERM, signal.SIGINT):  # a second one would be an error inside kopf
            asyncio.get_running_loop().add_signal_handler(number, log.info, "stopping already, cleaning up")
        for task in running:
            task.cancel()
            await asyncio.wait([task])

    async with _no_groups() as url:

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401  kopf's keywords
            return kopf.ConnectionInfo(server=url)

        await kopf.operator(registry=registry, clusterwide=True, standalone=True, stop_flag=stop)
    return _exit_code(running, name)


async def _awaited(program: Program) -> None:
    await program()


def _exit_code(running: Iterable[asyncio.Task[None]], name: str) -> int:
    errors = [task.exception() for task in running if not task.cancelled()]
    for error in filter(None, errors):
        causes = _leaves(error)
        if all(isinstance(cause, KubeError) for cause in causes):
            sys.stderr.writelines(f"error: {name}: {cause}\n" for cause in causes)
        else:
            log.error("the program failed", program=name, exc_info=error)
        return 1
    return 0


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors inside a TaskGroup's ExceptionGroup, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


@asynccontextmanager
async def _no_groups() -> AsyncIterator[str]:
    """An API server without any API, on a free port of loopback."""
    application = web.Application()
    application.router.add_get("/api", _nothing)
    application.router.add_get("/apis", _nothing)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _nothing(_request: web.Request) -> web.Response:
    return web.json_response({"versions": [], "groups": []})
