"""Makes Kueue's nominal quotas say what the fleet really has, and introduces new clusters to the reports.

facts (what we know) → trust, capacity, distribution, decision (what follows from it) → sinks, actions
(what is written) → controller (which gathers, decides, acts).
"""
