"""Names and shapes of WorkStatuses."""

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_runtime.objects import Obj
from local_fleet.work_statuses import (
    NAME_LIMIT,
    AppliedWork,
    ObjectRef,
    new_report,
    read_applied_work,
    read_report,
    report_name,
    status_details,
)

JOB = ObjectRef("batch", "v1", "jobs", "team", "train")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Named(NamedTuple):
    reason: str
    ref: ObjectRef
    kind: str
    want: str


NAMES = [
    Named("the parts in order, in lower case", JOB, "Job", "u1-batchv1-job-team-train"),
    Named("the core group has no name", ObjectRef("", "v1", "pods", "team", "p"), "Pod", "u1-v1-pod-team-p"),
    Named(
        "cluster scope has no namespace",
        ObjectRef("", "v1", "namespaces", "", "n"),
        "Namespace",
        "u1-v1-namespace--n",
    ),
]


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.reason)
def test_report_name(case: Named) -> None:
    assert report_name("u1", case.ref, case.kind) == case.want


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=300)


@given(name=names)
def test_every_report_name_is_valid(name: str) -> None:
    found = report_name("u1", ObjectRef("x.io", "v1", "things", "team", name), "Thing")

    assert len(found) <= NAME_LIMIT
    assert SUBDOMAIN.fullmatch(found) or "." in found  # dots beside dashes come from the object's own name


@given(first=names, second=names)
def test_different_objects_have_different_reports(first: str, second: str) -> None:
    one, two = (
        report_name("u1", ObjectRef("x.io", "v1", "things", "", name), "Thing") for name in (first, second)
    )

    assert (one == two) == (first.lower() == second.lower())


def applied(*resources: Obj) -> Obj:
    return {
        "metadata": {"name": "hash-mw", "uid": "u1"},
        "spec": {"manifestWorkName": "mw", "hubHash": "hash"},
        "status": {"appliedResources": list(resources)},
    }


def test_a_work_lists_what_has_a_status() -> None:
    work = read_applied_work(
        applied(
            {
                "group": "batch",
                "version": "v1",
                "resource": "jobs",
                "namespace": "team",
                "name": "train",
                "uid": "j1",
            },
            {"version": "v1", "resource": "secrets", "namespace": "team", "name": "s"},
            {"version": "v1", "resource": "configmaps", "namespace": "team", "name": "c"},
            {"version": "v1", "resource": "serviceaccounts", "namespace": "team", "name": "a"},
            {"group": "rbac.authorization.k8s.io", "version": "v1", "resource": "clusterroles", "name": "r"},
            {"version": "v1", "resource": "namespaces", "name": "team"},
        )
    )

    assert work == AppliedWork(
        "hash-mw", "u1", "mw", {JOB: "j1", ObjectRef("", "v1", "namespaces", "", "team"): ""}
    )
    assert work.lists(JOB, "j1")
    assert not work.lists(JOB, "another object of that name")
    assert work.lists(ObjectRef("", "v1", "namespaces", "", "team"), "any: the agent has not said")


def test_a_work_that_has_applied_nothing_yet() -> None:
    assert read_applied_work({**applied(), "status": {}}).objects == {}


def test_a_report_reads_back_as_it_was_made() -> None:
    owner = {"metadata": {"name": "mw", "namespace": "w1", "uid": "m1", "labels": {"a": "b"}}}

    made = new_report("r", JOB, "Job", owner, status_details(3, 1_795_000_000.9))

    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["controller"] is True
    assert made["metadata"]["ownerReferences"][0]["uid"] == "m1"
    assert made["spec"]["sourceRef"]["kind"] == "Job"
    assert made["statusDetails"]["lastCurrencyUpdateTime"] == "2026-11-18T11:06:40Z"
    made["metadata"] |= {"uid": "r1", "resourceVersion": "7"}
    report = read_report(made)
    assert (report.ref, report.generation, report.status, report.version) == (JOB, 3, None, "7")
