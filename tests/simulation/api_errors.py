"""What kube-apiserver says when it refuses."""

from kube_runtime.errors import Conflict, Gone, Invalid, NotFound, error_from_status
from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource


def require(
    resource: Resource,
    key: Key,
    old: Obj,
    *,
    uid: str | None = None,
    version: str | None = None,
    words: str = "",
) -> None:
    has = old["metadata"]
    if uid and uid != has["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {has['uid']}"
        raise Conflict(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{key[1]}": {text}')
    if version is not None and version != has["resourceVersion"]:
        text = "the object has been modified; please apply your changes to the latest version and try again"
        if words:
            text = f"the ResourceVersion in the precondition ({version}) does not match"
        raise Conflict(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{key[1]}": {text}')


def not_found(resource: Resource, key: Key) -> NotFound:
    return NotFound(404, "NotFound", f'{resource} "{key[1]}" not found')


def immutable_uid(resource: Resource, key: Key) -> Exception:
    words = "Invalid value: field is immutable"
    return error_from_status(
        422,
        {
            "reason": "Invalid",
            "message": f'{resource} "{key[1]}" is invalid: metadata.uid: {words}',
            "details": {"causes": [{"field": "metadata.uid", "message": words}]},
        },
    )


def invalid(resource: Resource, key: Key, found: list[tuple[str, str]]) -> Invalid:
    words = ", ".join(f"{where}: Invalid value: {what}" for where, what in found)
    return Invalid(422, "Invalid", f'{resource.kind}.{resource.group} "{key[1]}" is invalid: {words}')


def gone(version: int, oldest: int) -> Gone:
    return Gone(410, "Expired", f"too old resource version: {version} ({oldest})")
