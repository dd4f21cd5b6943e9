"""An identity is no other living process', and after a crash the same again."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentk.leadership.identity import identity_for
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """\
import sys
from pathlib import Path
from agentk.leadership.identity import identity_for
with identity_for("e", pod_name="pod", directory=Path(sys.argv[1])) as identity:
    print(identity, flush=True)
    sys.stdin.read()
"""


def hold(directory: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that has the identity; return it as well."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def identity(directory: Path, *, election: str = "e", pod_name: str = "pod") -> str:
    with identity_for(election, pod_name=pod_name, directory=directory) as found:
        return found


def test_who_comes_after_a_crash_is_the_same_and_who_runs_beside_is_another(tmp_path: Path) -> None:
    process, held = hold(tmp_path)
    with process:
        assert identity(tmp_path) != held
        process.send_signal(signal.SIGSTOP)
        assert identity(tmp_path) != held
        process.kill()

    assert held.startswith("pod_")
    assert identity(tmp_path) == held


def test_another_election_or_another_pod_is_another_identity(tmp_path: Path) -> None:
    first = identity(tmp_path)

    assert identity(tmp_path, election="another") != first
    assert identity(tmp_path, pod_name="pod-2") != first


@pytest.mark.parametrize("content", [b"", b"pod_", b"pod_0123456789ab\n", b"\xff\xfe", b"x" * 10_000])
def test_a_damaged_file_is_written_anew(content: bytes, tmp_path: Path) -> None:
    identity(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)

    found = identity(tmp_path)

    assert file.read_bytes() == found.encode()
    assert identity(tmp_path) == found


def test_where_no_file_can_be_had_the_identity_is_a_new_one_and_no_link_is_followed(tmp_path: Path) -> None:
    identity(tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    (tmp_path / "precious").write_text("precious")
    file.symlink_to(tmp_path / "precious")

    assert identity(tmp_path) != identity(tmp_path)
    assert identity(tmp_path / "missing") != identity(tmp_path / "missing")
    assert (tmp_path / "precious").read_text() == "precious"
