"""Faults at every step, one after the other: too slow for ``make test``, which tries a sample of each."""
