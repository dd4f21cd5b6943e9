"""``make fuzz``: the fuzz tests over and over, with other inputs each time, until the time is over or one fails.

What made one fail becomes a seed of its parser, so that ``make test`` fails as well until the parser is mended.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.inputs import FOUND, SEEDS

FOLDER = Path(__file__).parent
EXAMPLES = 500
"""Inputs that each test makes in a round, which then takes about a minute."""


def _found() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in SEEDS.glob(f"*/{FOUND}-*")}


def main() -> int:
    """Run rounds; return how the last one ended."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--seconds", type=float, default=300, help="no round begins after these (default: 300)")
    arguments.add_argument("-k", default="", help="only tests whose names hold this, as for pytest")
    chosen = arguments.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # CI's inputs are the same always
    environment |= {"FUZZ_EXAMPLES": str(EXAMPLES), "FUZZ_KEEP": "1"}
    end = time.monotonic() + chosen.seconds
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        before, seed = _found(), random.SystemRandom().randrange(2**32)
        command = [sys.executable, "-m", "pytest", "-q", f"--hypothesis-seed={seed}", "-k", chosen.k, str(FOLDER)]
        code = subprocess.run(command, cwd=FOLDER.parent.parent, env=environment, check=False).returncode
        rounds += 1
        if code != 0:
            new = sorted(str(path) for path, data in _found().items() if before.get(path) != data)
            kept = "".join(f"  {path}\n" for path in new) or "  none: it was no input that failed\n"
            sys.stdout.write(f"These inputs are seeds now. Mend the parser, and give them better names:\n{kept}")
            return code
    sys.stdout.write(f"{rounds} rounds of {EXAMPLES} inputs for each test: nothing was found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
