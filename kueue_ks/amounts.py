"""Amounts as a person reads them at a glance. Objects and JSON get canonical quantities instead."""

from typing import Final

from kube_runtime.quantity import format_milli

GIB: Final = 2**30


def amount(milli: int, resource: str) -> str:
    """Milli-units in the resource's usual unit: cpu "85.5", memory "322Gi", others as a quantity."""
    if resource == "cpu":
        return f"{milli / 1000:.1f}".removesuffix(".0")
    if resource == "memory" and milli >= GIB * 1000:
        return f"{milli / 1000 / GIB:.1f}".removesuffix(".0") + "Gi"
    return format_milli(milli, resource)


def short_name(resource: str) -> str:
    """Without the vendor: "gpu" for "nvidia.com/gpu"."""
    return resource.rpartition("/")[2]


def age(seconds: float) -> str:
    """Since a timestamp of the API, which has whole seconds."""
    return f"{max(0, round(seconds))}s" if seconds < 10 else duration(seconds)


def duration(seconds: float) -> str:
    """Like kubectl's ages: "2.3s" below ten seconds, "48s", "4m12s", "3h20m", "2d4h"."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 3 * 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 2 * 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
