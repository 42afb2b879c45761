"""How a program gets its Spaces: kubeconfig files, service accounts, and control planes found on a hub.

Whatever goes wrong is a ConnectionFailed: one sentence that says what is wrong and what to do, without
secrets. A connection is tried before it is handed out. Credentials are read anew when a server answers
401, from where they came: file, exec plugin, mounted token, Secret.
"""

import base64
import binascii
import os
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config, load_kube_config_from_dict
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, InClusterConfigLoader
from pydantic import BaseModel, ConfigDict

from kube_runtime.errors import ApiError, Forbidden, KubeError, NotFound, Unauthorized, Unreachable
from kube_runtime.kubeconfig import Chosen, ConnectionFailed, Source, choose, find_files, parse, read_files
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space

__all__ = [
    "ConnectionFailed",
    "ConnectionSettings",
    "connect",
    "connect_control_plane",
    "connect_kubeconfig_dict",
    "discover_control_plane",
    "require_version",
]

Load: TypeAlias = Callable[[], Awaitable[Configuration]]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where Kubernetes mounts it

CONTROL_PLANES: Final = Resource(
    "tenancy.kflex.kubestellar.org", "v1alpha1", "controlplanes", "ControlPlane", namespaced=False
)
CONTROL_PLANE_TYPE: Final = "kflex.kubestellar.io/cptype"
TYPES: Final = frozenset({"its", "wds"})
SECRETS: Final = Resource("", "v1", "secrets", "Secret")


class ConnectionSettings(BaseModel):
    """Where one API server's kubeconfig is."""

    model_config = ConfigDict(frozen=True)

    kubeconfig: Path | None = None
    """A file. None: $KUBECONFIG, else ~/.kube/config, else the service account of the pod."""

    context: str | None = None
    """A context of it. None: its current-context."""

    @property
    def named(self) -> bool:
        """Whether somebody has said where, be it by file or by context."""
        return bool(self.kubeconfig or self.context)


async def connect(name: str, settings: ConnectionSettings, *, qps: float | None = None) -> Space:
    """The API server that the settings mean, under ``name`` in logs and metrics. Raises ConnectionFailed."""
    paths = find_files(settings.kubeconfig, os.environ)
    if paths:
        chosen = choose(read_files(paths), settings.context)

        async def load() -> Configuration:
            return await _load_files(paths, settings.context)

        return await _open(name, load, chosen.where, qps)
    if settings.context:
        msg = f"{name}: context {settings.context!r} is given, but no kubeconfig; name one, or set KUBECONFIG"
        raise ConnectionFailed(msg)
    return await _open(name, _load_service_account, "the pod's service account", qps)


async def connect_kubeconfig_dict(
    name: str, data: Obj, *, context: str | None = None, qps: float | None = None
) -> Space:
    """The API server of a kubeconfig that is at hand as data. Raises ConnectionFailed."""
    where = f"the kubeconfig of {name}"

    async def load() -> Configuration:
        return await _load_data(data, where, context)

    return await _open(name, load, where, qps)


async def discover_control_plane(
    hub: Space, name_or_type: str, *, in_cluster: bool, name: str | None = None, qps: float | None = None
) -> Space:
    """The control plane that KubeFlex made and described on ``hub``.

    ``name_or_type`` is the ControlPlane's name, or "its" or "wds", of which there must be one only.
    ``in_cluster`` chooses the kubeconfig for pods of the hub's cluster. The space is called ``name``, by
    default as it was asked for. Raises ConnectionFailed.
    """
    where = f"control plane {name_or_type!r} on {hub.name}"

    async def load() -> Configuration:
        try:
            data = await _control_plane_kubeconfig(hub, name_or_type, in_cluster=in_cluster)
        except (ApiError, Unreachable) as error:
            msg = f"{where} cannot be looked up: {_sentence(hub, error, f'the space {hub.name}')}"
            raise ConnectionFailed(msg) from error
        chosen = choose([Source(where, data, None)], None)
        if chosen.files or chosen.exec_command:
            msg = f"{where} has a kubeconfig that names files or programs; its Secret must hold everything"
            raise ConnectionFailed(msg)
        return await _load_data(data, where, None)

    return await _open(name or name_or_type, load, where, qps)


