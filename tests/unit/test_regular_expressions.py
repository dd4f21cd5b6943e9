"""Every regular expression of the programs takes time in proportion to what it sees, whatever that is.

They are found, not listed: a new one is tried as well. Each is searched for in texts made of its own words and classes,
in a process that may use so much processor time and no more; a quadratic one would take a hundred times that.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agentk
import agentlink
import kas
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

LENGTH = 60_000
SECONDS = 20
CUT = {"kas.git.explain": 1000}
"""What sees lines of so many characters only, and may have a gap in it (``explain``)."""


def modules() -> Iterator[ModuleType]:
    for package in (agentlink, kas, agentk):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(("__main__", "_pb2", "_grpc")) and ".migrations" not in found.name:
                yield importlib.import_module(found.name)


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes], bool]]:
    """Yield module, expression, and whether it is looked for at every place of a text."""
    for module in modules():
        source = Path(module.__file__ or "").read_text()
        for name, value in vars(module).items():
            found: list[object] = [value]
            everywhere = not isinstance(value, re.Pattern) or bool(
                re.search(rf"\b{name}\.(search|sub|subn|findall|finditer|split)\b", source)
            )
            while found:
                one = found.pop()
                if isinstance(one, re.Pattern):
                    yield module.__name__, one, everywhere
                elif isinstance(one, tuple | list):
                    found += one
                elif isinstance(inner := getattr(one, "pattern", None), re.Pattern):
                    found.append(inner)


def texts(pattern: str, length: int) -> Iterator[str]:
    """Yield texts that begin to match often, and never to the end."""
    words = re.findall(r"[A-Za-z][A-Za-z' :]*[A-Za-z:']?|[^\w\s\\]", pattern)
    pieces = list(dict.fromkeys([*words[:12], "a", "0", " ", ".", "/", "-", "_", "a.", "0-", "a/"]))
    for piece in pieces:
        yield piece * (length // len(piece)) + "\x01"
        yield (words[0] if words else "") + piece * (length // len(piece)) + "\x01"


def try_all() -> None:
    """Search for all of them."""
    pattern: Any  # of text or bytes
    for name, pattern, everywhere in dict.fromkeys(patterns()):
        is_text = isinstance(pattern.pattern, str)
        written = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        print(name, repr(written), flush=True)  # noqa: T201 - the last line is the one that did not end
        for text in texts(written, CUT.get(name, LENGTH)):
            for search in (pattern.fullmatch, pattern.search if everywhere else pattern.match):
                search(text if is_text else text.encode("latin-1"))


def test_every_regular_expression_is_linear() -> None:
    command = [sys.executable, "-c", "from tests.unit.test_regular_expressions import try_all; try_all()"]

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=bounded, check=False)
    tried = done.stdout.splitlines()
    assert done.returncode == 0, f"{tried[-1:]} takes too long\n{done.stderr[-2000:]}"
    assert len(tried) > 80
