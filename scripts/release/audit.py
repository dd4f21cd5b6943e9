"""``make audit``: are the pinned packages still what the index has, not withdrawn, and free of known vulnerabilities?

Asks the package index alone. What it has of a file (hashes, yanked, the state of the project) comes with the index'
own protocol (PEP 691, 592 and 792), which every mirror serves. Advisories come from PyPI's JSON API by pip-audit; where
a mirror does not serve it, that is said, and the exit code is 3.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from scripts.release.making import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FINE: Final = 0
FOUND: Final = 1
NOT_ASKED: Final = 3

_FILES: Final = ("requirements/runtime.txt", "requirements/build.txt", "requirements/dev.txt")
_SIMPLE: Final = "application/vnd.pypi.simple.v1+json"
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_GONE: Final = frozenset({"quarantined", "archived", "deprecated"})
_SECONDS: Final = 60
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Pinned:
    """One pin: a version and the SHA-256 of the files that it may be installed from."""

    name: str
    version: str
    hashes: frozenset[str]


def main() -> int:
    """Print what was found; return 0 when all is well, 1 for a finding, 3 when advisories could not be asked for."""
    pins = {pin for file in _FILES for pin in read_pins((ROOT / file).read_text())}
    with ThreadPoolExecutor(8) as pool:
        findings = [finding for found in pool.map(_look, sorted(pins, key=lambda pin: pin.name)) for finding in found]
    for finding in findings:
        print(finding)
    print(f"{len(pins)} pins were compared with the index: {len(findings)} findings")
    advisories = _advisories()
    return FOUND if findings or advisories == FOUND else advisories


def read_pins(text: str) -> Iterator[Pinned]:
    """Yield the pins of a requirements file as ``scripts/requirements`` writes it."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        if match := _PIN.match(block):
            yield Pinned(match[1], match[2], frozenset(_HASH.findall(block)))


def findings_of(pin: Pinned, page: dict[str, Any]) -> list[str]:
    """Compare one pin with what the index has of its project. Pure."""
    what = f"{pin.name} {pin.version}"
    found = []
    status = page.get("project-status") or (page.get("meta") or {}).get("project-status") or {}
    if isinstance(status, dict) and status.get("status") in _GONE:
        found.append(f"{pin.name}: the project is {status['status']} ({status.get('reason') or 'no reason given'})")
    there = {one["hashes"].get("sha256", ""): one for one in page.get("files") or ()}
    ours = [there[digest] for digest in pin.hashes if digest in there]
    if not ours:
        found.append(f"{what}: the index has none of the files that are pinned")
    for file in ours:
        if file.get("yanked"):
            found.append(f"{what}: {file['filename']} was withdrawn: {file['yanked']}")
            break
    return found


def _look(pin: Pinned) -> Iterable[str]:
    index = os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple/"
    request = Request(f"{index.rstrip('/')}/{pin.name}/", headers={"Accept": _SIMPLE})  # noqa: S310 - pip's own setting
    try:
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return findings_of(pin, json.loads(answer.read(_MOST_BYTES)))
    except (URLError, TimeoutError, ValueError) as error:
        return [f"{pin.name}: the index gave no answer that can be read ({error})"]


def _advisories() -> int:
    """Ask for known vulnerabilities of what is shipped and of what builds it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "audit.json"
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner=off"]
        command += [f"--requirement={ROOT / file}" for file in _FILES]
        done = subprocess.run(
            [*command, "--format=json", f"--output={output}"], capture_output=True, text=True, timeout=900, check=False
        )
        if not output.is_file():
            print(f"known vulnerabilities were NOT looked for: {done.stderr.strip()[-500:]}")
            return NOT_ASKED
        return _told(json.loads(output.read_text())["dependencies"])


def _told(dependencies: list[dict[str, Any]]) -> int:
    skipped = [one for one in dependencies if "skip_reason" in one]
    vulnerable = [one for one in dependencies if one.get("vulns")]
    for one in vulnerable:
        for vulnerability in one["vulns"]:
            fixed = ", ".join(vulnerability.get("fix_versions") or ()) or "no version yet"
            print(f"{one['name']} {one['version']}: {vulnerability['id']}, fixed in {fixed}")
    if skipped:
        print(
            f"known vulnerabilities of {len(skipped)} of {len(dependencies)} packages were NOT looked for: the index"
            " does not serve PyPI's JSON API; run `make audit` where PyPI itself can be reached"
        )
    else:
        print(f"{len(dependencies)} packages were asked for: {len(vulnerable)} with known vulnerabilities")
    if vulnerable:
        return FOUND
    return NOT_ASKED if skipped else FINE


if __name__ == "__main__":
    sys.exit(main())
