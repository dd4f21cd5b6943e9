"""The agent listener of kas, with and without TLS."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from kas.rpc.listener import ListenerSettings
from kas.tls import TlsFiles
from tests.support.agent_link import Authority, Kas, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make a certificate authority and a certificate for localhost that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority")
    (folder / "ext").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "ext", "-out", "server.crt"),
    )
    return Authority(folder / "ca.crt", TlsFiles(folder / "server.crt", folder / "server.key"))


@pytest.fixture
async def kas(tmp_path: Path) -> AsyncIterator[Kas]:
    async with running(ListenerSettings(host="127.0.0.1", websocket_port=0, grpc_port=0), tmp_path) as running_kas:
        yield running_kas


@pytest.fixture
async def kas_tls(authority: Authority, tmp_path: Path) -> AsyncIterator[Kas]:
    settings = ListenerSettings(host="127.0.0.1", websocket_port=0, grpc_port=0, tls=authority.server)
    async with running(settings, tmp_path) as running_kas:
        yield running_kas


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
