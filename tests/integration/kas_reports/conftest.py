"""A store on a real SQLite file, its feed, and an agent that speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kas.reports.feed import Feed
from kas.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Identity:
    agent_id: int
    agent_name: str
    project: str
    token_id: int


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/kas.db")
    yield opened
    await opened.close()


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
async def identity(store: Store) -> Identity:
    agent = await store.agents.create("g/p", "prod")
    return Identity(agent.id, agent.name, agent.project, 1)
