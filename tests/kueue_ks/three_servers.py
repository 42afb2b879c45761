"""Hub, WDS and ITS over real HTTP in a thread of their own, for commands that run from argv to exit code.

They hold the objects of one ``Seen``, and answer lists, namespaced lists and single objects. Selectors are
not evaluated, except Kueue's for the Workload of a job: a ``Seen`` holds what its selectors would have let
through. Whatever is no GET is refused and remembered: these commands only read.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kube_runtime.objects import Obj
from kueue_ks.views.reading import READINGS
from kueue_ks.views.seen import Seen
from vocabulary import keys

SPACES = ("hub", "wds", "its")


class Servers:
    """``forbidden``: paths, as "/hub/apis/…", that answer 403; ``gone``: spaces that answer 503."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.forbidden: set[str] = set()
        self.gone: set[str] = set()
        self.writes: list[str] = []

    def answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Obj]:
        """Status and body of a GET."""
        if path.split("/")[1] in self.gone:
            return 503, _status("ServiceUnavailable", "no endpoints")
        if path in self.forbidden:
            return 403, _status("Forbidden", f"user ana cannot read {path}")
        if path.endswith("/version"):
            return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
        for name, reading in READINGS.items():
            objects = getattr(self.seen, name)
            if objects is None:
                continue
            there = {o["metadata"].get("namespace") for o in objects} | {
                reading.namespace,
                "team-a",
                "team-x",
            }
            for namespace in (None, *sorted(filter(None, there))):
                base = f"/{reading.space}{reading.resource.path(namespace)}"
                inside = [o for o in objects if namespace in (None, o["metadata"].get("namespace"))]
                if path == base:
                    return 200, {"metadata": {}, "items": [o for o in inside if _selected(o, query)]}
                for obj in inside:
                    if path == f"{base}/{obj['metadata']['name']}":
                        return 200, obj
        return 404, _status("NotFound", f"{path} not found")


def _selected(obj: Obj, query: Mapping[str, list[str]]) -> bool:
    key, _, value = "".join(query.get("labelSelector", [])).partition("=")
    owners = obj["metadata"].get("ownerReferences") or ()
    return key != keys.KUEUE_JOB_UID or value in {owner["uid"] for owner in owners}


def _status(reason: str, message: str) -> Obj:
    return {"kind": "Status", "reason": reason, "message": message}


@contextmanager
def serving(servers: Servers, folder: Path) -> Iterator[list[str]]:
    """The flags by which a command finds them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._send(*servers.answer(url.path, parse_qs(url.query)))

        def _refuse(self) -> None:
            servers.writes.append(f"{self.command} {self.path}")
            self._send(405, _status("MethodNotAllowed", "only reads are answered"))

        do_POST = do_PUT = do_PATCH = do_DELETE = _refuse  # noqa: N815  the names that http.server looks for

        def _send(self, code: int, body: Obj) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing: the test reads stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield [_flag(space, server.server_port, folder) for space in SPACES]
        finally:
            server.shutdown()
            thread.join()


def _flag(space: str, port: int, folder: Path) -> str:
    url = f"http://127.0.0.1:{port}/{space}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": space, "cluster": {"server": url}}],
        "users": [{"name": "ana", "user": {}}],
        "contexts": [{"name": space, "context": {"cluster": space, "user": "ana"}}],
        "current-context": space,
    }
    path = folder / f"{space}.kubeconfig"
    path.write_text(json.dumps(config))
    return f"--{space}-kubeconfig={path}"
