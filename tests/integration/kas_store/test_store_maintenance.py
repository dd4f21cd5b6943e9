"""Upgrading, backing up and restoring, on each kind of database."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import pytest

from kas.store.errors import BackupError, NewerDatabase, StoreUnavailable
from kas.store.maintenance import Maintenance
from kas.store.migrate import newest_schema
from kas.store.postgres import Server
from kas.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import PostgresServer

HASH = "ab" * 32


async def fill(url: str) -> int:
    """Register an agent with a token, in a database that nobody has open afterwards."""
    store = await Store.open(url)
    await store.projects.pin("g/pinned", 40)
    agent = await store.agents.create("g/p", "prod")
    await store.tokens.create(agent.id, "first", "", HASH)
    await store.close()
    return agent.id


def there(file: Path) -> bool:
    return file.exists()


async def test_an_empty_database_is_upgraded_and_then_there_is_nothing_to_do(url: str) -> None:
    database = Maintenance(url)
    assert await database.current() == await database.upgrade()
    assert (await database.current()).found == newest_schema()
    assert await database.upgrade() == await database.current()


async def test_looking_at_a_database_that_is_not_there_creates_none(sqlite_url: str, sqlite_file: Path) -> None:
    assert (await Maintenance(sqlite_url).current()).found == ""
    assert not there(sqlite_file)
    with pytest.raises(BackupError, match="nothing to back up"):
        await Maintenance(sqlite_url).backup(sqlite_file.parent / "backup")
    assert not there(sqlite_file)


async def test_what_was_backed_up_under_a_running_kas_is_there_again(url: str, tmp_path: Path) -> None:
    agent = await fill(url)
    database, file = Maintenance(url), tmp_path / "backup"
    running = await Store.open(url)
    await database.backup(file)
    await running.agents.create("g/p", "later")
    await running.close()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BackupError, match="name another file"):
        await database.backup(file)

    with pytest.raises(BackupError, match="not empty: --force"):
        await database.restore(file)
    await database.restore(file, force=True)

    store = await Store.open(url)
    assert [each.id for each in await store.agents.list()] == [agent]
    found = await store.tokens.find(HASH)
    assert found is not None
    assert await store.projects.id_of("g/pinned") == 40
    await store.close()


async def test_a_backup_is_restored_into_an_empty_database(url: str, tmp_path: Path) -> None:
    agent = await fill(url)
    file = tmp_path / "backup"
    await Maintenance(url).backup(file)
    await Maintenance(url).restore(file, force=True)
    store = await Store.open(url)
    installation = await store.keys.installation()
    await store.agents.delete(agent)
    await store.close()
    store = await Store.open(url)
    assert await store.keys.installation() == installation
    await store.close()
    await Maintenance(url).restore(file, force=True)
    store = await Store.open(url)
    assert [each.id for each in await store.agents.list()] == [agent]
    assert await store.keys.installation() != installation, "agents drop what was sent since the backup"
    await store.close()


async def test_nothing_is_restored_under_a_running_kas(url: str, tmp_path: Path) -> None:
    agent = await fill(url)
    file = tmp_path / "backup"
    await Maintenance(url).backup(file)
    running = await Store.open(url)
    await running.ping()
    with pytest.raises((BackupError, StoreUnavailable), match=r"a kas is using .*: stop kas first"):
        await Maintenance(url).restore(file, force=True)
    assert [each.id for each in await running.agents.list()] == [agent]
    await running.close()


async def test_a_file_that_is_no_backup_changes_nothing(url: str, tmp_path: Path) -> None:
    agent = await fill(url)
    file = tmp_path / "backup"
    file.write_text("not a backup" * 1000)
    with pytest.raises(BackupError, match=f"{re.escape(str(file))} is no backup of kas"):
        await Maintenance(url).restore(file, force=True)
    with pytest.raises(BackupError, match="does not exist"):
        await Maintenance(url).restore(tmp_path / "none", force=True)
    store = await Store.open(url)
    assert [each.id for each in await store.agents.list()] == [agent]
    await store.close()


async def test_a_backup_of_a_newer_kas_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    await fill(sqlite_url)
    file = tmp_path / "backup"
    await Maintenance(sqlite_url).backup(file)
    connection = sqlite3.connect(file)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(NewerDatabase, match="9999"):
        await Maintenance(sqlite_url).restore(file, force=True)


async def test_an_archive_of_a_newer_kas_is_refused(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    await fill(postgres_url)
    name = re.findall(r"kas_\d+", postgres_url)[0]
    postgres.sql("update alembic_version set version_num = '9999'", name)
    await Maintenance(postgres_url).backup(tmp_path / "backup")
    with pytest.raises(NewerDatabase, match="9999"):
        await Store.open(postgres_url)
    with pytest.raises(NewerDatabase, match="9999"):
        await Maintenance(postgres_url).restore(tmp_path / "backup", force=True)


async def test_an_archive_is_made_and_restored_with_a_password_that_no_argument_shows(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await fill(postgres_url)
    name = re.findall(r"kas_\d+", postgres_url)[0]
    for url, file in (
        (postgres.tcp_url(name), postgres.password_file),
        (postgres.tcp_url(name, password="wrong"), None),
    ):
        database = Maintenance(url, password_file=file)
        if file is None:
            with pytest.raises(StoreUnavailable, match=r"password authentication failed.*database_password_file"):
                await database.backup(tmp_path / "none")
            continue
        await database.backup(tmp_path / "backup")
        await database.restore(tmp_path / "backup", force=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="pg_dump is not installed here"):
        await Maintenance(postgres_url).backup(tmp_path / "other")
    store = await Store.open(postgres_url)
    assert [each.id for each in await store.agents.list()] == [agent]
    await store.close()


@pytest.mark.parametrize(
    ("url", "shown", "where"),
    [
        ("postgresql://kas:hunter2@db:5433/kas", "postgresql://kas@db:5433/kas", "db:5433/kas"),
        (
            "postgres://kas:hunter2@a:1,b:2/kas?sslmode=require",
            "postgresql://kas@a:1,b:2/kas?sslmode=require",
            "a:1,b:2/kas",
        ),
        (
            "postgresql:///kas?host=/run/pg&user=kas&password=hunter2",
            "postgresql:///kas?host=/run/pg&user=kas",
            "/run/pg/kas",
        ),
    ],
)
def test_a_password_in_a_url_is_used_and_never_shown(url: str, shown: str, where: str) -> None:
    server = Server.parse(url, None)
    assert (server.url, server.where, server.read_password()) == (shown, where, "hunter2")
    assert "hunter2" not in repr(server)
