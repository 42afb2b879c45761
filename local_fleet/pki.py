"""Certificates of one fleet: a CA of its own, a server certificate, a client certificate per identity."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

ADMIN: Final = "admin"
OURS: Final = ("workload-controller", "quota-manager", "metrics-agent")
_MASTERS = "system:masters"
PROGRAMS: Final = (
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "kueue",
    "kubestellar",
    "transport",
    "work-agent",
    "status-addon",
    "registration",
)
IDENTITIES: Final = {
    ADMIN: ("admin", _MASTERS),
    **{program: (f"kueue-ks:{program}", "kueue-ks") for program in OURS},
    **{program: (program, _MASTERS) for program in PROGRAMS},
}
"""Identity to (user name, group).

Our programs get their rights from config/rbac. The others have all rights by their group, and a name each,
so that audit logs tell who did what.
"""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pki:
    """Everything that was issued. ``service_accounts`` signs tokens and is no certificate's business."""

    ca: Path
    server: KeyPair
    service_accounts: Path
    identities: dict[str, KeyPair]


def issue(folder: Path) -> Pki:
    """Make a CA and everything it signs, below ``folder`` (0700; keys 0600)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = trustme.CA()
    ca = folder / "ca.crt"
    authority.cert_pem.write_to_path(ca)
    server = _write(
        authority.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc"), folder / "server"
    )
    service_accounts = folder / "service-accounts.key"
    _private(service_accounts, authority.issue_cert("service-accounts.invalid").private_key_pem.bytes())
    identities = {
        # With no name at all trustme writes an empty critical extension, which Go refuses.
        identity: _write(
            authority.issue_cert(f"{identity}.invalid", common_name=user, organization_name=group),
            folder / identity,
        )
        for identity, (user, group) in IDENTITIES.items()
    }
    return Pki(ca, server, service_accounts, identities)


def _write(issued: trustme.LeafCert, stem: Path) -> KeyPair:
    pair = KeyPair(stem.with_suffix(".crt"), stem.with_suffix(".key"))
    pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    _private(pair.key, issued.private_key_pem.bytes())
    return pair


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
