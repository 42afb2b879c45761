"""Our manifests (config/), and which resource of an API server an object belongs to."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import yaml

from kube_runtime.errors import KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space

_CHECKOUT: Final = Path(__file__).resolve().parents[2]


class NotServedError(KubeError):
    """An API server does not know a kind; the text names both and says what to do."""


def manifest_root() -> Traversable:
    """The folder with config/ and examples/: the checkout that we run from, else the installed package.

    The wheel carries both folders as kueue_ks/manifests (pyproject.toml, force-include).
    """
    packaged = resources.files("kueue_ks").joinpath("manifests")
    return packaged if packaged.joinpath("config").is_dir() else _CHECKOUT


def load(name: str) -> list[Obj]:
    """The objects of one manifest, in its order; ``name`` is relative to the root: "config/rbac/hub.yaml"."""
    text = manifest_root().joinpath(*name.split("/")).read_text(encoding="utf-8")
    return [obj for obj in yaml.safe_load_all(text) if obj]


class Kinds:
    """Finds the resource of a kind by asking one API server, each group and version once."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: dict[str, dict[str, Resource]] = {}  # apiVersion: kind: resource

    async def resource_of(self, obj: Obj) -> Resource:
        """The resource of ``obj`` by its apiVersion and kind; raises NotServedError."""
        api_version, kind = str(obj["apiVersion"]), str(obj["kind"])
        if api_version not in self._known:
            self._known[api_version] = await self._discover(api_version)
        try:
            return self._known[api_version][kind]
        except KeyError:
            msg = (
                f"{self._space.name} ({self._space.server}) does not serve {kind} of {api_version}; "
                "install what defines it first, or check that this is the right API server"
            )
            raise NotServedError(msg) from None

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        try:
            found = await self._space.get_path(f"/{'apis' if group else 'api'}/{api_version}")
        except NotFound:
            return {}
        return {
            str(entry["kind"]): Resource(
                group, version, str(entry["name"]), str(entry["kind"]), namespaced=bool(entry["namespaced"])
            )
            for entry in found.get("resources", ())
            if "/" not in entry["name"]  # subresources are listed under the kind of their body
        }
