"""Kubeconfig documents, with certificates inside: a file can be copied, or put into a Secret."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local_fleet.layout import CONTEXT_SPACE, Layout
from local_fleet.pki import ADMIN, IDENTITIES, OURS, KeyPair, Pki


def kubeconfig(ca: Path, user: KeyPair, servers: Mapping[str, str], *, current: str) -> dict[str, Any]:
    """One user on several API servers: a context per entry of ``servers`` (context name to URL)."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": url, "certificate-authority-data": _base64(ca)}}
            for name, url in servers.items()
        ],
        "users": [
            {
                "name": "user",
                "user": {
                    "client-certificate-data": _base64(user.certificate),
                    "client-key-data": _base64(user.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "user"}} for name in servers],
        "current-context": current,
    }


def write_all(layout: Layout, pki: Pki) -> None:
    """All files of a fleet: per identity one per context and ``all.yaml``; for agents their way to the ITS.

    Our programs reach hub, WDS and ITS through the links; admins, and programs that we do not test, directly.
    """
    direct = {context: layout.url(space) for context, space in layout.contexts.items()}
    for identity in IDENTITIES:
        by_link = (
            {context: layout.url_by_link(context) for context in CONTEXT_SPACE} if identity in OURS else {}
        )
        servers = direct | by_link
        own = None if identity == ADMIN else identity
        user = pki.identities[identity]
        for context, url in servers.items():
            write(layout.kubeconfig(context, own), kubeconfig(pki.ca, user, {context: url}, current=context))
        write(layout.kubeconfig("all", own), kubeconfig(pki.ca, user, servers, current="hub"))
    for worker in layout.workers:
        servers = {"its": layout.url_by_link(worker)}
        for identity in ("work-agent", "status-addon"):
            document = kubeconfig(pki.ca, pki.identities[identity], servers, current="its")
            write(layout.agent_kubeconfig(worker, identity), document)


def write(path: Path, document: Mapping[str, Any]) -> Path:
    """Write it readable for the owner only: it holds a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
