"""The demo: a fleet, a queue and jobs, live."""
