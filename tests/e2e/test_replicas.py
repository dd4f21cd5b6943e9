"""Several kas on one PostgreSQL: they may start at once on a fresh database, and act as one for agents and people."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.agent_link import agent
from tests.support.installation import Kas
from tests.support.processes import start_module
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer

REPLICAS = 3


@pytest.fixture
def replicas(tmp_path: Path, postgres: PostgresServer) -> Iterator[list[Kas]]:
    """Processes that were started at the same moment on an empty database."""
    url = postgres.tcp_url(postgres.create_database())
    settings = f'database: "{url}"\ndatabase_password_file: "{postgres.password_file}"\n'
    prepared = [Kas(tmp_path / str(n), "http://127.0.0.1:1/{project}.git", settings=settings) for n in range(REPLICAS)]
    with ExitStack() as stack:
        processes = []
        for kas in prepared:
            processes.append(start_module("kas", "serve", "--config", kas.config, log=kas.log))
            stack.callback(processes[-1].terminate)
        for kas, process in zip(prepared, processes, strict=True):
            process.wait_until(kas.ready, what="it is ready")
        yield prepared


async def test_replicas_that_start_at_once_migrate_once_and_end_a_token_that_another_revokes(
    replicas: list[Kas],
) -> None:
    for kas in replicas:
        assert "Traceback" not in kas.log.read_text()
        assert kas.run_cli("db", "current", "--config", str(kas.config)).stdout.endswith("(up to date)\n")
    # Only one of them finds nobody with a token; a person may then have one from any of them.
    admin = next(kas for kas in replicas if (kas.directory / "data" / "admin-token").exists())
    admin.cli("agent", "create", "--project", "group/config", "--name", "prod")
    secret = admin.cli("token", "create", "--agent", "prod").strip()

    other = next(kas for kas in replicas if kas is not admin)
    async with agent(other.address, secret) as it:
        await eventually(lambda: it.link.state.connected_since is not None, what="it is let in by another replica")
        (token,) = json.loads(admin.cli("token", "list", "--agent", "prod", "-o", "json"))["items"]
        admin.cli("token", "revoke", str(token["id"]))
        await eventually(
            lambda: "the token was revoked" in it.link.state.last_error,
            what="the stream at the other replica has ended",
            within=20.0,  # 5 s are promised, of a machine that does nothing else
        )
