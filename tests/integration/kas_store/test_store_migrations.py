"""The schema: made from nothing, the same a second time, refused from the future."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kas.store.database import Database
from kas.store.errors import NewerDatabase, StoreUnavailable, UnsupportedDatabase
from kas.store.schema import metadata
from kas.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def schema_of(file: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute("select name, sql from sqlite_master order by name").fetchall()
    finally:
        connection.close()


async def test_the_migrations_make_the_schema_that_queries_see(store: Store, url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    await store.ping()
    database = Database(url)
    async with database.read() as connection:
        found = await connection.run_sync(differences)
    await database.close()
    assert found == []


async def test_opening_a_second_time_changes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "data" / "kas.db"
    for _ in range(2):
        store = await Store.open(sqlite_url)
        await store.agents.list()
        await store.close()
        seen = schema_of(file)
        assert ("projects" in dict(seen), len(seen)) == (True, len(schema_of(file)))
    before = schema_of(file)
    await (await Store.open(sqlite_url)).close()
    assert schema_of(file) == before


async def test_programs_that_start_at_once_all_find_the_schema(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
    for store in stores:
        assert await store.agents.list() == ()
        await store.close()


async def test_a_database_of_a_newer_kas_is_refused_and_left_alone(sqlite_url: str, tmp_path: Path) -> None:
    await (await Store.open(sqlite_url)).close()
    file = tmp_path / "data" / "kas.db"
    connection = sqlite3.connect(file)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    before = schema_of(file)
    with pytest.raises(NewerDatabase, match=r"schema 9999.*start a kas at least as new") as caught:
        await Store.open(sqlite_url)
    assert (caught.value.found, schema_of(file)) == ("9999", before)


async def test_a_migration_that_fails_leaves_nothing_behind(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "data" / "kas.db"
    file.parent.mkdir()
    connection = sqlite3.connect(file)
    connection.execute("create table syncs (mine integer)")  # in the way of the first migration, after other tables
    connection.commit()
    connection.close()
    with pytest.raises(StoreUnavailable, match="table syncs already exists"):
        await Store.open(sqlite_url)
    assert [name for name, _ in schema_of(file)] == ["syncs"]


async def test_a_file_that_is_no_database_is_an_error_that_says_so(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "data" / "kas.db"
    file.parent.mkdir()
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await Store.open(sqlite_url)


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        await Store.open(f"sqlite:///{tmp_path}/file/kas.db")


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"127.0.0.1:1/x: .*refused|127.0.0.1:1/x: .*failed") as caught:
        await Store.open("postgresql://u:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://x/y", "database 'mysql' is not supported"),
        ("kas.db", "the database URL cannot be read"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
async def test_a_database_that_cannot_be_used_is_explained_without_its_password(url: str, message: str) -> None:
    with pytest.raises(UnsupportedDatabase, match=message) as caught:
        await Store.open(url)
    assert "hunter2" not in str(caught.value)
