"""What a sync needed for a moment is the system's again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries keep nothing, and there is nothing to tell them"
)

PROGRAM = """
import sys
from agentk.memory import give_back_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if sys.argv[1] == "told":
    assert give_back_large_blocks()
del (largest := [bytearray(30 << 20)])[:]  # from here on glibc by itself keeps what is smaller
before = resident()
blocks = [bytearray(1 << 20) for _ in range(64)]
last = bytearray(300 << 10)  # what lies above the blocks, and stays
del blocks
print(resident() - before)
"""


SMALL = """
import sys
from agentk.memory import give_back_freed

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before = resident()
blocks = [bytearray(8 << 10) for _ in range(8 << 10)]
last = bytearray(8 << 10)  # what lies above the blocks, and stays
del blocks
if sys.argv[1] == "told":
    give_back_freed()
print(resident() - before)
"""


def kept(told: str, program: str = PROGRAM) -> int:
    """Return the bytes that a process keeps of 64 MiB it has freed."""
    done = subprocess.run([sys.executable, "-c", program, told], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_large_blocks_are_given_back_when_they_are_freed() -> None:
    assert kept("untold") > 32 << 20
    assert kept("told") < 4 << 20


def test_small_blocks_are_given_back_when_that_is_asked_for() -> None:
    assert kept("untold", SMALL) > 32 << 20
    assert kept("told", SMALL) < 4 << 20
