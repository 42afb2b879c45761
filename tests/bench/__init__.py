"""How long decisions, commands and jobs take: ``python -m tests.bench`` (docs/benchmarks.md).

Measured, and not asserted: a machine that is busy with something else is slower. What must hold anywhere is
counted or compared within one run (``test_bench``).
"""
