"""Logs, metrics and health of a process, in the formats that everybody else's tools read.

Workqueue metrics bear client-go's names, so that existing dashboards fit. ``kube_runtime_loop_lag_seconds``
is ours: one event loop serves everything, and a slow callback delays it all.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Hashable
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

LOOP_LAG: Final = Gauge("kube_runtime_loop_lag_seconds", "How late the event loop is at its timers.")
LAG_PERIOD: Final = 1.0  # seconds between two measurements

_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)
_ADDS = Counter("workqueue_adds_total", "Keys added to the queue.", ["name"])
_RETRIES = Counter("workqueue_retries_total", "Keys queued again after a failure.", ["name"])
_DEPTH = Gauge("workqueue_depth", "Keys waiting.", ["name"])
_WAIT = Histogram(
    "workqueue_queue_duration_seconds", "From adding to start of work.", ["name"], buckets=_BUCKETS
)
_UNFINISHED = Gauge(
    "workqueue_unfinished_work_seconds",
    "Sum over the reconciles that run; growth means a stuck one.",
    ["name"],
)
_LONGEST = Gauge(
    "workqueue_longest_running_processor_seconds", "Of the reconcile that has run longest.", ["name"]
)
_WORK = Histogram("workqueue_work_duration_seconds", "Of one reconcile.", ["name"], buckets=_BUCKETS)


def configure_logging(*, json: bool, level: str) -> None:
    """One format for structlog and for libraries with stdlib logging: text for people, or JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
        structlog.processors.format_exc_info if json else structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if json else _console()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


class QueueTelemetry:
    """client-go's workqueue metrics for one WorkQueue."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._added: dict[Hashable, float] = {}
        self._started: dict[Hashable, float] = {}
        _UNFINISHED.labels(name).set_function(lambda: sum(self._running()))
        _LONGEST.labels(name).set_function(lambda: max(self._running(), default=0.0))

    def _running(self) -> list[float]:
        now = self._clock()
        return [now - since for since in self._started.values()]

    def added(self, key: Hashable) -> None:
        """A key waits now."""
        self._added.setdefault(key, self._clock())
        _ADDS.labels(self._name).inc()
        _DEPTH.labels(self._name).set(len(self._added))

    def started(self, key: Hashable) -> None:
        """A key is being worked on."""
        now = self._clock()
        _WAIT.labels(self._name).observe(now - self._added.pop(key, now))
        _DEPTH.labels(self._name).set(len(self._added))
        self._started[key] = now

    def finished(self, key: Hashable) -> None:
        """The work on a key has ended."""
        now = self._clock()
        _WORK.labels(self._name).observe(now - self._started.pop(key, now))

    def retried(self, _key: Hashable) -> None:
        """A key failed and comes again."""
        _RETRIES.labels(self._name).inc()


async def serve(port: int, *, ready: Callable[[], bool], host: str = "127.0.0.1") -> None:
    """/metrics, /healthz and /readyz until cancelled; port 0 takes a free one. Measures the loop's lag."""

    async def readiness(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="not synced yet\n")

    application = web.Application()
    application.router.add_get("/metrics", _metrics)
    application.router.add_get("/healthz", _healthy)
    application.router.add_get("/readyz", readiness)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        structlog.get_logger(__name__).info("serving metrics", address=runner.addresses[0])
        await _measure_lag()
    finally:
        await runner.cleanup()


async def _measure_lag() -> None:
    while True:
        due = time.monotonic() + LAG_PERIOD
        await asyncio.sleep(LAG_PERIOD)
        LOOP_LAG.set(max(0.0, time.monotonic() - due))


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _console() -> structlog.dev.ConsoleRenderer:
    # Plain tracebacks: the pretty ones print local variables, which can hold tokens.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
