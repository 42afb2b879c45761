"""What the agent tells of itself."""

from prometheus_client import generate_latest

from tests.metrics_agent.test_publish import Worker


async def test_memory_cpu_and_the_report_are_among_its_metrics() -> None:
    worker = Worker()
    worker.arrive()
    await worker.agent()()
    told = generate_latest().decode()
    values = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    assert float(values["process_resident_memory_bytes"]) > 1 << 20
    assert float(values["process_cpu_seconds_total"]) > 0
    assert float(values["kueue_ks_agent_report_bytes"]) > len('{"nodes":[],"workloads":[]}')
    assert float(values["kueue_ks_agent_reports_total"]) >= 1
    assert values["kueue_ks_agent_not_counted"] == "0.0"
