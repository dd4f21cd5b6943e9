"""How many connections this process may hold: systems give far fewer descriptors than they would give on request."""

from __future__ import annotations

import resource


def take_all_descriptors() -> int:
    """Raise the limit of open files as far as it goes without privileges; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
