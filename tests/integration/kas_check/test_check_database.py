"""What ``kas check`` sees of a database, on both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentlink.findings import Level
from kas.check.database import check_database
from kas.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/kas.db"
    return str(request.getfixturevalue("postgres_url"))


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_an_empty_database_is_well_and_stays_empty(url: str, tmp_path: Path) -> None:
    for _ in range(2):
        findings, agents = await check_database(url, None)

        assert [finding.level for finding in findings] == [Level.OK]
        assert "the first start fills it" in findings[0].message
        assert agents == ()
    assert files_in(tmp_path) == []


async def test_a_database_in_use_is_current_and_tells_the_agents(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.agents.create("group/config", "one")
        await store.agents.create("group/config", "two")

        findings, agents = await check_database(url, None)
    finally:
        await store.close()

    assert {finding.level for finding in findings} == {Level.OK}
    assert [finding.check for finding in findings][-2:] == ["connection", "schema"]
    assert agents == (("one", "group/config"), ("two", "group/config"))
