"""A data directory belongs to one kas: a second one is refused before it touches anything."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.installation import Kas
from tests.support.paths import ROOT
from tests.support.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_kas_on_the_same_directory_is_refused_and_the_first_loses_nothing(tmp_path: Path) -> None:
    kas = Kas(tmp_path / "kas", "https://git.invalid/{project}.git").start()
    private = kas.directory / "data/git-private"
    before = private.stat().st_ino
    settings = tmp_path / "second.yaml"
    text = kas.config.read_text()
    for port in (kas.websocket_port, kas.grpc_port, kas.api_port, kas.observability_port):
        text = text.replace(f":{port}", f":{free_port()}")
    settings.write_text(text)
    try:
        second = subprocess.run(
            [sys.executable, "-m", "kas", "serve", "--config", settings],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert second.returncode == 1, second.stdout + second.stderr
        assert f"{kas.directory / 'data'} is in use by another kas (process {kas.process.pid})" in second.stderr
        assert private.stat().st_ino == before
        assert kas.ready()
    finally:
        kas.stop()

    # The lock went with its holder; nothing has to be cleared away.
    kas.start().kill()
    kas.start().stop()
