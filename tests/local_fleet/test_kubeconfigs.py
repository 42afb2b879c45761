"""Certificates and kubeconfig files."""

import base64
import ssl
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from local_fleet import kubeconfigs, pki
from local_fleet.layout import Layout, listeners


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    return pki.issue(tmp_path_factory.mktemp("fleet") / "pki")


def layout(root: Path, *, proxied: bool = False) -> Layout:
    names = listeners(("w1", "w2"), etcd_per_space=False, proxied=proxied)
    return Layout(root, ("w1", "w2"), {name: 20_000 + n for n, name in enumerate(names)}, proxied=proxied)


def load(path: Path) -> dict[str, object]:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document: dict[str, object] = yaml.safe_load(path.read_text())
    return document


@pytest.mark.parametrize(
    ("identity", "user", "group"),
    [
        ("admin", "admin", "system:masters"),
        ("workload-controller", "kueue-ks:workload-controller", "kueue-ks"),
        ("kueue", "kueue", "system:masters"),
    ],
)
def test_a_certificate_names_user_and_group(issued: pki.Pki, identity: str, user: str, group: str) -> None:
    certificate = x509.load_pem_x509_certificate(issued.identities[identity].certificate.read_bytes())
    subject = certificate.subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [user]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [group]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names), "an empty critical extension is refused by Go"


def test_keys_are_private_and_fit_their_certificates(issued: pki.Pki) -> None:
    for pair in (issued.server, *issued.identities.values()):
        assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
        ssl.create_default_context().load_cert_chain(pair.certificate, pair.key)
    assert stat.S_IMODE(issued.ca.parent.stat().st_mode) == 0o700


def test_contexts_and_servers(issued: pki.Pki, tmp_path: Path) -> None:
    where = layout(tmp_path)
    kubeconfigs.write_all(where, issued)
    everything = load(where.kubeconfig("all"))
    assert everything["current-context"] == "hub"
    assert isinstance(everything["contexts"], list)
    assert [context["name"] for context in everything["contexts"]] == ["hub", "wds", "its", "w1", "w2"]
    for context in ("hub", "wds", "its", "w1", "w2"):
        for identity in (None, *pki.OURS):
            document = load(where.kubeconfig(context, identity))
            assert document["current-context"] == context
            assert isinstance(document["clusters"], list)
            cluster = document["clusters"][0]["cluster"]
            assert cluster["server"] == where.url(where.contexts[context])
            assert base64.b64decode(cluster["certificate-authority-data"]) == issued.ca.read_bytes()
    assert where.url("control") == where.url(where.contexts["wds"]) == where.url(where.contexts["its"])


def test_only_our_programs_and_the_agents_go_through_links(issued: pki.Pki, tmp_path: Path) -> None:
    where = layout(tmp_path, proxied=True)
    kubeconfigs.write_all(where, issued)

    def server(path: Path) -> str:
        clusters = load(path)["clusters"]
        assert isinstance(clusters, list)
        return str(clusters[0]["cluster"]["server"])

    assert server(where.kubeconfig("hub", "workload-controller")).endswith(f":{where.ports['link/hub']}")
    assert server(where.kubeconfig("its", "quota-manager")).endswith(f":{where.ports['link/its']}")
    assert server(where.agent_kubeconfig("w2", "work-agent")).endswith(f":{where.ports['link/w2']}")
    assert server(where.agent_kubeconfig("w2", "status-addon")).endswith(f":{where.ports['link/w2']}")
    assert server(where.kubeconfig("hub")) == where.url("hub")
    assert server(where.kubeconfig("hub", "kueue")) == where.url("hub")
    assert server(where.kubeconfig("w1", "metrics-agent")) == where.url("w1")
