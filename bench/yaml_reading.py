"""Reading 2,000 small manifests: bytes to checked objects, against PyYAML's C loader on the same bytes in the same run.

Prints one JSON object a line. ``ratio`` below 1 means that the whole of ``parse_file``, checks and JSON included, takes
less time than the peer takes to load values that it reads differently from kubectl.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from agentlink.manifests.model import Limits
from agentlink.manifests.parse import parse_file
from kas.desired.model import TreeEntry
from kas.desired.select import compile_globs
from kas.desired.tree import Paths

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES, _PATHS, _ROUNDS = 2_000, 100_000, 5


def _best(work: Callable[[], object]) -> float:
    """Return milliseconds of the fastest round: the others measure who else uses the machine."""
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main() -> None:
    """Measure and print."""
    files = [
        b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-%05d\n  namespace: default\n"
        b'  labels:\n    app: bench\ndata:\n  key: value-%d\n  other: "some value here"\n' % (number, number)
        for number in range(_FILES)
    ]
    limits = Limits()
    ours = _best(lambda: [parse_file("a.yaml", "blob", data, limits) for data in files])
    peer = _best(lambda: [yaml.load(data, yaml.CSafeLoader) for data in files])
    paths = [
        TreeEntry(f"team-{n % 100}/svc-{n}/deploy/m.{'yaml' if n % 20 else 'go'}", "", "100644") for n in range(_PATHS)
    ]
    selector = compile_globs((), Limits(files=_PATHS))
    select = _best(lambda: selector.select(Paths(paths)))
    rows = [
        {"name": "parse_2000", "value": ours, "unit": "ms", "ratio": ours / peer, "against": "yaml.CSafeLoader"},
        {"name": "select_100000", "value": select, "unit": "ms", "ratio": select / 200, "against": "200 ms"},
    ]
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
