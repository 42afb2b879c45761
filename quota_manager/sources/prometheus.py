"""A Prometheus that scrapes kube-state-metrics on the clusters, asked in the background.

``prometheus-api-client`` is a blocking client, so a thread asks; what it found is published as one snapshot,
which the reconcile path reads without waiting. One round at a time. The thread is a daemon, because a process
that was told to end waits for no server.

When a round fails the last snapshot stands, and grows old by the rule of ``trust``.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import requests
import structlog
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_client import Counter, Gauge
from urllib3.util.retry import Retry

from quota_manager.decision import World
from quota_manager.facts import ReportFacts
from quota_manager.sources.queries import Queries, Wanted, queries
from quota_manager.sources.samples import NAME, Reading, Sample, read
from quota_manager.sources.source import BadSample
from quota_manager.trust import Instant

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

CONNECT: Final = 3.0
"""Seconds for a connection; the answer has the setting's time."""

ROUNDS: Final = Counter(
    "kueue_ks_prometheus_rounds_total", "Times that Prometheus was asked for everything.", ["result"]
)
LAST_ANSWER: Final = Gauge(
    "kueue_ks_prometheus_last_answer_timestamp_seconds", "When a round succeeded last; 0 before the first."
)


class NoAnswer(Exception):
    """Prometheus did not answer as it should; the text holds no credential."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask and how. Files are read at each round, since mounted credentials are renewed."""

    url: str
    cluster_label: str
    token_file: Path | None
    ca_file: Path | None
    timeout: float  # seconds for each question


class PrometheusSource:
    """``wanted`` tells what to ask about, ``changed`` hears that there is news."""

    name = NAME

    def __init__(
        self, server: Server, *, interval: float, wanted: Callable[[], Wanted], changed: Callable[[], None]
    ) -> None:
        self._server, self._interval = server, interval
        self._wanted, self._changed = wanted, changed
        self._reading = Reading({}, ())

    def reports(
        self,
        world: World,  # noqa: ARG002
        at: Instant,  # noqa: ARG002
        needed: Collection[str],  # noqa: ARG002
    ) -> Mapping[str, ReportFacts]:
        """See Source."""
        return self._reading.reports

    def bad_samples(self) -> Sequence[BadSample]:
        """See Source."""
        return self._reading.bad

    async def run(self) -> None:
        """Ask every ``interval`` seconds until cancelled."""
        failing = ""
        while True:
            wanted = self._wanted()
            if wanted.resources:
                failure = await self._round(wanted)
                if failure and failure != failing:
                    log.warning("prometheus does not answer", url=self._server.url, why=failure)
                failing = failure
            await asyncio.sleep(self._interval)

    async def _round(self, wanted: Wanted) -> str:
        """One round; why it failed, "" when it did not."""
        try:
            reading = await _in_thread(lambda: ask_everything(self._server, wanted))
        except NoAnswer as failure:
            ROUNDS.labels("failed").inc()
            return str(failure)
        ROUNDS.labels("answered").inc()
        LAST_ANSWER.set_to_current_time()
        if reading != self._reading:
            self._reading = reading
            self._changed()
        return ""


def ask_everything(server: Server, wanted: Wanted) -> Reading:
    """All questions, one after the other, and what follows from the answers. Raises NoAnswer. Blocks."""
    with requests.Session() as session:
        session.auth = _authorization(server.token_file)
        if server.ca_file is not None:
            session.verify = str(server.ca_file)
        client = PrometheusConnect(
            server.url.rstrip("/"),
            session=session,
            auth=session.auth,
            retry=Retry(0, read=False),  # the next round is the retry
            timeout=(CONNECT, server.timeout),
        )
        questions: Queries = queries(wanted, server.cluster_label)
        answers = {name: ask(client, query, server) for name, query in asdict(questions).items()}
    return read(answers, wanted, server.cluster_label)


def ask(client: PrometheusConnect, query: str, server: Server) -> list[Sample]:
    """One question. Raises NoAnswer."""
    if not query:
        return []
    try:
        answer = client.custom_query(query)
        return [Sample(dict(series["metric"]), str(series["value"][1])) for series in answer]
    except requests.Timeout as late:
        msg = f"no answer within {server.timeout:g} s"
        raise NoAnswer(msg) from late
    except (requests.JSONDecodeError, KeyError, TypeError, ValueError, IndexError) as strange:
        msg = f"the answer is not that of a Prometheus: {type(strange).__name__}"
        raise NoAnswer(msg) from strange
    except requests.RequestException as failed:
        msg = f"cannot be reached: {type(failed).__name__}"
        raise NoAnswer(msg) from failed
    except PrometheusApiClientException as refused:
        raise NoAnswer(str(refused)[:256]) from refused


def _authorization(token_file: Path | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Sets the bearer token, or nothing: with ``auth`` given, requests does not look into a .netrc."""
    try:
        token = None if token_file is None else token_file.read_text().strip()
    except OSError as unreadable:
        msg = f"cannot read the token file {token_file}: {unreadable.strerror}"
        raise NoAnswer(msg) from unreadable

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


async def _in_thread(work: Callable[[], Reading]) -> Reading:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reading] = loop.create_future()

    def settle(result: Reading | BaseException) -> None:
        if future.done():
            return
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    def run() -> None:
        result: Any
        try:
            result = work()
        except Exception as failure:  # noqa: BLE001  handed to whoever waits
            result = failure
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="prometheus", daemon=True).start()
    return await future
