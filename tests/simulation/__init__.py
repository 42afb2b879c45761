"""Deterministic simulation: the real controller among imitated servers and components, in virtual time.

One seed is one run: its jobs, what their users do, what breaks, and every delay. The same seed gives the
same history, in any process. ``oracle`` judges a run by the servers' and workers' histories alone and knows
nothing of our code; ``mutants`` keeps the judge honest.
"""
