"""Kubeconfig files: which ones count, and what is wrong with them, in one sentence.

``kubernetes.aio`` loads them; it is asked only after the checks here, because its own errors quote
whole entries, tokens and keys included. No text made here holds more than names and paths.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kube_runtime.errors import KubeError
from kube_runtime.objects import Obj

FILE_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class ConnectionFailed(KubeError):
    """No connection to an API server. The text is one sentence with the remedy, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Source:
    """One kubeconfig: its content, and the directory to which its file names are relative (None: data)."""

    where: str
    content: Obj
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The entries of one context, checked. ``where`` names them in messages."""

    where: str
    context: str
    server: str
    exec_command: str  # "" without exec plugin
    files: tuple[str, ...]  # other files that the entries refer to


def find_files(explicit: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """The files to use: the given one, else $KUBECONFIG, else ~/.kube/config; [] where there is none.

    As for kubectl, $KUBECONFIG may list several, of which some may be missing. Raises ConnectionFailed.
    """
    if explicit:
        path = explicit.expanduser()
        if not path.is_file():
            msg = f"kubeconfig {path} does not exist; correct the path, or write the file"
            raise ConnectionFailed(msg)
        return [path]
    if listed := environ.get("KUBECONFIG"):
        present = [
            p for part in listed.split(os.pathsep) if part and (p := Path(part).expanduser()).is_file()
        ]
        if not present:
            msg = f"KUBECONFIG is {listed!r}, and no such file exists; correct or unset it"
            raise ConnectionFailed(msg)
        return present
    default = Path.home() / ".kube" / "config"
    return [default] if default.is_file() else []


def read_files(paths: Sequence[Path]) -> list[Source]:
    """The decoded files. Raises ConnectionFailed."""
    sources = []
    for path in paths:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"kubeconfig {path} cannot be read ({type(error).__name__}); check its mode and content"
            raise ConnectionFailed(msg) from error
        sources.append(
            Source(f"kubeconfig {path}", parse(text, f"kubeconfig {path}"), path.absolute().parent)
        )
    return sources


def parse(text: str, where: str) -> Obj:
    """A kubeconfig as YAML or JSON text. Raises ConnectionFailed."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        msg = f"{where} is no valid YAML{line}; write it anew, for example with kubectl config"
        raise ConnectionFailed(msg) from None  # the original quotes the line
    if not isinstance(content, dict):
        msg = f"{where} holds no kubeconfig; write it anew, for example with kubectl config"
        raise ConnectionFailed(msg)
    return content


def choose(sources: Sequence[Source], context: str | None) -> Chosen:
    """The context to use, with everything checked that can be without asking anybody.

    ``context`` None means the first file's current-context. Raises ConnectionFailed.
    """
    where = ", ".join(source.where for source in sources)
    wanted = context or next((c for s in sources if (c := s.content.get("current-context"))), None)
    known = sorted({name for source in sources for name in _names(source, "contexts")})
    if not wanted:
        msg = (
            f"{where} has no current-context; name one of its contexts ({', '.join(known) or 'it has none'})"
        )
        raise ConnectionFailed(msg)
    if wanted not in known:
        msg = f"{where} has no context {wanted!r}; it has {', '.join(known) or 'none'}"
        raise ConnectionFailed(msg)
    refers, _ = _entry(sources, "contexts", str(wanted), where)
    here = f"context {wanted!r} of {where}"
    cluster, cluster_dir = _entry(sources, "clusters", refers.get("cluster"), here)
    user, user_dir = _entry(sources, "users", refers.get("user"), here) if refers.get("user") else ({}, None)
    files = (*_files(cluster, cluster_dir, here), *_files(user, user_dir, here))
    plugin = user.get("exec")
    command = str(plugin.get("command", "")) if isinstance(plugin, dict) else ""
    return Chosen(here, str(wanted), _server(cluster, here), command, files)


def _names(source: Source, section: str) -> Iterator[str]:
    for entry in source.content.get(section) or ():
        if isinstance(entry, dict) and entry.get("name"):
            yield str(entry["name"])


def _entry(sources: Sequence[Source], section: str, name: object, where: str) -> tuple[Obj, Path | None]:
    """The first entry of that name, as kubectl merges, and where its file names start."""
    kind = section.removesuffix("s")
    for source in sources:
        for entry in source.content.get(section) or ():
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(kind), dict):
                return entry[kind], source.directory
    msg = f"{where} has no {kind} {str(name)!r}; add it, or correct the context"
    raise ConnectionFailed(msg)


def _server(cluster: Mapping[str, Any], where: str) -> str:
    server = str(cluster.get("server") or "")
    url = urlsplit(server)
    if url.scheme not in {"http", "https"} or not url.hostname:
        msg = f"{where} has no server URL; its cluster needs server: https://HOST:PORT"
        raise ConnectionFailed(msg)
    if url.username or url.password:
        msg = f"{where} has credentials in the server URL; put them into the user's entry"
        raise ConnectionFailed(msg)
    return server


def _files(entry: Mapping[str, Any], directory: Path | None, where: str) -> tuple[str, ...]:
    """Files that count, as an entry with the same data inside does not read its file."""
    found = []
    for key in FILE_KEYS:
        inline = "token" if key == "tokenFile" else f"{key}-data"
        if not entry.get(key) or entry.get(inline):
            continue
        path = (directory or Path()) / str(entry[key])
        if not path.is_file():
            msg = f"{where} names {key} {path}, which does not exist; write the file, or correct the path"
            raise ConnectionFailed(msg)
        found.append(str(path))
    return tuple(found)
