"""What is compiled, from which pinned Go modules, and which upstream manifests are kept beside it.

``stack/<name>/go.mod`` and ``go.sum`` are tested pins, separate because their Kubernetes versions differ.
Only the programs that the fleet runs are built. The manifests are copied at build time, so that starting a
cached fleet needs no Go.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

GO_AT_LEAST = (1, 26)  # the ``go`` line of every stack module


@dataclass(frozen=True, slots=True)
class Program:
    """One binary: the name it has with us, its package, and the Go module that gives it its version."""

    name: str
    package: str
    module: str
    built_as: str = ""  # what ``go build`` calls it, where that is not ``name``

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names under which the binary may lie in somebody's folder."""
        return (self.name, self.built_as) if self.built_as else (self.name,)


@dataclass(frozen=True, slots=True)
class Manifests:
    """YAML files of one Go module: ``pattern`` below its root, kept under ``name``."""

    name: str
    module: str
    pattern: str


@dataclass(frozen=True, slots=True)
class StackModule:
    """One ``go.mod`` with what it builds. ``usual_seconds``: a cold build on 2 cores, measured."""

    name: str
    usual_seconds: int
    programs: tuple[Program, ...]
    manifests: tuple[Manifests, ...]

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum are (package data)."""
        return Path(str(resources.files("local_fleet") / "stack" / self.name))

    def version_of(self, module: str) -> str:
        """The version that go.mod requires of ``module``, e.g. "v1.36.3"."""
        return _required_versions(self.folder / "go.mod")[module]

    def fingerprint(self, programs: tuple[Program, ...]) -> str:
        """Names a build of ``programs``: the pins, the packages and how they are linked."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        digest.update("\n".join(p.package for p in programs).encode())
        digest.update("\n".join(f"{m.name} {m.module} {m.pattern}" for m in self.manifests).encode())
        digest.update(self.linker_flags.encode())
        return digest.hexdigest()[:16]

    @property
    def linker_flags(self) -> str:
        """Strips symbols (a third of the size) and names the version.

        Without ``-X`` a Kubernetes that is built outside its own repository says v0.0.0-master, and whoever
        asks an API server for its version is misled.
        """
        flags = ["-s", "-w"]
        if self.name == "controlplane":
            version = self.version_of("k8s.io/kubernetes")
            major, minor, _ = version.removeprefix("v").split(".", 2)
            variables = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
            flags += [f"-X k8s.io/component-base/version.{name}={value}" for name, value in variables.items()]
            flags.append(
                f"-X k8s.io/client-go/pkg/version.gitVersion={version}"
            )  # in the User-Agent of audit logs
            flags.append(
                f"-X sigs.k8s.io/kueue/pkg/version.GitVersion={self.version_of('sigs.k8s.io/kueue')}"
            )
        return " ".join(flags)


_KUBERNETES = "k8s.io/kubernetes"
_KUEUE = "sigs.k8s.io/kueue"
_KWOK = "sigs.k8s.io/kwok"
_KUBESTELLAR = "github.com/kubestellar/kubestellar"
_ETCD = "go.etcd.io/etcd/server/v3"
_OCM_API = "open-cluster-management.io/api"

CONTROLPLANE = StackModule(
    name="controlplane",
    usual_seconds=390,
    programs=(
        Program("etcd", _ETCD, _ETCD, built_as="server"),
        Program("kube-apiserver", f"{_KUBERNETES}/cmd/kube-apiserver", _KUBERNETES),
        Program("kube-controller-manager", f"{_KUBERNETES}/cmd/kube-controller-manager", _KUBERNETES),
        Program("kube-scheduler", f"{_KUBERNETES}/cmd/kube-scheduler", _KUBERNETES),
        Program("kubectl", f"{_KUBERNETES}/cmd/kubectl", _KUBERNETES),
        Program("kueue", f"{_KUEUE}/cmd/kueue", _KUEUE),
        Program("kwok", f"{_KWOK}/cmd/kwok", _KWOK),
    ),
    manifests=(
        Manifests("kueue-crds", _KUEUE, "config/components/crd/bases/*.yaml"),
        Manifests("kueue-webhooks", _KUEUE, "config/components/webhook/manifests.yaml"),
        Manifests("kwok-stages", _KWOK, "kustomize/stage/node/fast/node-initialize.yaml"),
        Manifests("kwok-stages", _KWOK, "kustomize/stage/node/heartbeat-with-lease/node-*.yaml"),
        Manifests("kwok-stages", _KWOK, "kustomize/stage/pod/fast/pod-*.yaml"),
    ),
)
KUBESTELLAR = StackModule(
    name="kubestellar",
    usual_seconds=108,
    programs=(
        Program(
            "kubestellar-controller-manager",
            f"{_KUBESTELLAR}/cmd/controller-manager",
            _KUBESTELLAR,
            built_as="controller-manager",
        ),
        Program(
            "ocm-transport-controller", f"{_KUBESTELLAR}/pkg/transport/ocm-transport-controller", _KUBESTELLAR
        ),
    ),
    manifests=(
        Manifests("kubestellar-crds", _KUBESTELLAR, "pkg/crd/files/crds.yaml"),
        Manifests(
            "kubeflex-crds", "github.com/kubestellar/kubeflex", "config/crd/bases/*_controlplanes.yaml"
        ),
    ),
)
WORK_AGENT = StackModule(
    name="work-agent",
    usual_seconds=200,
    programs=(Program("work", "open-cluster-management.io/ocm/cmd/work", "open-cluster-management.io/ocm"),),
    manifests=(
        Manifests("ocm-crds", _OCM_API, "cluster/v1/*managedclusters.crd.yaml"),
        Manifests("ocm-crds", _OCM_API, "work/v1/*_manifestworks.crd.yaml"),
        Manifests("ocm-worker-crds", _OCM_API, "work/v1/*_appliedmanifestworks.crd.yaml"),
    ),
)
STACK = (CONTROLPLANE, KUBESTELLAR, WORK_AGENT)

_REQUIREMENT = re.compile(r"^\s*(?:require\s+)?(\S+)\s+(v\S+)(?:\s+//.*)?$", re.MULTILINE)


@cache
def _required_versions(go_mod: Path) -> dict[str, str]:
    """Module path to version; ``replace`` lines have ``=>`` in place of a version and do not match."""
    return dict(_REQUIREMENT.findall(go_mod.read_text()))
