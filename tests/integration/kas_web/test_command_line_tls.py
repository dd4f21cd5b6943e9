"""The command line over TLS, and how its watches end."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from kas.client import ApiToken, Client, ClientError
from kas.web.listener import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.kas_web.conftest import Kas


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a self-signed certificate for localhost and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "key.pem", "-out", "certificate.pem", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


async def _agents(_: web.Request) -> web.Response:
    return web.json_response({"items": []})


@pytest.fixture
async def tls_address(certificate: Path) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    app = web.Application()
    app.add_routes([web.get("/api/v1/agents", _agents)])
    async with listening(app, "127.0.0.1", 0, tls=context) as (_, port):
        yield f"https://localhost:{port}"


async def test_a_certificate_that_nobody_vouches_for_is_refused(tls_address: str) -> None:
    client = Client(tls_address, ApiToken("kasapi-x", "a test"))

    with pytest.raises(ClientError, match="is not trusted") as refused:
        await asyncio.to_thread(client.get, "agents")

    assert "--ca-cert-file" in refused.value.hint


async def test_a_certificate_authority_can_be_named(tls_address: str, certificate: Path) -> None:
    client = Client(tls_address, None, ca_cert_file=certificate / "certificate.pem")

    assert await asyncio.to_thread(client.get, "agents") == {"items": []}


async def test_a_file_without_certificates_is_named(tls_address: str, certificate: Path) -> None:
    with pytest.raises(ClientError, match=r"key\.pem"):
        Client(tls_address, None, ca_cert_file=certificate / "key.pem")
    with pytest.raises(ClientError, match="cannot use the certificate file"):
        Client(tls_address, None, ca_cert_file=certificate / "not-there.pem")


async def test_an_interrupted_watch_ends_quietly(kas: Kas) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kas", "get", "agents", "--watch"),
        env={"KAS_ADDRESS": kas.address, "KAS_TOKEN": kas.secret},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()

    assert (process.returncode, err) == (130, b"")


async def test_something_that_is_no_kas_is_recognised(kas: Kas) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=200)

    app = web.Application()
    app.add_routes([web.get("/api/v1/agents", page)])
    async with listening(app, "127.0.0.1", 0) as (host, port):
        client = Client(f"http://{host}:{port}", ApiToken(kas.secret, "a test"))
        with pytest.raises(ClientError, match="the answer is not JSON"):
            await asyncio.to_thread(client.get, "agents")
        with pytest.raises(ClientError, match="answered 404 and not as a kas does"):
            await asyncio.to_thread(client.get, "syncs")
