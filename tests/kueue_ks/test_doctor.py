"""The checks of doctor, each as a table of facts and what is said about them."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kueue_ks.doctor import clusters, controllers, queues, spaces, upstream
from kueue_ks.doctor.examination import CHECKS, examine
from kueue_ks.doctor.facts import Facts
from kueue_ks.doctor.finding import Check, Finding, Level, report_of
from kueue_ks.doctor.text import text
from kueue_ks.install.checks import Duty
from tests.kueue_ks.doctor_facts import (
    BOUND,
    LOW,
    OTHER_GROUPS,
    POLICY,
    WORKER,
    check,
    cluster,
    deployment,
    hub_like,
    job,
    kueue_config,
    lease,
    queue,
    space,
    two,
    world,
)
from tests.kueue_ks.view_builders import NOW, nodes, report
from vocabulary import keys

DOCUMENT = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()


class Case(NamedTuple):
    reason: str
    facts: Facts
    examined: Any
    check: Check
    level: Level
    words: str


C, L = Check, Level
CASES = [
    Case("alive", world(), controllers.controllers, C.CONTROLLERS, L.OK, "h leads, renewed 1s ago"),
    Case("options", world(), controllers.controllers, C.OPTIONS, L.OK, keys.OPTIONS),
    Case(
        "never led",
        world({"leases": []}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "no Lease kueue-kubestellar-system/workload-controller",
    ),
    Case(
        "renewed too long ago",
        world({"leases": [lease("quota-manager", age=16)]}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "renewed 16s ago and lasts 15s: h is gone",
    ),
    Case(
        "given away",
        world({"leases": [lease("quota-manager", holder="")]}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "has no holder",
    ),
    Case(
        "options not told",
        world({"leases": [lease("workload-controller")]}),
        controllers.controllers,
        C.OPTIONS,
        L.WARN,
        "assume defaults",
    ),
    Case("check Active", world(), queues.admission_checks, C.ADMISSION_CHECK, L.OK, "Active: 1 of 1"),
    Case(
        "check of another controller",
        world({"checks": [check(controller="example.com/x")]}),
        queues.admission_checks,
        C.ADMISSION_CHECK,
        L.FAIL,
        "there are: ks (example.com/x)",
    ),
    Case(
        "check not judged",
        world({"checks": [check() | {"status": {}}]}),
        queues.admission_checks,
        C.ADMISSION_CHECK,
        L.FAIL,
        "nobody has judged it yet",
    ),
    Case("no parameters", world(), queues.admission_checks, C.PARAMETERS, L.OK, "defaults"),
    Case(
        "parameters of another kind",
        world({"checks": [check(parameters={"kind": "ConfigMap", "name": "x"})]}),
        queues.admission_checks,
        C.PARAMETERS,
        L.FAIL,
        "names a ConfigMap",
    ),
    Case("queue leads", world(), queues.queues, C.QUEUES, L.OK, "1 LocalQueues lead to it"),
    Case(
        "no queue leads",
        world({"cluster_queues": []}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "none of 0 ClusterQueues",
    ),
    Case(
        "a flavor without our check",
        world({"cluster_queues": [queue({"name": "ks", "onFlavors": ["f1"]})]}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "flavor f2 lacks our check",
    ),
    Case(
        "queue not Active",
        world({"cluster_queues": [queue({"name": "ks"}, active="False")]}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "is not Active (R: m)",
    ),
    Case(
        "queue stopped",
        world({"cluster_queues": [queue({"name": "ks"}, stopPolicy="Hold")]}),
        queues.queues,
        C.QUEUES,
        L.WARN,
        "stopPolicy Hold",
    ),
    Case(
        "no LocalQueue",
        world({"local_queues": []}),
        queues.queues,
        C.QUEUES,
        L.WARN,
        "no LocalQueue leads to it",
    ),
    Case("policy bound", world(), queues.managed_by, C.MANAGED_BY, L.OK, "served (v1), installed and bound"),
    Case("policy missing", world({"policies_v1": []}), queues.managed_by, C.MANAGED_BY, L.FAIL, "is missing"),
    Case(
        "policy not bound",
        world({"bindings_v1": []}),
        queues.managed_by,
        C.MANAGED_BY,
        L.FAIL,
        "does nothing",
    ),
    Case(
        "policy in beta",
        world({"policies_v1beta1": [POLICY], "bindings_v1beta1": [BOUND]}, drop="policies_v1"),
        queues.managed_by,
        C.MANAGED_BY,
        L.OK,
        "served (v1beta1)",
    ),
    Case(
        "policies not served",
        world(drop="policies_v1"),
        queues.managed_by,
        C.MANAGED_BY,
        L.FAIL,
        "serves no MutatingAdmissionPolicy",
    ),
    Case(
        "policies not to be read",
        world(drop="policies_v1", hub_fields={"unread": {"policies_v1": "403"}}),
        queues.managed_by,
        C.MANAGED_BY,
        L.UNKNOWN,
        "403",
    ),
    Case("jobs managed", world(), queues.jobs_on_hub, C.JOBS_ON_HUB, L.OK, "all 1 unfinished"),
    Case(
        "a job of nobody",
        world({"jobs": [job("bare")]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.FAIL,
        "would start them: a/bare",
    ),
    Case(
        "a finished one is past",
        world({"jobs": [job(done=True)]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.OK,
        "all 0",
    ),
    Case(
        "one of another queue is not ours",
        world({"jobs": [job(queued="x")]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.OK,
        "all 0",
    ),
    Case(
        "gate on by default",
        world({"kueue": [deployment()], "kueue_config": kueue_config("a: b")}),
        upstream.kueue,
        C.KUEUE_GATES,
        L.WARN,
        "FinishOrphanedWorkloads is on",
    ),
    Case(
        "gate off by its configuration",
        world(
            {
                "kueue": [deployment()],
                "kueue_config": kueue_config("featureGates: {FinishOrphanedWorkloads: false}"),
            }
        ),
        upstream.kueue,
        C.KUEUE_GATES,
        L.OK,
        "is off",
    ),
    Case(
        "gate off by its flag",
        world({"kueue": [deployment("k:v0.19.2", "--feature-gates=A=true,FinishOrphanedWorkloads=false")]}),
        upstream.kueue,
        C.KUEUE_GATES,
        L.OK,
        "is off",
    ),
    Case(
        "Kueue slow",
        world({"kueue": [deployment()], "kueue_config": kueue_config("clientConnection: {qps: 30}")}),
        upstream.kueue,
        C.KUEUE_RATE,
        L.WARN,
        "qps is 30, below 50",
    ),
    Case("Kueue not seen", world(), upstream.kueue, C.KUEUE, L.UNKNOWN, "no Deployment"),
    Case(
        "one flag too low",
        world({"kubestellar": [LOW]}),
        upstream.kubestellar,
        C.KUBESTELLAR_RATE,
        L.WARN,
        "--its-qps is 5, below 50",
    ),
    Case("groups carried", world({"kubestellar": [LOW]}), upstream.kubestellar, C.CARRIED, L.OK, "batch"),
    Case(
        "groups left out",
        world({"kubestellar": [OTHER_GROUPS]}),
        upstream.kubestellar,
        C.CARRIED,
        L.FAIL,
        "leaves out batch, galaxy.kubestellar.io",
    ),
    Case(
        "rates enough",
        world({"kubestellar": [OTHER_GROUPS]}),
        upstream.kubestellar,
        C.KUBESTELLAR_RATE,
        L.OK,
        "--its-qps=200",
    ),
    Case("cluster usable", world(), clusters.clusters, C.CLUSTERS, L.OK, "accepted, available, labelled"),
    Case("no cluster", world({}, {"clusters": []}), clusters.clusters, C.CLUSTERS, L.FAIL, "0 Managed"),
    Case(
        "not accepted",
        world({}, {"clusters": [cluster(accepted=False)]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "hubAcceptsClient is false",
    ),
    Case(
        "wrong label",
        world({}, {"clusters": [cluster(label="x")]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "label name is 'x'",
    ),
    Case(
        "not available",
        world({}, {"clusters": [cluster(available="Unknown")]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "Available is Unknown",
    ),
    Case("reported", world(), clusters.clusters, C.REPORTS, L.OK, "reported 4s ago: 2 nodes"),
    Case("no report", world({}, {"statuses": []}), clusters.clusters, C.REPORTS, L.FAIL, "no report"),
    Case(
        "old report",
        world({}, {"statuses": [report("w1", nodes(), age=200)]}),
        clusters.clusters,
        C.REPORTS,
        L.FAIL,
        "3m20s old, limit 180s",
    ),
    Case(
        "report from the future",
        world({}, {"statuses": [report("w1", nodes(), age=-200)]}),
        clusters.clusters,
        C.REPORTS,
        L.FAIL,
        "ahead",
    ),
    Case("guarded", world(), clusters.guards, C.GUARDS, L.OK, "kueue-ks-carried-once installed and bound"),
    Case(
        "worker without one of its guards",
        world({}, {}, WORKER),
        clusters.guards,
        C.GUARDS,
        L.FAIL,
        "kueue-ks-namespace is missing",
    ),
    Case(
        "a guard that nothing binds",
        world({}, {"guard_bindings": []}),
        clusters.guards,
        C.GUARDS,
        L.FAIL,
        "kueue-ks-carried-once is not bound",
    ),
    Case(
        "guards not served",
        Facts(now=NOW, spaces=(space(Duty.ITS, {}),)),
        clusters.guards,
        C.GUARDS,
        L.WARN,
        "serves no ValidatingAdmissionPolicy v1",
    ),
    Case("workers not given", world(), clusters.guards, C.GUARDS, L.UNKNOWN, "guards of w1 cannot be seen"),
    Case("old hub", hub_like(minor=(1, 33)), spaces.spaces, C.VERSION, L.FAIL, "older than 1.34"),
    Case("oldest hub", hub_like(minor=(1, 34)), spaces.spaces, C.VERSION, L.OK, "1.34"),
    Case("clock well", hub_like(ahead=-4.9), spaces.spaces, C.CLOCK, L.OK, "within 5s"),
    Case("clock off", hub_like(ahead=-5.1), spaces.spaces, C.CLOCK, L.WARN, "5.1s behind ours"),
    Case("clock wrong", hub_like(ahead=61), spaces.spaces, C.CLOCK, L.FAIL, "61.0s ahead of ours"),
    Case(
        "a program without rights",
        hub_like(denied={"quota-manager": ("get x",)}, reviewed={"quota-manager": 9}),
        spaces.spaces,
        C.PROGRAM_RIGHTS,
        L.FAIL,
        "quota-manager: may not get x (9 asked)",
    ),
    Case(
        "a caller without rights",
        hub_like(denied={"caller": ("get x",)}, reviewed={"caller": 9}),
        spaces.spaces,
        C.CALLER_RIGHTS,
        L.WARN,
        "your credentials: may not get x",
    ),
    Case(
        "rights that may not be asked for",
        hub_like(unread={"rights of quota-manager": "403"}),
        spaces.spaces,
        C.PROGRAM_RIGHTS,
        L.UNKNOWN,
        "403",
    ),
    Case("no answer", hub_like(problem="refused"), spaces.spaces, C.API_SERVER, L.FAIL, "refused"),
    Case(
        "Kueue not installed",
        hub_like(served={"/apis/kueue.x-k8s.io/v1beta2": frozenset()}),
        spaces.spaces,
        C.SERVED,
        L.FAIL,
        "does not serve workloads.kueue.x-k8s.io (v1beta2)",
    ),
    Case("hub is WDS", two("a", "a"), spaces.two_api_servers, C.TWO_API_SERVERS, L.FAIL, "same API server"),
    Case("hub is not WDS", two("a", "b"), spaces.two_api_servers, C.TWO_API_SERVERS, L.OK, "two API servers"),
    Case("hub or WDS", two("a", ""), spaces.two_api_servers, C.TWO_API_SERVERS, L.UNKNOWN, "cannot be seen"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_a_check(case: Case) -> None:
    found = [f for f in case.examined(case.facts) if f.check is case.check and f.level is case.level]
    assert any(case.words in f.message for f in found), list(case.examined(case.facts))
    assert all(f.remedy for f in found if f.level in {Level.FAIL, Level.WARN})


def test_nothing_read_is_never_ok_nor_a_failure_of_what_was_not_seen() -> None:
    blind = Facts(now=NOW, spaces=(space(Duty.HUB, problem="dead"), space(Duty.ITS, problem="dead")))
    found = examine(blind)
    assert {(f.check, f.level) for f in found if f.level is not Level.UNKNOWN} == {
        (Check.API_SERVER, Level.FAIL)
    }


def test_an_object_that_cannot_be_read_ends_one_check_only() -> None:
    found = examine(world({"checks": [{"metadata": {"name": "ks"}}]}))
    assert [f for f in found if f.level is Level.UNKNOWN and "cannot be read as it should" in f.message]
    assert [f for f in found if f.check is Check.REPORTS and f.level is Level.OK]
    assert len(CHECKS) == len({run for _, run in CHECKS})


def test_text_and_report_count_the_same() -> None:
    findings = (
        Finding(Check.CLOCK, Level.FAIL, "hub", "is wrong", "NTP"),
        Finding(Check.VERSION, Level.OK, "hub", "fine", "never shown"),
    )
    lines = text(report_of(findings, at="", seconds=0.44))
    assert lines[0].split() == ["FAIL", "Clock", "hub:", "is", "wrong"]
    assert lines[1].strip() == "fix: NTP"
    assert "never shown" not in "\n".join(lines)
    assert lines[-2] == "1 failed, 0 warnings, 0 unknown, 1 passed in 0.4s"


@pytest.mark.parametrize("name", list(Check))
def test_each_check_is_explained(name: Check) -> None:
    assert f"## {name}\n" in DOCUMENT


def test_the_document_names_no_other_check() -> None:
    assert {line[3:] for line in DOCUMENT.splitlines() if line.startswith("## ")} == set(Check)
