"""kas takes as many descriptors as it may have, whatever it was started with."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from kas.descriptors import take_all_descriptors
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert take_all_descriptors() == hard
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
assert take_all_descriptors() == hard
"""


def test_the_limit_that_a_process_is_started_with_is_raised_as_far_as_it_goes() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
