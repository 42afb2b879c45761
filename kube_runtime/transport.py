"""Requests to one API server: session, credentials, time limits, and errors of our own tree.

The session is that of a ``kubernetes.aio`` ApiClient, so generated clients may share pool, TLS and
credentials (``api_client``). It is used directly, because the client's own request path costs two
thread hops and a recursion over the body per call; ``trust_env=False`` saves the hops: 2.7 times the
requests per second were measured.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from prometheus_client import Counter, Histogram

from kube_runtime.errors import ApiError, KubeError, Unauthorized, Unreachable, error_from_status
from kube_runtime.objects import Obj

CONNECT_TIMEOUT = 10.0  # seconds for TCP and TLS; a host that is gone answers nothing at all
EVENT_TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})

# client-go's names and labels (k8s.io/component-base/metrics/prometheus/restclient).
_REQUESTS = Counter(
    "rest_client_requests_total",
    "Requests by the code of the answer; <error> where none came.",
    ["code", "method", "host"],
)
_DURATION = Histogram(
    "rest_client_request_duration_seconds",
    "Of one request with its answer; the time that a watch stands is not counted.",
    ["verb", "host"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
)

Renew: TypeAlias = Callable[[], Awaitable[Configuration]]
"""Reads the credentials anew (file, plugin), gives a Configuration with them, or raises a KubeError."""


class TokenBucket:
    """At most ``qps`` requests per second on average, ``burst`` at once; first come, first served."""

    def __init__(
        self,
        qps: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 1.0 / qps
        self._ahead = self._interval * (burst - 1)  # how far a burst may run ahead of the average
        self._next = -math.inf  # when the average allows the next request
        self._clock, self._sleep = clock, sleep

    async def take(self) -> None:
        """Return when one more request may go out."""
        now = self._clock()
        mine = max(self._next, now - self._ahead)
        self._next = mine + self._interval
        if mine > now:
            await self._sleep(mine - now)


class Transport:
    """One API server's wire. All methods raise only ``KubeError``s; error texts never hold credentials."""

    def __init__(
        self,
        name: str,
        configuration: Configuration,
        *,
        renew: Renew | None = None,
        timeout: float = 30.0,
        limit: TokenBucket | None = None,
    ) -> None:
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.connection_pool_maxsize = 0  # no limit: each watch holds a connection for ever
        self.name = name
        self.server = _without_userinfo(configuration.host)
        self._host = urlsplit(self.server).netloc
        self.api_client = ApiClient(configuration)
        self._configuration = configuration
        self._renew = renew
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        self._limit = limit
        self._fixed = _fixed_arguments(configuration)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Obj | None = None,
        content_type: str = "application/json",
    ) -> Obj:
        """Send one request and decode the answer.

        A 401 makes the credentials be read anew, and the request be sent once more. Raises ApiError for
        a refusal, Unreachable for no answer within the time limit or one that is no JSON object.
        """
        if self._limit:
            await self._limit.take()
        headers = {"Content-Type": content_type} if body is not None else {}
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        arguments = {"params": params or {}, "data": data, "timeout": self._timeout}
        try:
            with _DURATION.labels(method, self._host).time():
                async with self._answered(method, path, headers, arguments) as response:
                    return _decoded(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as lost:
            raise self._unreachable(method, path, lost) from lost

    async def date(self, path: str) -> str:
        """The Date header of an answer, "" without one. Raises like ``request``."""
        try:
            async with self._answered("GET", path, {}, {"timeout": self._timeout}) as response:
                return response.headers.get("Date", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as lost:
            raise self._unreachable("GET", path, lost) from lost

    async def stream(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Obj, None]:
        """Yield the events of a watch, ``{"type": …, "object": …}``, as they arrive, of any length.

        Ends when the server closes the stream. An ERROR event is raised as the ApiError it carries;
        Unreachable when nothing came for ``idle`` seconds (a TimeoutError is its cause), the connection
        broke, or a line is no event.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle)
        try:
            async with (
                self._answered("GET", path, {}, {"params": params, "timeout": timeout}) as response,
                aclosing(_lines(response.content)) as lines,
            ):
                async for line in lines:
                    yield self._event(path, line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as lost:
            raise self._unreachable("WATCH", path, lost) from lost

    async def close(self) -> None:
        """Close all connections."""
        await self.api_client.close()

    def _session(self) -> aiohttp.ClientSession:
        rest = self.api_client.rest_client
        if rest.pool_manager is None:
            # The documented place to override the session; called as the client does on its first request.
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001
        session: aiohttp.ClientSession = rest.pool_manager
        return session

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, headers: Mapping[str, str], arguments: Mapping[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An open answer with a 2xx status; anything else is raised."""
        for attempt in range(2):
            renewals, token = self._renewals, await self._token()
            authorization = {"Authorization": token} if token else {}
            try:
                asked = await self._session().request(
                    method,
                    self.server + path,
                    headers={**headers, **authorization},
                    allow_redirects=False,  # a redirect must not carry our token elsewhere
                    **arguments,
                    **self._fixed,
                )
            except (aiohttp.ClientError, TimeoutError, OSError):
                _REQUESTS.labels("<error>", method, self._host).inc()
                raise
            async with asked as response:
                _REQUESTS.labels(str(response.status), method, self._host).inc()
                if response.status < 300:
                    yield response
                    return
                refusal = await self._refusal(method, path, response, token)
            if attempt or self._renew is None or not isinstance(refusal, Unauthorized):
                raise refusal
            try:
                await self._renew_once(self._renew, renewals)
            except KubeError as failed:
                raise refusal from failed

    async def _token(self) -> str:
        settings = await self._configuration.auth_settings()  # runs the refresh hook of in-cluster tokens
        return str(settings.get("BearerToken", {}).get("value") or "").strip()

    async def _renew_once(self, renew: Renew, seen: int) -> None:
        """Read credentials that are newer than those of renewal number ``seen``, once for all who wait."""
        async with self._renewing:
            if self._renewals == seen:
                fresh = await renew()
                self._configuration.api_key = fresh.api_key
                self._configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
                self._renewals += 1

    async def _refusal(
        self, method: str, path: str, response: aiohttp.ClientResponse, token: str
    ) -> ApiError:
        raw = (await response.read()).decode(errors="replace")
        if secret := token.rpartition(" ")[2]:  # an auth proxy may print the request into its error page
            raw = raw.replace(secret, "[token]")
        try:
            status = _decoded(raw)
        except ValueError:
            status = {"message": raw}
        return error_from_status(
            response.status,
            status,
            retry_after=_seconds(response.headers.get("Retry-After")),
            request=f"{self.name}: {method} {path}",
        )

    def _event(self, path: str, line: bytes) -> Obj:
        event = _decoded(line)
        kind, obj = event.get("type"), event.get("object")
        if kind == "ERROR" and isinstance(obj, dict):
            raise error_from_status(int(obj.get("code") or 500), obj, request=f"{self.name}: WATCH {path}")
        named = {"resourceVersion"} if kind == "BOOKMARK" else {"resourceVersion", "name", "uid"}
        metadata = obj.get("metadata") if isinstance(obj, dict) else None
        if kind not in EVENT_TYPES or not isinstance(metadata, dict) or not named <= metadata.keys():
            msg = f"no watch event but {kind!r} of {type(obj).__name__}"
            raise ValueError(msg)
        return event

    def _unreachable(self, method: str, path: str, lost: Exception) -> Unreachable:
        why = "no answer in time" if isinstance(lost, TimeoutError) else f"{type(lost).__name__}: {lost}"
        return Unreachable(f"{self.name}: {method} {self.server}{path}: {why}"[:1024])


def _fixed_arguments(configuration: Configuration) -> dict[str, Any]:
    """What the client's own request path adds to every request."""
    named = {
        "server_hostname": configuration.tls_server_name,
        "proxy": configuration.proxy,
        "proxy_headers": configuration.proxy_headers,
    }
    return {key: value for key, value in named.items() if value}


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _decoded(raw: bytes | str) -> Obj:
    try:
        answer = json.loads(raw)
    except ValueError:
        raise ValueError("not JSON") from None  # the original would quote the answer
    if not isinstance(answer, dict):
        msg = f"not a JSON object but {type(answer).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - the callers know one error for unusable answers
    return answer


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not sent by API servers and counts as absent."""
    try:
        return float(header) if header else None
    except ValueError:
        return None


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Lines of any length: ``readline`` gives up at its buffer's size, and watch lines pass 64 KiB.

    A last line without newline was cut off by a breaking connection; it is handed on and fails to decode.
    """
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for following in others:
            if line := b"".join(parts):
                yield line
            parts = [following]
    if rest := b"".join(parts):
        yield rest
