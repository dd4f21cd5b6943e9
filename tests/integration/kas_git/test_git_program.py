"""A git that would not keep to the address that was looked at: kas does not start with it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("version", "said"), [("2.36.9", "git 2.36.9 is too old; install 2.37 or newer"), ("", "git")])
def test_kas_does_not_start_with_a_git_that_is_too_old_or_missing(tmp_path: Path, version: str, said: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if version:
        program = programs / "git"
        program.write_text(f"#!/bin/sh\necho git version {version}\n")
        program.chmod(0o755)
    settings = tmp_path / "kas.yaml"
    settings.write_text(f"data_dir: {tmp_path / 'data'}\n")

    done = subprocess.run(
        [sys.executable, "-m", "kas", "serve", "--config", settings],
        env={"PATH": str(programs), "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr
