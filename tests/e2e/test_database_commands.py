"""``kas db`` beside a running kas, and after it: with each kind of database, as an operator does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.installation import Kas

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def kas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kas]:
    """A kas that is prepared and not started."""
    settings = ""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.tcp_url(server.create_database())
        settings = f'database: "{url}"\ndatabase_password_file: "{server.password_file}"\n'
    prepared = Kas(tmp_path / "kas", "http://127.0.0.1:1/{project}.git", settings=settings)
    yield prepared
    prepared.stop()


def _db(kas: Kas, *args: str) -> subprocess.CompletedProcess[str]:
    return kas.run_cli("db", *args, "--config", str(kas.config))


def test_a_database_is_upgraded_backed_up_and_restored(kas: Kas, tmp_path: Path) -> None:
    file = str(tmp_path / "backup")
    assert _db(kas, "current").stdout.startswith("empty (this kas works with ")
    assert "of another version" in _db(kas, "renew-key").stderr
    assert _db(kas, "upgrade").stdout.startswith("empty -> ")
    assert _db(kas, "upgrade").stdout.endswith("(nothing to do)\n")
    assert _db(kas, "current").stdout.endswith("(up to date)\n")
    kas.start()
    kas.cli("agent", "create", "--project", "group/config", "--name", "kept")
    assert (_db(kas, "backup", file).returncode, kas.ready()) == (0, True)
    kas.cli("agent", "create", "--project", "group/config", "--name", "lost")
    assert _db(kas, "renew-key").stdout.startswith("renewed: restart every kas")

    refused = _db(kas, "restore", file, "--force")
    assert (refused.returncode, "stop kas first" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr
    assert kas.ready()

    kas.stop()
    refused = _db(kas, "restore", file)
    assert (refused.returncode, "--force replaces what it holds" in refused.stderr) == (1, True)
    assert _db(kas, "restore", file, "--force").returncode == 0
    kas.start()
    assert [agent["name"] for agent in kas.get("agents")] == ["kept"]
