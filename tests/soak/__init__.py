"""Half an hour of everything at once on a real fleet: ``make soak``, or ``python -m tests.soak --seed N``.

One seed gives the same events at the same times, with the same jobs. What they meet is not the same twice,
since real programs run in real time.
"""
