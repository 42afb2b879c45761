"""The adapter to a server: what it sends, and what it makes of servers that misbehave."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from quota_manager.sources.prometheus import NoAnswer, PrometheusSource, Server, ask_everything
from quota_manager.sources.queries import Wanted, queries
from tests.quota_manager.sources.prometheus_answers import WANTED, answers

SECRET = "a-secret-token"


class Imitation:
    """Answers the known questions of one small cluster; ``says`` replaces every answer."""

    def __init__(self) -> None:
        self.says: tuple[int, bytes] | None = None
        self.authorizations: list[str | None] = []
        self.hold = threading.Event()
        self.hold.set()
        self._known = {
            query: [{"metric": dict(s.labels), "value": [1.0, s.value]} for s in answers()[name]]
            for name, query in vars_of(WANTED).items()
        }
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.authorizations.append(self.headers.get("Authorization"))
                outer.hold.wait(10)
                status, body = outer.answer(parse_qs(urlsplit(self.path).query).get("query", [""])[0])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(BrokenPipeError):  # who asked has given up
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, query: str) -> tuple[int, bytes]:
        if self.says is not None:
            return self.says
        body = {"status": "success", "data": {"resultType": "vector", "result": self._known[query]}}
        return 200, json.dumps(body).encode()

    async def asked(self, times: int) -> None:
        while len(self.authorizations) < times:  # noqa: ASYNC110  it is counted in other threads
            await asyncio.sleep(0.01)

    def at(self, **changed: Any) -> Server:
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        values = {"url": url, "cluster_label": "cluster", "token_file": None, "ca_file": None, "timeout": 5.0}
        return Server(**{**values, **changed})


def vars_of(wanted: Wanted) -> dict[str, str]:
    asked = queries(wanted, "cluster")
    return {name: getattr(asked, name) for name in asked.__slots__}


@pytest.fixture
def prometheus() -> Iterator[Imitation]:
    imitation = Imitation()
    yield imitation
    imitation.hold.set()
    imitation.server.shutdown()
    imitation.server.server_close()


def test_answers_become_reports(prometheus: Imitation) -> None:
    reading = ask_everything(prometheus.at(), WANTED)
    report = reading.reports["w1"].report
    assert report is not None
    assert report.nodes[0].allocatable["cpu"] == 8_000


def test_the_token_is_read_from_its_file_each_time(prometheus: Imitation, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    ask_everything(prometheus.at(token_file=file), WANTED)
    file.write_text("renewed")
    ask_everything(prometheus.at(token_file=file), WANTED)
    assert set(prometheus.authorizations) == {f"Bearer {SECRET}", "Bearer renewed"}


def test_no_token_is_no_header_even_with_a_netrc(
    prometheus: Imitation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    ask_everything(prometheus.at(), WANTED)
    assert set(prometheus.authorizations) == {None}


@pytest.mark.parametrize(
    ("reason", "says", "told"),
    [
        ("refused", (401, b"Unauthorized"), "401"),
        ("overloaded", (503, b"busy"), "503"),
        ("a bad question", (400, b'{"status":"error","error":"parse error"}'), "parse error"),
        ("a page of something else", (200, b"<html>"), "not that of a Prometheus: JSONDecodeError"),
        ("JSON of something else", (200, b'{"hello": 1}'), "not that of a Prometheus"),
        ("no vector", (200, b'{"data": {"result": [1.0, "NaN"]}}'), "not that of a Prometheus"),
    ],
)
def test_a_server_that_says_something_else(
    prometheus: Imitation, tmp_path: Path, reason: str, says: tuple[int, bytes], told: str
) -> None:
    prometheus.says = says
    (tmp_path / "token").write_text(SECRET)
    with pytest.raises(NoAnswer, match=told) as failure:
        ask_everything(prometheus.at(token_file=tmp_path / "token"), WANTED)
    assert SECRET not in str(failure.value), reason
    assert len(str(failure.value)) <= 256


def test_a_server_that_hangs(prometheus: Imitation) -> None:
    prometheus.hold.clear()
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s"):
        ask_everything(prometheus.at(timeout=0.2), WANTED)


def test_no_server(prometheus: Imitation) -> None:
    with pytest.raises(NoAnswer, match="cannot be reached"):
        ask_everything(prometheus.at(url="http://127.0.0.1:1"), WANTED)


def test_no_token_file(prometheus: Imitation, tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="cannot read the token file"):
        ask_everything(prometheus.at(token_file=tmp_path / "none"), WANTED)
    assert prometheus.authorizations == [], "it is not asked without its credential"


class Rounds:
    """A PrometheusSource at work, and how often it told of news."""

    def __init__(self, server: Server, wanted: Wanted = WANTED) -> None:
        self.news = asyncio.Event()
        self.told = 0
        self.source = PrometheusSource(server, interval=0.01, wanted=lambda: wanted, changed=self._changed)

    def _changed(self) -> None:
        self.told += 1
        self.news.set()

    def cpu(self) -> int | None:
        facts = self.source.reports(None, None, ()).get("w1")  # type: ignore[arg-type]
        return None if facts is None or facts.report is None else facts.report.nodes[0].allocatable["cpu"]


async def test_the_last_snapshot_stands_while_the_server_is_away(prometheus: Imitation) -> None:
    rounds = Rounds(prometheus.at())
    task = asyncio.create_task(rounds.source.run())
    async with asyncio.timeout(20):
        await rounds.news.wait()
        await prometheus.asked(3 * len(vars_of(WANTED)))
        prometheus.says = (503, b"away")
        asked = len(prometheus.authorizations)
        await prometheus.asked(asked + 3)
    assert rounds.cpu() == 8_000
    assert rounds.told == 1, "an answer that says nothing new is no news"
    task.cancel()


async def test_the_loop_turns_while_the_server_hangs(prometheus: Imitation) -> None:
    prometheus.hold.clear()
    rounds = Rounds(prometheus.at())
    task = asyncio.create_task(rounds.source.run())
    async with asyncio.timeout(3):  # less than the server's 5
        await prometheus.asked(1)
        assert rounds.cpu() is None
        prometheus.hold.set()
        await rounds.news.wait()
    assert rounds.cpu() == 8_000
    task.cancel()


async def test_nothing_is_asked_while_no_queue_is_managed(prometheus: Imitation) -> None:
    rounds = Rounds(prometheus.at(), Wanted(frozenset(), frozenset()))
    task = asyncio.create_task(rounds.source.run())
    await asyncio.sleep(0.1)
    task.cancel()
    assert prometheus.authorizations == []
