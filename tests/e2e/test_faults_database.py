"""The database goes away or its disk is full: agents keep working, kas says why it is not ready, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driven import installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Agent, Installation, Kas
    from tests.support.kube import Kube
    from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.cluster

DISK_MIB = 40
FILES = 60


def _checks(kas: Kas) -> dict[str, str]:
    """Return what readiness says is wrong, by the name of the check."""
    try:
        with urllib.request.urlopen(f"{kas.observability}/readiness", timeout=20) as answer:  # noqa: S310 - loopback
            body: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        body = json.load(error)
    return {check["name"]: check["message"] for check in body["checks"] if not check["ok"]}


def _manifests(name: str, value: str) -> dict[str, str]:
    return {f"manifests/{number}.yaml": config_map(f"{name}-{number}", value) for number in range(FILES)}


def _drive_through(
    installation: Installation,
    kube: Kube,
    namespace: str,
    name: str,
    *,
    away: Callable[[], None],
    back: Callable[[], None],
    why: str,
) -> tuple[Agent, str]:
    """Sync once, take the database ``away``, push, see the change live and kas not ready, and bring it ``back``."""
    kas = installation.kas
    repository = installation.git.create("group/config")
    first = repository.push_files({**config_files(name, namespace), **_manifests(name, "first")})
    agent = installation.agent(name, project="group/config")
    kas.wait_sync(name, state="healthy", commit=first)

    away()
    second = repository.push_files(_manifests(name, "second"))
    kas.webhook("group/config")
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}-{FILES - 1}"
    wait_until(lambda: kube.get(path)["data"]["value"] == "second", what="the change is live without a database")
    kube.patch(path, {"data": {"value": "drifted"}})
    wait_until(lambda: kube.get(path)["data"]["value"] == "second", what="drift is put back without a database")
    found = wait_until(lambda: _checks(kas), what="kas is not ready")
    assert why in found["database"]
    refused = '"Reports could not be stored"', '"A token could not be checked"'
    wait_until(lambda: any(text in kas.log.read_text() for text in refused), what="reports are refused")

    back()
    wait_until(kas.ready, what="kas is ready again, by itself")
    sync = kas.wait_sync(name, state="healthy", commit=second)
    assert (sync["ref"], sync["counts"]["configured"]) == ("default branch", FILES)
    wait_until(
        lambda: [event for event in kas.get("events", agent=name) if event["reason"] == "DriftCorrected"],
        what="what was reported meanwhile has arrived",
    )
    received = [event for event in kas.get("events", agent=name, limit="500") if event["reason"] == "Received"]
    assert [event["message"].split()[-1] for event in received] == [first, second]
    assert '"Agent disconnected"' not in kas.log.read_text()
    return agent, second


def test_a_server_that_crashes_and_comes_back_stops_no_agent_and_loses_nothing(
    tmp_path: Path, control_plane: Cluster, kube: Kube, namespace: str, own_postgres: PostgresServer
) -> None:
    database = own_postgres.create_database()
    settings = f'database: "{own_postgres.tcp_url(database)}"\ndatabase_password_file: "{own_postgres.password_file}"\n'
    with installed(tmp_path, control_plane.kubeconfig, settings=settings) as installation:
        kas = installation.kas
        agent, commit = _drive_through(
            installation,
            kube,
            namespace,
            "crash",
            away=own_postgres.crash,
            back=own_postgres.start,
            why="the database is not available",
        )

        own_postgres.crash()
        wait_until(lambda: _checks(kas), what="kas is not ready")
        with pytest.raises(urllib.error.HTTPError) as answer:
            kas.get("agents")
        assert answer.value.code == 503
        assert json.load(answer.value)["error"]["reason"] == "StoreUnavailable"
        agent.kill()
        agent.start(connected=False)
        agent.process.wait_until(
            lambda: kas.log.read_text().count('"Agent connected"') == 2, what="an agent that kas knew is let in"
        )
        own_postgres.start()
        wait_until(kas.ready, what="kas is ready again")
        kas.wait_sync("crash", state="healthy", commit=commit)
        assert own_postgres.sql("SELECT count(*) FROM objects WHERE health = 'current'", database) == str(FILES)


def test_a_full_disk_stops_no_agent_and_loses_nothing(
    tmp_path: Path, control_plane: Cluster, kube: Kube, namespace: str
) -> None:
    with _small_disk(tmp_path / "disk") as disk:
        filler = disk / "filler"
        settings = f'database: "sqlite:///{disk}/kas.db"\n'
        with installed(tmp_path, control_plane.kubeconfig, settings=settings) as installation:
            _drive_through(
                installation,
                kube,
                namespace,
                "full",
                away=lambda: _fill(filler),
                back=filler.unlink,
                why="KiB left",
            )


@contextmanager
def _small_disk(path: Path) -> Iterator[Path]:
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", path], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here, only root may: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue
