"""The rights that our roles give (config/rbac), one by one, so that an API server can be asked for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kube_runtime.objects import Obj

USER = "kueue-ks:"  # before the program's name, see config/rbac
CALLER = "caller"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource; ``namespace`` and ``name`` "" for all."""

    verb: str
    group: str
    resource: str  # "workloads/status"
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace else "")

    @property
    def attributes(self) -> Mapping[str, str]:
        """As an access review takes it."""
        resource, _, subresource = self.resource.partition("/")
        return {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }


def rights_by_program(manifest: Iterable[Obj]) -> dict[str, tuple[Right, ...]]:
    """Program → all that its roles in this manifest give it. Roles for somebody else's user are left out."""
    objects = list(manifest)
    roles = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
        for obj in objects
        if obj["kind"] in {"Role", "ClusterRole"}
    }
    found: dict[str, set[Right]] = {}
    for binding in objects:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace, ref = binding["metadata"].get("namespace", ""), binding["roleRef"]
        role = roles[ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]]
        for subject in binding.get("subjects") or ():
            if subject["kind"] == "User" and subject["name"].startswith(USER):
                program = subject["name"].removeprefix(USER)
                found.setdefault(program, set()).update(_rights(role, namespace))
    return {program: tuple(sorted(rights)) for program, rights in sorted(found.items())}


def _rights(role: Obj, namespace: str) -> Iterable[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames") or ("",):
                        yield Right(verb, group, resource, namespace, name)
