"""The roles give each program what it needs and nothing that would let it, or a thief, take more."""

from typing import Any

import pytest

from kube_runtime.objects import Obj
from kueue_ks.install.manifests import load

INSTALLED = [
    "config/rbac/hub.yaml",
    "config/rbac/wds.yaml",
    "config/rbac/its.yaml",
    "config/rbac/worker.yaml",
]
ALL = [*INSTALLED, "config/rbac/discovery.yaml"]
READ = {"get", "list", "watch"}
VERBS = READ | {
    "create",
    "update",
    "patch",
    "delete",
}  # so no escalate, bind, impersonate, deletecollection, *
STATUS = {
    "workloads/status",
    "admissionchecks/status",
    "jobs/status",
    "clustermetrics/status",
    "capacityproviders/status",
}


def roles(*names: str) -> list[Any]:
    return [
        pytest.param(obj, id=f"{name}:{obj['metadata']['name']}")
        for name in names
        for obj in load(name)
        if obj["kind"] in {"Role", "ClusterRole"}
    ]


def bindings(*names: str) -> list[Any]:
    return [
        pytest.param(obj, load(name), id=f"{name}:{obj['metadata']['name']}")
        for name in names
        for obj in load(name)
        if obj["kind"] in {"RoleBinding", "ClusterRoleBinding"}
    ]


@pytest.mark.parametrize("role", roles(*ALL))
def test_every_right_is_spelled_out(role: Obj) -> None:
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}  # no nonResourceURLs
        assert "*" not in rule["apiGroups"]
        assert "*" not in rule["resources"]
        assert set(rule["verbs"]) <= VERBS
        assert {r for r in rule["resources"] if "/" in r} <= STATUS  # no exec, no tokens, no proxy


@pytest.mark.parametrize("role", roles(*ALL))
def test_secrets_are_read_by_name_in_one_namespace_or_not_at_all(role: Obj) -> None:
    for rule in role["rules"]:
        if "secrets" in rule["resources"]:
            assert role["kind"] == "Role"
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]


@pytest.mark.parametrize("role", roles(*INSTALLED))
def test_what_is_installed_reads_no_secret_and_changes_no_rights(role: Obj) -> None:
    touched = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert not touched & {"secrets", "roles", "clusterroles", "rolebindings", "clusterrolebindings"}
    assert not touched & {"serviceaccounts", "customresourcedefinitions", "certificatesigningrequests"}


@pytest.mark.parametrize("role", roles("config/rbac/its.yaml"))
def test_the_its_is_only_read_but_for_events(role: Obj) -> None:
    rules = [rule for rule in role["rules"] if rule["resources"] != ["events"]]
    assert rules
    assert all(set(rule["verbs"]) == READ for rule in rules)


@pytest.mark.parametrize("role", roles("config/rbac/hub.yaml"))
def test_on_the_hub_only_events_and_leases_are_made_and_only_workloads_deleted(role: Obj) -> None:
    for rule in role["rules"]:
        if "create" in rule["verbs"]:
            assert set(rule["resources"]) <= {"events", "leases"}
        if "delete" in rule["verbs"]:  # of deleted jobs, before those give their name free
            assert (role["metadata"]["name"], rule["resources"], rule["verbs"]) == (
                "kueue-ks:workload-controller:hub",
                ["workloads"],
                ["delete"],
            )


@pytest.mark.parametrize(("binding", "manifest"), bindings(*ALL))
def test_a_role_is_bound_to_one_program_under_both_of_its_names(binding: Obj, manifest: list[Obj]) -> None:
    ref, space = binding["roleRef"], binding["metadata"].get("namespace")
    assert any(
        obj["kind"] == ref["kind"]
        and obj["metadata"]["name"] == ref["name"]
        and obj["metadata"].get("namespace") == space
        for obj in manifest
    )
    accounts = [s for s in binding["subjects"] if s["kind"] == "ServiceAccount"]
    users = [s["name"] for s in binding["subjects"] if s["kind"] == "User"]
    assert users == [f"kueue-ks:{account['name']}" for account in accounts]
    assert len(accounts) + len(users) == len(binding["subjects"])
    assert {account["namespace"] for account in accounts} == {"kueue-kubestellar-system"}
    if ref["name"] != "kueue-ks:discovery":  # both controllers look for the control planes
        assert len(accounts) == 1
        assert accounts[0]["name"] in ref["name"]


@pytest.mark.parametrize("name", INSTALLED)
def test_every_service_account_that_is_bound_is_made(name: str) -> None:
    made = {
        (o["metadata"]["namespace"], o["metadata"]["name"])
        for o in load(name)
        if o["kind"] == "ServiceAccount"
    }
    bound = {
        (subject["namespace"], subject["name"])
        for obj in load(name)
        for subject in obj.get("subjects", ())
        if subject["kind"] == "ServiceAccount"
    }
    assert made == bound
