"""Strangers at kas' doors: while they do their worst, a push reaches the cluster as ever."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.http2 import PREFACE, SETTINGS
from tests.support.manifests import config_files, config_map

if TYPE_CHECKING:
    from tests.support.installation import Installation

pytestmark = pytest.mark.cluster

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: kas\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ws-tunnel\r\n\r\n"
)


def connect(stack: ExitStack, port: int, sent: bytes) -> None:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    if sent:
        connection.sendall(sent)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_push_reaches_the_cluster_while_strangers_fill_both_ports(installation: Installation, namespace: str) -> None:
    kas = installation.kas
    repository = installation.git.create("group/config")
    repository.write(config_files("my-agent", namespace, glob="/app/*.yaml"))
    repository.write({"app/settings.yaml": config_map("settings")})
    repository.commit()
    repository.push()
    installation.agent("my-agent", project="group/config")
    kas.wait_sync("my-agent", state="healthy")
    before = resident_bytes(kas.process.pid)
    with ExitStack() as stack:
        for number in range(1200):
            connect(stack, kas.websocket_port, b"" if number % 2 else UPGRADE)
        for number in range(200):
            connect(stack, kas.grpc_port, (b"", PREFACE, PREFACE + SETTINGS, os.urandom(64))[number % 4])
        repository.write({"app/more.yaml": config_map("more")})
        commit = repository.commit()
        repository.push()
        kas.webhook("group/config")
        kas.wait_sync("my-agent", commit=commit, state="healthy")
        # A thousand that wait, at 30 kB each, and as much again for what the allocator keeps.
        assert resident_bytes(kas.process.pid) - before < 120 << 20
    assert len(kas.get("agents")[0]["connections"]) == 1
