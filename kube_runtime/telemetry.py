"""Logs, metrics and health of a process, in the formats that everybody else's tools read.

Metrics of queues bear client-go's names, so that existing dashboards fit; docs/metrics.md lists
all. ``kube_runtime_loop_lag_seconds`` is ours: one event loop serves everything, and a slow callback delays
it all.

``/healthz`` asks for a restart, so it fails for nothing but what a restart mends: a loop that does not turn.
A server that cannot be reached is shown by metrics, and by ``/readyz`` where it keeps the process from its
work: that one is 200 only while nothing is missing, and else says what is.

Objects never enter a log: a value that is a mapping, or contains one, is replaced by its type's name. A field
of a Secret, or a token in an environment variable of a pod template, can thus not slip out with a debug line.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kube_runtime.informer import Informer

LOOP_LAG: Final = Gauge("kube_runtime_loop_lag_seconds", "How late the event loop is at its timers.")
LAG_PERIOD: Final = 1.0  # seconds between two measurements

LAG_LIMIT: Final = 10.0
"""Seconds; a loop that is later than that has missed the renewal of its Lease (``lease``: renew_deadline)."""

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
        _without_objects,
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


class InformerTelemetry(Collector):
    """How well informers know their servers; ``clock`` is that of their ``Pace``."""

    def __init__(
        self, informers: Sequence[Informer[Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._informers, self._clock = informers, clock

    def collect(self) -> Iterator[Metric]:
        """Read the informers."""
        labels = ["space", "resource"]
        synced = GaugeMetricFamily("kube_runtime_informer_synced", "1 after the first list.", labels=labels)
        objects = GaugeMetricFamily("kube_runtime_informer_objects", "Facts in memory.", labels=labels)
        silence = GaugeMetricFamily(
            "kube_runtime_informer_last_contact_seconds", "Since the last page or event.", labels=labels
        )
        relists = CounterMetricFamily(
            "kube_runtime_informer_relists", "Lists after the first one.", labels=labels
        )
        skipped = CounterMetricFamily(
            "kube_runtime_informer_skipped", "Versions of objects that could not be read.", labels=labels
        )
        for informer in self._informers:
            of = (informer.space.name, str(informer.resource))
            synced.add_metric(of, float(informer.synced))
            objects.add_metric(of, len(informer.items()))
            relists.add_metric(of, informer.relists)
            skipped.add_metric(of, informer.skipped)
            if informer.last_contact is not None:
                silence.add_metric(of, self._clock() - informer.last_contact)
        yield from (synced, objects, silence, relists, skipped)


def unsynced(informers: Iterable[Informer[Any]]) -> list[str]:
    """What ``/readyz`` says of stores that have not been filled yet."""
    return [f"{i.space.name}: {i.resource} not listed yet" for i in informers if not i.synced]


@contextmanager
def exposed(collector: Collector) -> Iterator[None]:
    """Have ``/metrics`` ask the collector."""
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)


async def serve(port: int, *, missing: Callable[[], Sequence[str]], host: str = "127.0.0.1") -> None:
    """/metrics, /healthz and /readyz until cancelled; port 0 takes a free one. Measures the loop's lag.

    ``missing`` says what keeps the process from being ready, a line each.
    """

    async def readiness(_request: web.Request) -> web.Response:
        lines = missing()
        return web.Response(
            status=503 if lines else 200, text="".join(f"{line}\n" for line in lines or ["ok"])
        )

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
    return _health(_lag())


def _lag() -> float:
    return next(sample.value for metric in LOOP_LAG.collect() for sample in metric.samples)


def _health(lag: float) -> web.Response:
    if lag > LAG_LIMIT:
        return web.Response(status=503, text=f"the event loop is {lag:.1f} s late\n")
    return web.Response(text="ok\n")


def _without_objects(
    _logger: object, _method: str, entry: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {key: _harmless(value) for key, value in entry.items()}


def _harmless(value: object) -> object:
    inner = value if isinstance(value, list | tuple | set | frozenset) else ()
    secret = isinstance(value, Mapping | bytes) or any(_harmless(item) is not item for item in inner)
    return f"<{type(value).__name__}>" if secret else value


def _console() -> structlog.dev.ConsoleRenderer:
    # Plain tracebacks: the pretty ones print local variables, which can hold tokens.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
