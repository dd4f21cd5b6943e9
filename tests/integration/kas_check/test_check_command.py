"""The command ``kas check``: on what is well, on what is broken, and beside a kas that runs."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from kas.cli.main import main
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.git_server import GitServer
    from tests.support.installation import Kas

    Check = Callable[..., tuple[int, dict[str, dict[str, Any]]]]

PASSWORD = "hidden-word"


@pytest.fixture
def check(kas: Kas) -> Check:
    """Run the command, and return its exit code and the findings by ``area/check``."""

    def run(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        done = kas.run_cli("check", "--config", str(kas.config), "-o", "json", *arguments)
        assert PASSWORD not in done.stdout + done.stderr
        findings = json.loads(done.stdout)["findings"]
        return done.returncode, {f"{found['area']}/{found['check']}": found for found in findings}

    return run


def levels(found: dict[str, dict[str, Any]], level: str) -> list[str]:
    return [check for check, finding in found.items() if finding["level"] == level]


def settings(kas: Kas, text: str) -> None:
    kas.config.write_text(kas.config.read_text() + text)


def git_settings(kas: Kas, text: str) -> None:
    """Add to the section ``git``, which is written on one line."""
    before = kas.config.read_text()
    after = before.replace("poll_interval: 1s}", f"poll_interval: 1s, {text}}}")
    assert after != before
    kas.config.write_text(after)


def test_a_fresh_setup_is_well_and_nothing_is_left_behind(kas: Kas, check: Check, git_server: GitServer) -> None:
    git_server.create("group/config").push_files({"a.yaml": "a: 1\n"})
    before = sorted(kas.directory.rglob("*"))

    code, found = check("--project", "group/config")

    assert code == 0
    assert not levels(found, "FAILED")
    assert found["git/group/config"]["level"] == "OK"
    assert found["database/connection"]["level"] == "OK"
    assert sorted(kas.directory.rglob("*")) == before


def test_a_kas_that_runs_is_recognised_and_goes_on(kas: Kas, check: Check, git_server: GitServer) -> None:
    git_server.create("group/config").push_files({"a.yaml": "a: 1\n"})
    kas.start()
    kas.cli("agent", "create", "--project", "group/config", "--name", "mine")
    private = kas.directory / "data" / "git-private"
    inside = sorted(private.rglob("*"))

    code, found = check()

    assert code == 0, found
    assert found["ports/kas"]["level"] == "OK"
    assert "held by the kas that runs" in found["ports/api.address"]["message"]
    assert found["database/schema"]["level"] == "OK"
    assert found["git/group/config"]["level"] == "OK"  # known from the agent that is registered
    assert sorted(private.rglob("*")) == inside
    assert kas.ready()
    assert kas.cli("get", "agents", "--no-headers")


def test_broken_git_credentials_are_told_project_by_project(
    kas: Kas, check: Check, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.create("group/open").push_files({"a.yaml": "a: 1\n"})
    git_server.create("group/private", username="reader", password="the-right-one").push_files({"a.yaml": "a: 1\n"})
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    credential = f"credential: {{kind: basic, username: reader, token_file: {secret}}}"
    git_settings(kas, f"projects: {{group/private: {{{credential}}}}}")

    code, found = check("--project", "group/open", "--project", "group/absent")

    assert code == 1
    assert levels(found, "FAILED") == ["git/group/private", "git/group/absent"]
    assert found["git/group/private"]["message"].startswith("AccessDenied")
    assert found["git/group/absent"]["message"].startswith("RepositoryNotFound")
    assert found["files/credential of group/private"]["level"] == "OK"

    secret.write_text("the-right-one\n")
    assert check("--project", "group/open")[0] == 0


def test_secrets_that_others_can_read_or_that_are_not_there_fail(kas: Kas, check: Check, tmp_path: Path) -> None:
    (kas.directory / "webhook-secret").chmod(0o644)
    git_settings(kas, f"credential: {{kind: access_token, token_file: {tmp_path / 'absent'}}}")
    data = kas.directory / "data"
    data.mkdir(mode=0o755)

    code, found = check()

    assert code == 1
    assert levels(found, "FAILED") == ["files/git.credential", "files/webhook secret of gitlab"]
    assert "files/data_dir" in levels(found, "WARNING")
    assert "chmod 0600" in found["files/webhook secret of gitlab"]["remedy"]
    assert "chmod 0700" in found["files/data_dir"]["remedy"]


def test_a_port_of_another_program_fails_by_its_settings_name(kas: Kas, check: Check) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", kas.api_port))
        other.listen(1)

        code, found = check()

    assert code == 1
    assert levels(found, "FAILED") == ["ports/api.address"]


def test_a_database_of_a_newer_kas_fails_and_is_not_touched(kas: Kas, check: Check) -> None:
    kas.start()
    kas.stop()
    file = kas.directory / "data" / "kas.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")

    code, found = check()

    assert code == 1
    assert levels(found, "FAILED") == ["database/schema"]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("from-the-future",)]


def test_a_file_that_is_no_database_fails(kas: Kas, check: Check) -> None:
    data = kas.directory / "data"
    data.mkdir(mode=0o700)
    (data / "kas.db").write_text("no database at all, and longer than a header of one " * 100)
    (data / "kas.db").chmod(0o600)

    assert levels(check()[1], "FAILED") == ["database/connection"]


def test_a_database_server_that_is_not_there_fails_without_its_password_and_redis_is_tried(
    kas: Kas, check: Check
) -> None:
    password = kas.directory / "redis-password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    with RedisServer(password=PASSWORD) as redis:
        settings(
            kas,
            f"database: postgresql://kas:{PASSWORD}@127.0.0.1:{free_port()}/kas\n"
            f"redis: {redis.url}\nredis_password_file: {password}\n",
        )

        code, found = check()

    assert code == 1
    assert levels(found, "FAILED") == ["files/redis_password_file", "database/connection"]
    assert found["redis/leases"]["level"] == "OK"


def test_every_mistake_in_the_settings_is_a_finding(kas: Kas, check: Check) -> None:
    settings(kas, "retention: {syncs: none}\nnonsense: 1\n")

    code, found = check()

    assert code == 1
    assert "settings/file" in found


def test_text_counts_and_wrong_usage_is_another_exit_code(kas: Kas) -> None:
    done = kas.run_cli("check", "--config", str(kas.config))

    assert done.stdout.splitlines()[-1].endswith(" 0 FAILED")
    assert kas.run_cli("check", "--output", "xml").returncode == 2
    assert "check" in main.commands
