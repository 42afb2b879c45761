"""Every way in which connecting can fail, and the sentence that the user gets."""

import base64
import json
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import yaml
from kubernetes.aio.config import incluster_config

from kube_runtime import connections
from kube_runtime.connections import (
    CONTROL_PLANE_TYPE,
    ConnectionFailed,
    ConnectionSettings,
    connect,
    connect_kubeconfig_dict,
    discover_control_plane,
    require_version,
)
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from tests.kube_runtime.faulty_server import Answer, FaultyServer, serving, space_at
from tests.kube_runtime.object_history import Place

SECRET = "s3cr3t-t0k3n"
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def kubeconfig(url: str, *, cluster: Obj | None = None, user: Obj | None = None, **changes: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u"}},
            {"name": "second", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {"token": SECRET}}],
        **changes,
    }


def written(path: Path, content: Obj | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


async def failure(settings: ConnectionSettings) -> str:
    with pytest.raises(ConnectionFailed) as caught:
        await connect("hub", settings)
    return str(caught.value)


async def test_a_file_and_its_contexts(server: FaultyServer, tmp_path: Path) -> None:
    path = written(tmp_path / "config", kubeconfig(server.url))
    for context in (None, "second"):
        async with await connect("hub", ConnectionSettings(kubeconfig=path, context=context)) as hub:
            assert (hub.name, hub.server) == ("hub", server.url)
            await hub.version()
        assert server.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"


async def test_the_default_places(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = kubeconfig(server.url)["users"]
    one = written(tmp_path / "one", kubeconfig(server.url, users=[]))
    two = written(tmp_path / "two", kubeconfig("http://127.0.0.1:1", users=users))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{one}:{two}")
    async with await connect("hub", ConnectionSettings()) as hub:
        assert hub.server == server.url  # the first file that has an entry counts
    assert server.requests[-1].headers["Authorization"] == f"Bearer {SECRET}"
    monkeypatch.delenv("KUBECONFIG")
    written(tmp_path / "home" / ".kube" / "config", kubeconfig(server.url))
    async with await connect("hub", ConnectionSettings()) as hub:
        assert hub.server == server.url


class Wrong(NamedTuple):
    reason: str
    given: Obj | str
    want: str
    context: str | None = None


URL = "http://127.0.0.1:1"
WRONG = [
    Wrong("unknown context", kubeconfig(URL), "has no context 'third'; it has main, second", "third"),
    Wrong(
        "no context at all",
        {**kubeconfig(URL), "current-context": ""},
        "name one of its contexts (main, second)",
    ),
    Wrong("an empty file", "", "holds no kubeconfig"),
    Wrong("a list", "- a\n", "holds no kubeconfig"),
    Wrong("bad YAML beside a secret", f"a: b\ntoken: '{SECRET}", "is no valid YAML in line"),
    Wrong("no such cluster", kubeconfig(URL, clusters=[]), "has no cluster 'c'"),
    Wrong("no such user", kubeconfig(URL, users=[]), "has no user 'u'"),
    Wrong("sections of null", kubeconfig(URL, users=None), "has no user 'u'"),
    Wrong("no server", kubeconfig(""), "has no server URL"),
    Wrong("a server without scheme", kubeconfig("127.0.0.1:6443"), "has no server URL"),
    Wrong("a password in the URL", kubeconfig(f"https://me:{SECRET}@h"), "has credentials in the server URL"),
    Wrong(
        "no CA file",
        kubeconfig(URL, cluster={"certificate-authority": "ca.crt"}),
        "ca.crt, which does not exist",
    ),
    Wrong("no token file", kubeconfig(URL, user={"tokenFile": "tok"}), "tok, which does not exist"),
    Wrong(
        "CA data that is no base64",
        kubeconfig("https://127.0.0.1:1", cluster={"certificate-authority-data": f"{SECRET}!"}),
        "cannot be used (Error)",
    ),
    Wrong(
        "CA data that is no certificate",
        kubeconfig("https://127.0.0.1:1", cluster={"certificate-authority-data": "QUJD"}),
        "cannot be loaded",
    ),
    Wrong(
        "an exec plugin that fails",
        kubeconfig(URL, user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}),
        "exec plugin 'false' gave no credentials",
    ),
    Wrong("nobody listens", kubeconfig(URL), f"hub: {URL} cannot be reached ([Errno 111]"),
    Wrong("an unknown host", kubeconfig("http://no-such-host.invalid:1"), "cannot be found by name"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.reason)
async def test_wrong_kubeconfigs(case: Wrong, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = written(tmp_path / "config", case.given)
    with pytest.raises(ConnectionFailed) as caught:
        await connect("hub", ConnectionSettings(kubeconfig=path, context=case.context))
    assert case.want in str(caught.value)
    assert "\n" not in str(caught.value)
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value} {caplog.text}"
    assert SECRET not in shown


async def test_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    want = f"kubeconfig {missing} does not exist; correct the path, or write the file"
    assert await failure(ConnectionSettings(kubeconfig=missing)) == want
    assert "name a kubeconfig" in await failure(ConnectionSettings())
    assert "context 'a' is given, but no kubeconfig" in await failure(ConnectionSettings(context="a"))
    monkeypatch.setenv("KUBECONFIG", str(missing))
    assert "no such file exists; correct or unset it" in await failure(ConnectionSettings())


async def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\xfd")
    assert "cannot be read (UnicodeDecodeError)" in await failure(ConnectionSettings(kubeconfig=path))


class Refusing(NamedTuple):
    reason: str
    given: Callable[[FaultyServer], None]
    want: str


REFUSING = [
    Refusing(
        "401", lambda s: setattr(s, "tokens", set()), "does not accept the credentials of context 'main'"
    ),
    Refusing("403", lambda s: setattr(s, "forbidden", True), "forbids this to the user of context 'main'"),
    Refusing("404", lambda s: setattr(s.faults, "always", Answer(404, "what?")), "(404: what?)"),
    Refusing("500", lambda s: setattr(s.faults, "always", Answer(500, "broken")), "answered 500 'broken'"),
    Refusing(
        "a web site", lambda s: setattr(s.faults, "always", Answer(200, "<html>")), "gave no usable answer"
    ),
]


@pytest.mark.parametrize("case", REFUSING, ids=lambda case: case.reason)
async def test_servers_that_refuse(case: Refusing, server: FaultyServer, tmp_path: Path) -> None:
    case.given(server)
    path = written(tmp_path / "config", kubeconfig(server.url))
    text = await failure(ConnectionSettings(kubeconfig=path))
    assert case.want in text
    assert server.url in text
    assert SECRET not in text


def trusting(authority: trustme.CA, url: str) -> Obj:
    data = base64.b64encode(authority.cert_pem.bytes()).decode()
    return kubeconfig(url, cluster={"certificate-authority-data": data})


def serving_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_tls(server: FaultyServer) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    async with serving(serving_tls(authority)) as secure:
        async with await connect_kubeconfig_dict("hub", trusting(authority, secure.url)) as hub:
            assert await hub.version() == "v1.36.3"
        with pytest.raises(ConnectionFailed, match="did not sign; correct certificate-authority"):
            await connect_kubeconfig_dict("hub", trusting(stranger, secure.url))
    plain = server.url.replace("http:", "https:")
    with pytest.raises(ConnectionFailed, match="does not speak the TLS"):
        await connect_kubeconfig_dict("hub", trusting(authority, plain))


async def test_client_certificates() -> None:
    authority = trustme.CA()
    context = serving_tls(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    client = authority.issue_cert("client@example.org")
    async with serving(context) as server:
        config = trusting(authority, server.url)
        with pytest.raises(ConnectionFailed, match=r"hub: https://127\.0\.0\.1"):
            await connect_kubeconfig_dict("hub", config)
        config["users"][0]["user"] = {
            "client-certificate-data": base64.b64encode(client.cert_chain_pems[0].bytes()).decode(),
            "client-key-data": base64.b64encode(client.private_key_pem.bytes()).decode(),
        }
        async with await connect_kubeconfig_dict("hub", config) as hub:
            assert await hub.version() == "v1.36.3"
        assert "Authorization" not in server.requests[-1].headers


async def test_a_token_file_is_read_anew(server: FaultyServer, tmp_path: Path) -> None:
    token = written(tmp_path / "token", "first\n")
    path = written(tmp_path / "config", kubeconfig(server.url, user={"tokenFile": "token"}))
    server.tokens = {"first"}
    async with await connect("hub", ConnectionSettings(kubeconfig=path)) as hub:
        server.tokens = {"second"}
        token.write_text("second\n")
        made = await hub.create(NODES, {"metadata": {"name": "n"}})
        assert server.history.objects == {Place("/api/v1/nodes", "", "n"): made}
        server.requests.clear()
        await hub.version()
        assert len(server.requests) == 1  # the new token stays


async def test_exec_plugins_run_again(server: FaultyServer, tmp_path: Path) -> None:
    token = written(tmp_path / "token", "first")
    script = (
        "import json, pathlib; print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
        f"'kind': 'ExecCredential', 'status': {{'token': pathlib.Path({str(token)!r}).read_text()}}}}))"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", script],
    }
    server.tokens = {"first"}
    async with await connect_kubeconfig_dict("hub", kubeconfig(server.url, user={"exec": plugin})) as hub:
        server.tokens = {"second"}
        token.write_text("second")
        assert await hub.version() == "v1.36.3"


async def test_a_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    monkeypatch.setattr(connections, "SERVICE_ACCOUNT", tmp_path)
    async with serving(serving_tls(authority)) as server:
        host, _, port = server.url.removeprefix("https://").partition(":")
        monkeypatch.setenv(incluster_config.SERVICE_HOST_ENV_NAME, host)
        monkeypatch.setenv(incluster_config.SERVICE_PORT_ENV_NAME, port)
        assert "let the pod mount its token" in await failure(ConnectionSettings())
        token = written(tmp_path / "token", "first")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
        server.tokens = {"first"}
        async with await connect("hub", ConnectionSettings()) as hub:
            server.tokens = {"second"}
            token.write_text("second")  # long before the minute after which it is read in any case
            assert await hub.version() == "v1.36.3"
            assert await hub.version() == "v1.36.3"


class Version(NamedTuple):
    reason: str
    given: Obj
    enough: bool


def version(major: str, minor: str, git: str = "v1.0.0") -> Obj:
    return {"major": major, "minor": minor, "gitVersion": git}


VERSIONS = [
    Version("just enough", version("1", "36"), enough=True),
    Version("a vendor's", version("1", "36+"), enough=True),
    Version("compared as numbers", version("1", "100"), enough=True),
    Version("another major", version("2", "0"), enough=True),
    Version("a build without release flags", version("1", "36", "v0.0.0-master+$Format:%H$"), enough=True),
    Version("too old", version("1", "29"), enough=False),
    Version("compared as numbers, too", version("1", "4"), enough=False),
    Version("no version", {}, enough=False),
]


@pytest.mark.parametrize("case", VERSIONS, ids=lambda case: case.reason)
async def test_versions(case: Version, server: FaultyServer) -> None:
    server.version = case.given
    async with space_at(server) as hub:
        if case.enough:
            await require_version(hub, "1.36")
        else:
            with pytest.raises(ConnectionFailed, match=r"too old; upgrade it to 1\.36 or newer"):
                await require_version(hub, "1.36")
        await server.stop()
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            await require_version(hub, "1.36")


CONTROL_PLANES = "/apis/tenancy.kflex.kubestellar.org/v1alpha1/controlplanes"
REFERENCE = {"namespace": "wds1-system", "name": "admin", "key": "out", "inClusterKey": "in"}
SECRET_PLACE = Place("/api/v1/secrets", "wds1-system", "admin")


def put_control_plane(hub: FaultyServer, name: str, kind: str, reference: Obj | None = REFERENCE) -> None:
    place = Place(CONTROL_PLANES, "", name)
    hub.put(place, metadata={"labels": {CONTROL_PLANE_TYPE: kind}})
    if reference is not None:
        metadata = {"name": name, "labels": {CONTROL_PLANE_TYPE: kind}}
        hub.history.replace(
            place, {"metadata": metadata, "status": {"secretRef": reference}}, "status", strict=False
        )


def put_secret(hub: FaultyServer, **kubeconfigs: Obj | str) -> None:
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in kubeconfigs.items()
    }
    hub.put(SECRET_PLACE, data={key: base64.b64encode(text.encode()).decode() for key, text in texts.items()})


@pytest.mark.parametrize("asked", ["wds1", "wds"])
@pytest.mark.parametrize("in_cluster", [True, False])
async def test_discovery(*, asked: str, in_cluster: bool, server: FaultyServer) -> None:
    put_control_plane(server, "wds1", "wds")
    put_control_plane(server, "its1", "its")
    async with serving() as found, space_at(server) as hub:
        found.tokens = {"in-token" if in_cluster else "out-token"}
        put_secret(
            server,
            out=kubeconfig(found.url, user={"token": "out-token"}),
            **{"in": kubeconfig(found.url, user={"token": "in-token"})},
        )
        async with await discover_control_plane(hub, asked, in_cluster=in_cluster) as wds:
            assert (wds.name, wds.server) == (asked, found.url)
            found.tokens = {"rotated"}
            rotated = kubeconfig(found.url, user={"token": "rotated"})
            put_secret(server, out=rotated, **{"in": rotated})
            assert await wds.version() == "v1.36.3"
        async with await discover_control_plane(hub, asked, in_cluster=in_cluster, name="wds") as wds:
            assert wds.name == "wds"


async def undiscovered(hub_server: FaultyServer, asked: str = "wds1", *, in_cluster: bool = False) -> str:
    async with space_at(hub_server) as hub:
        with pytest.raises(ConnectionFailed) as caught:
            await discover_control_plane(hub, asked, in_cluster=in_cluster)
    return str(caught.value)


async def test_discovery_finds_not_one(server: FaultyServer) -> None:
    assert "hub has no ControlPlane 'wds1'" in await undiscovered(server)
    assert "type wds but none; give the name" in await undiscovered(server, "wds")
    put_control_plane(server, "b", "wds")
    put_control_plane(server, "a", "wds")
    assert "type wds but a, b; give the name" in await undiscovered(server, "wds")


class Unready(NamedTuple):
    reason: str
    given: Obj | None
    secret: Obj
    want: str


UNREADY = [
    Unready("no status yet", None, {}, "has no status.secretRef with key yet"),
    Unready("no key for outside", {**REFERENCE, "key": ""}, {}, "has no status.secretRef with key yet"),
    Unready("no Secret", REFERENCE, {}, "refers to Secret wds1-system/admin, which does not exist"),
    Unready("another key", REFERENCE, {"other": "x"}, "has no key 'out'"),
    Unready("no YAML", REFERENCE, {"out": f"token: '{SECRET}"}, "is no valid YAML"),
    Unready(
        "a program",
        REFERENCE,
        {"out": kubeconfig(URL, user={"exec": {"command": "sh"}})},
        "files or programs",
    ),
]


@pytest.mark.parametrize("case", UNREADY, ids=lambda case: case.reason)
async def test_control_planes_that_are_not_ready(case: Unready, server: FaultyServer) -> None:
    put_control_plane(server, "wds1", "wds", case.given)
    if case.secret:
        put_secret(server, **case.secret)
    text = await undiscovered(server)
    assert case.want in text
    assert SECRET not in text


async def test_the_key_for_pods_is_another(server: FaultyServer) -> None:
    put_control_plane(server, "wds1", "wds", {**REFERENCE, "inClusterKey": ""})
    assert "has no status.secretRef with inClusterKey yet" in await undiscovered(server, in_cluster=True)


async def test_a_secret_that_is_no_base64(server: FaultyServer) -> None:
    put_control_plane(server, "wds1", "wds")
    server.put(SECRET_PLACE, data={"out": f"{SECRET}!"})
    text = await undiscovered(server)
    assert "is no text" in text
    assert SECRET not in text


async def test_discovery_without_the_right(server: FaultyServer) -> None:
    server.forbidden = True
    text = await undiscovered(server)
    assert text.startswith("control plane 'wds1' on hub cannot be looked up: hub: ")
    assert "grant it by RBAC" in text
