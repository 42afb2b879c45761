"""The parts of the Kubernetes client that no command needs are loaded when somebody touches them.

``import kubernetes.aio.client`` runs ``kubernetes/__init__``, which imports the whole synchronous client with
requests, OAuth and JSON schemas, and ``kubernetes.aio`` its watches and leader election: a third of what a
command spends before it has asked anything. They stay importable; ``importlib.util.LazyLoader`` puts their
execution off until an attribute of theirs is read.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

PARTS: Final = frozenset(
    {
        *(f"kubernetes.{part}" for part in ("client", "config", "informer")),
        *(
            f"{package}.{part}"
            for package in ("kubernetes", "kubernetes.aio")
            for part in ("dynamic", "leaderelection", "stream", "utils", "watch")
        ),
    }
)


class _PartsFinder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in PARTS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def put_off() -> None:
    """From now on, in this process. For commands that look and end; a controller loads all at its start."""
    if _PartsFinder not in sys.meta_path:
        sys.meta_path.insert(0, _PartsFinder)
