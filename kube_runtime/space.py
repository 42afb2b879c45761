"""One API server, as the verbs that our programs need.

Guarantees: a write carries its precondition or is refused here (an update without resourceVersion,
a patch without uid or resourceVersion, a delete without uid cannot be sent). Nothing is retried behind
the caller's back, except a request refused with 401 after the credentials were read anew, and by
aiohttp a GET, PUT or DELETE whose kept-alive connection had been closed by the server: with the
preconditions above the worst outcome is a Conflict or NotFound for a write that did happen.
"""

from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from kubernetes.aio.client import ApiClient, Configuration

from kube_runtime.errors import Gone, Unreachable
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.transport import Renew, TokenBucket, Transport

PAGE = 500  # objects per page of a list, as client-go asks; keeps one answer in the low MiB
LIST_ATTEMPTS = (
    3  # a continue token lives 5 minutes at least: a third expiry means that lists cannot end here
)


class Space:
    """One API server. ``name`` ("hub", "w1") is for logs and metric labels, ``server`` its URL.

    All methods raise ``KubeError``s: Unreachable, or the ApiError that the server answered.
    """

    def __init__(
        self,
        name: str,
        configuration: Configuration,
        *,
        renew: Renew | None = None,
        timeout: float = 30.0,
        qps: float | None = None,
    ) -> None:
        """``timeout`` is for one request in seconds; ``qps`` limits requests, bursts are twice as high."""
        limit = TokenBucket(qps, burst=max(1, int(qps * 2))) if qps else None
        self._transport = Transport(name, configuration, renew=renew, timeout=timeout, limit=limit)
        self.name = name
        self.server = self._transport.server

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {self.server!r})"

    @property
    def api_client(self) -> ApiClient:
        """The client whose session is used here, for generated APIs that shall share it."""
        return self._transport.api_client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the space cannot be used any more."""
        await self._transport.close()

    async def version(self) -> str:
        """``gitVersion`` of the server: "v1.36.3"."""
        return str((await self.get_path("/version")).get("gitVersion", ""))

    async def clock(self) -> float | None:
        """Unix seconds of the server's clock, cut to whole ones; None when it does not say."""
        try:
            return parsedate_to_datetime(await self._transport.date("/version")).timestamp()
        except ValueError:
            return None

    async def get_path(self, path: str, params: Mapping[str, str] | None = None) -> Obj:
        """GET any path that answers a JSON object."""
        return await self._transport.request("GET", path, params=params)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Obj:
        """Read one object from the newest state (a quorum read)."""
        return await self.get_path(resource.path(namespace, _named(name)))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Obj]:
        """All matching objects of one instant; begins anew when that instant is compacted meanwhile."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        params = {key: value for key, value in selectors.items() if value}
        for attempt in range(1, LIST_ATTEMPTS + 1):
            try:
                return [
                    obj async for page in self.pages(resource, namespace, params) for obj in page["items"]
                ]
            except Gone:
                if attempt == LIST_ATTEMPTS:
                    raise
        raise AssertionError

    async def pages(
        self, resource: Resource, namespace: str | None, params: Mapping[str, str]
    ) -> AsyncGenerator[Obj, None]:
        """The documents of one consistent list, page by page; Gone when its instant is compacted meanwhile.

        Items carry ``apiVersion`` and ``kind``, which servers leave out in lists.
        """
        path, token = resource.path(namespace), ""
        while True:
            query = {**params, "limit": str(PAGE), **({"continue": token} if token else {})}
            page = await self.get_path(path, query)
            if not isinstance(page.get("metadata"), dict):
                msg = f"{self.name}: GET {path}: the answer is no list"
                raise Unreachable(msg)
            page["items"] = page.get("items") or []
            for item in page["items"]:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return

    def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Obj, None]:
        """Events after ``params["resourceVersion"]`` till the server ends it, see ``Transport.stream``."""
        query = {"watch": "true", "allowWatchBookmarks": "true", **params}
        return self._transport.stream(path, query, idle=idle)

    async def create(self, resource: Resource, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Create; AlreadyExists when the name is taken. Unknown fields are not dropped but a BadRequest."""
        params = {"fieldValidation": "Strict", **_dry(dry_run)}
        path = resource.path(obj["metadata"].get("namespace"))
        return await self._transport.request("POST", path, params=params, body=obj)

    async def apply(
        self,
        resource: Resource,
        obj: Obj,
        *,
        field_manager: str,
        subresource: str | None = None,
        force: bool = True,
        dry_run: bool = False,
    ) -> Obj:
        """Server-side apply, creating where needed; a uid or resourceVersion in ``obj`` is a precondition.

        Conflict when it does not hold, or without ``force`` when a field belongs to somebody else.
        BadRequest for unknown fields, which are not dropped.
        """
        complete = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        params = {
            "fieldManager": field_manager,
            "force": str(force).lower(),
            "fieldValidation": "Strict",
            **_dry(dry_run),
        }
        return await self._transport.request(
            "PATCH",
            _path_of(resource, obj, subresource),
            params=params,
            body=complete,
            content_type="application/apply-patch+yaml",  # JSON is YAML
        )

    async def update(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        """Replace what was read; Conflict when it has changed since. ValueError without resourceVersion."""
        if not obj["metadata"].get("resourceVersion"):
            raise ValueError("an update without metadata.resourceVersion would overwrite what others wrote")
        return await self._transport.request("PUT", _path_of(resource, obj, subresource), body=obj)

    async def patch(
        self,
        resource: Resource,
        obj_patch: Obj,
        *,
        name: str,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Obj:
        """JSON merge patch. ValueError unless its metadata has a uid or resourceVersion as precondition."""
        metadata = obj_patch.get("metadata") or {}
        if not (metadata.get("uid") or metadata.get("resourceVersion")):
            raise ValueError(
                "a patch without metadata.uid or resourceVersion could hit a later object of the name"
            )
        return await self._transport.request(
            "PATCH",
            resource.path(namespace, _named(name), subresource),
            body=obj_patch,
            content_type="application/merge-patch+json",
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> Obj | None:
        """Delete this object, never a later one of its name: Conflict when uid or resourceVersion differ.

        Returns the object when it outlives the call (finalizers, ``propagation="Foreground"``, a pod's grace
        period), for ``Informer.observe``; None when it is gone.
        """
        if not uid:
            raise ValueError("a delete without uid could hit a later object of the name")
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        answer = await self._transport.request("DELETE", resource.path(namespace, _named(name)), body=options)
        return answer if (answer.get("metadata") or {}).get("uid") == uid else None


def _dry(dry_run: bool) -> dict[str, str]:  # noqa: FBT001 - handed through, named at every outer call
    return {"dryRun": "All"} if dry_run else {}


def _named(name: str) -> str:
    """An empty name would address the whole collection: a delete would then be a delete of everything."""
    if not name:
        raise ValueError("an object's name cannot be empty")
    return name


def _path_of(resource: Resource, obj: Obj, subresource: str | None) -> str:
    metadata = obj["metadata"]
    return resource.path(metadata.get("namespace"), _named(metadata.get("name", "")), subresource)