async def connect_control_plane(
    hub: Space, name: str, settings: ConnectionSettings, *, control_plane: str | None = None
) -> Space:
    """WDS or ITS where the settings name it, else as KubeFlex described it on ``hub``.

    ``control_plane`` is what it is called there, by default as here. Raises ConnectionFailed.
    """
    if settings.named:
        return await connect(name, settings)
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    return await discover_control_plane(hub, control_plane or name, in_cluster=in_cluster, name=name)


async def require_version(space: Space, minimum: str) -> None:
    """ConnectionFailed unless the server is Kubernetes ``minimum`` ("1.36") or newer.

    By ``major`` and ``minor``: a kube-apiserver built without release flags calls itself v0.0.0, and
    knows these two nevertheless.
    """
    try:
        info = await space.get_path("/version")
    except KubeError as error:
        raise ConnectionFailed(_sentence(space, error, f"the space {space.name}")) from error
    served = f"{info.get('major')}.{info.get('minor')}"
    if _major_minor(served) < _major_minor(minimum):
        version = info.get("gitVersion") or "of unknown version"
        msg = (
            f"{space.name}: {space.server} is Kubernetes {version}, too old; upgrade it to {minimum} or newer"
        )
        raise ConnectionFailed(msg)


def _major_minor(version: str) -> tuple[int, int]:
    """(1, 36) of "1.36" and of "1.36+", as some vendors write; (0, 0) of anything else."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


async def _open(name: str, load: Load, where: str, qps: float | None) -> Space:
    """Make the space, and try it."""
    configuration = await load()
    try:
        space = Space(name, configuration, renew=load, qps=qps)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        what = type(error).__name__
        msg = f"{name}: certificates or key of {where} cannot be loaded ({what}); write them anew"
        raise ConnectionFailed(msg) from error
    try:
        await space.version()
    except KubeError as error:
        await space.close()
        if isinstance(error.__cause__, ConnectionFailed):  # reading the credentials anew failed
            raise error.__cause__ from error
        raise ConnectionFailed(_sentence(space, error, where)) from error
    except BaseException:
        await space.close()
        raise
    return space


async def _load_files(paths: list[Path], context: str | None) -> Configuration:
    chosen = choose(read_files(paths), context)
    configuration = Configuration()
    try:
        await load_kube_config(
            config_file=os.pathsep.join(map(str, paths)),
            context=chosen.context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise _unusable(chosen, error) from None
    return _with_credentials(configuration, chosen)


async def _load_data(data: Obj, where: str, context: str | None) -> Configuration:
    chosen = choose([Source(where, data, None)], context)
    configuration = Configuration()
    try:
        await load_kube_config_from_dict(data, context=chosen.context, client_configuration=configuration)
    except (ConfigException, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise _unusable(chosen, error) from None
    return _with_credentials(configuration, chosen)


def _unusable(chosen: Chosen, error: Exception) -> ConnectionFailed:
    """Only the kind of the error is told, and it is not chained: its text can quote keys and tokens."""
    msg = f"{chosen.where} cannot be used ({type(error).__name__}); check its cluster and user entries"
    return ConnectionFailed(msg)


def _with_credentials(configuration: Configuration, chosen: Chosen) -> Configuration:
    if chosen.exec_command and not (configuration.api_key or configuration.cert_file):
        msg = (
            f"{chosen.where}: exec plugin {chosen.exec_command!r} gave no credentials; run it by hand to see"
        )
        raise ConnectionFailed(msg)
    return configuration


async def _load_service_account() -> Configuration:
    if not os.environ.get(SERVICE_HOST_ENV_NAME):
        raise ConnectionFailed(
            "no kubeconfig is given, KUBECONFIG is not set, there is no ~/.kube/config, "
            "and this is no pod; name a kubeconfig"
        )
    loader = InClusterConfigLoader(str(SERVICE_ACCOUNT / "token"), str(SERVICE_ACCOUNT / "ca.crt"))
    configuration = Configuration()
    try:
        loader.load_and_set(configuration)
    except (ConfigException, OSError) as error:
        msg = f"the service account in {SERVICE_ACCOUNT} cannot be used ({error}); "
        msg += "let the pod mount its token (automountServiceAccountToken)"
        raise ConnectionFailed(msg) from error
    return configuration


def _sentence(space: Space, error: KubeError, where: str) -> str:
    """What to do about an API server that does not do as it should."""
    who = f"{space.name}: {space.server}"
    match error:
        case Unauthorized():
            return f"{who} does not accept the credentials of {where} (401); renew them"
        case Forbidden():
            return f"{who} forbids this to the user of {where} (403: {error.message}); grant it by RBAC"
        case NotFound():
            return f"{who} does not serve what is asked (404: {error.message}); check the URL in {where}"
        case ApiError():
            return f"{who} answered {error.status} {error.message!r}; look into the server's log"
    match error.__cause__:
        case ssl.CertificateError():
            return (
                f"{who} has a certificate that the CA of {where} did not sign; correct certificate-authority"
            )
        case aiohttp.ClientSSLError():
            return f"{who} does not speak the TLS of {where}; check the URL's port and the certificates"
        case aiohttp.ClientConnectorDNSError():
            return f"{who} cannot be found by name; correct the server URL in {where}, or the DNS"
        case aiohttp.ClientConnectorError() as refused:
            return f"{who} cannot be reached ({refused.os_error}); start it, or correct the URL in {where}"
        case TimeoutError():
            return f"{who} does not answer in time; check the network and the URL in {where}"
    return f"{who} gave no usable answer ({error}); check the URL in {where}"


async def _control_plane_kubeconfig(hub: Space, name_or_type: str, *, in_cluster: bool) -> Obj:
    control_plane = await _control_plane(hub, name_or_type)
    name = control_plane["metadata"]["name"]
    where = f"control plane {name} on {hub.name}"
    reference = (control_plane.get("status") or {}).get("secretRef") or {}
    field = "inClusterKey" if in_cluster else "key"
    if not (reference.get("namespace") and reference.get("name") and reference.get(field)):
        msg = f"{where} has no status.secretRef with {field} yet; wait until KubeFlex has made it ready"
        raise ConnectionFailed(msg)
    secret_name = f"{reference['namespace']}/{reference['name']}"
    try:
        secret = await hub.get(SECRETS, reference["name"], reference["namespace"])
    except NotFound as error:
        msg = f"{where} refers to Secret {secret_name}, which does not exist; let KubeFlex make it anew"
        raise ConnectionFailed(msg) from error
    encoded = (secret.get("data") or {}).get(reference[field])
    if not encoded:
        msg = f"Secret {secret_name} of {where} has no key {reference[field]!r}; let KubeFlex make it anew"
        raise ConnectionFailed(msg)
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        msg = f"key {reference[field]!r} of Secret {secret_name} is no text; let KubeFlex make it anew"
        raise ConnectionFailed(msg) from None
    return parse(text, f"Secret {secret_name} of {where}")


async def _control_plane(hub: Space, name_or_type: str) -> Obj:
    if name_or_type not in TYPES:
        try:
            return await hub.get(CONTROL_PLANES, name_or_type)
        except NotFound as error:
            msg = f"{hub.name} has no ControlPlane {name_or_type!r}; create it, or give a kubeconfig instead"
            raise ConnectionFailed(msg) from error
    found = await hub.list(CONTROL_PLANES, label_selector=f"{CONTROL_PLANE_TYPE}={name_or_type}")
    if len(found) != 1:
        names = ", ".join(sorted(obj["metadata"]["name"] for obj in found)) or "none"
        msg = f"{hub.name} has not one ControlPlane of type {name_or_type} but {names}; give the name"
        raise ConnectionFailed(msg)
    return found[0]
