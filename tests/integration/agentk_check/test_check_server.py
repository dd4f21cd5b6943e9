"""``agentk check`` on the way to a real kas, and to what is none."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import grpc
import pytest

from agentk.check.server import check_server
from agentk.gitops.token_file import read_token
from agentlink.address import parse_kas_address
from agentlink.findings import Finding, Level, as_json, as_text
from agentlink.v1 import agentlink_pb2 as wire
from agentlink.v1 import agentlink_pb2_grpc
from tests.support.agent_link import agent, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent_link import Authority, Kas

TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "grpc"])


async def checked(url: str, secret: str, ca: Path | None = None) -> list[Finding]:
    findings = [finding async for finding in check_server(parse_kas_address(url), lambda: secret, ca)]
    shown = as_text(findings) + as_json(findings)
    assert secret not in shown
    return findings


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.check: finding.level for finding in findings}


@TRANSPORTS
async def test_a_good_token_is_told_whose_it_is_step_by_step(kas: Kas, transport: str) -> None:
    secret, _ = await kas.register()

    findings = await checked(kas.url(transport), secret)

    assert [finding.check for finding in findings] == ["name", "connection", "tunnel", "token", "configuration"]
    assert levels(findings)["token"] is Level.OK
    assert "group/config:my-agent" in findings[3].message
    assert findings[4].level is Level.WARNING  # this listener has no Git behind it


@TRANSPORTS
async def test_tls_is_checked_with_the_given_authority(kas_tls: Kas, authority: Authority, transport: str) -> None:
    secret, _ = await kas_tls.register()

    findings = await checked(kas_tls.url(transport), secret, authority.certificate)

    assert levels(findings)["certificate"] is Level.OK
    assert levels(findings)["token"] is Level.OK


@TRANSPORTS
async def test_an_untrusted_certificate_ends_the_way_and_names_the_option(kas_tls: Kas, transport: str) -> None:
    secret, _ = await kas_tls.register()

    findings = await checked(kas_tls.url(transport), secret)

    assert [finding.check for finding in findings] == ["name", "connection", "certificate"]
    assert findings[-1].level is Level.FAILED
    assert "--ca-cert-file" in findings[-1].message


async def test_a_file_without_certificates_is_named(kas_tls: Kas, tmp_path: Path) -> None:
    secret, _ = await kas_tls.register()
    (tmp_path / "ca.pem").write_text("no certificate")

    finding = (await checked(kas_tls.url("ws"), secret, tmp_path / "ca.pem"))[-1]

    assert finding.level is Level.FAILED
    assert "ca.pem" in finding.message


@TRANSPORTS
async def test_a_wrong_token_fails_at_the_token_alone(kas: Kas, transport: str) -> None:
    await kas.register()

    findings = await checked(kas.url(transport), "glagent-" + "x" * 50)

    assert levels(findings) == {"name": Level.OK, "connection": Level.OK, "token": Level.FAILED}
    assert "kas token create" in findings[-1].remedy


async def test_a_revoked_token_is_refused(kas: Kas) -> None:
    secret, token_id = await kas.register()
    await kas.revoke(token_id)

    assert levels(await checked(kas.url("ws"), secret))["token"] is Level.FAILED


async def test_a_port_where_nothing_listens_is_told_as_such(kas: Kas) -> None:
    del kas
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    findings = await checked(f"ws://127.0.0.1:{port}", "secret-of-nobody")

    assert levels(findings) == {"connection": Level.FAILED}
    assert "nothing listens on that port" in findings[0].message


async def test_the_other_ports_transport_is_told_as_such(kas: Kas) -> None:
    secret, _ = await kas.register()

    finding = (await checked(f"ws://127.0.0.1:{kas.listener.grpc_port}", secret))[-1]

    assert finding.level is Level.FAILED
    assert finding.check == "tunnel"
    assert "grpc" in finding.message


async def test_tls_on_a_port_without_it_is_told_as_such(kas: Kas) -> None:
    secret, _ = await kas.register()

    finding = (await checked(kas.url("ws").replace("ws:", "wss:"), secret))[-1]

    assert finding.check == "certificate"
    assert "ws:// (without TLS)" in finding.message


async def test_a_name_that_does_not_exist_is_told_as_such() -> None:
    findings = await checked("wss://kas.invalid", "secret-of-nobody")

    assert levels(findings) == {"name": Level.FAILED}
    assert "kas.invalid cannot be resolved" in findings[0].message


async def test_without_a_usable_token_the_way_is_checked_all_the_same(kas: Kas, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("glpat-something")

    address = parse_kas_address(kas.url("ws"))
    findings = [finding async for finding in check_server(address, lambda: read_token(file), None)]

    assert [(finding.check, finding.level) for finding in findings] == [
        ("token file", Level.FAILED),
        ("name", Level.OK),
        ("connection", Level.OK),
    ]
    assert "personal access token" in findings[0].message


async def test_the_agent_that_runs_with_the_same_token_is_left_alone(kas: Kas) -> None:
    secret, _ = await kas.register()
    async with agent(kas.url("ws"), secret) as running:
        await until(lambda: running.link.state.connected_since is not None)
        since = running.link.state.connected_since

        await checked(kas.url("ws"), secret)
        await checked(kas.url("grpc"), secret)

        assert len(kas.listener.sessions.list()) == 1
        assert len(kas.hellos) == 1
        assert running.link.state.connected_since == since
        assert not kas.disconnected


async def test_a_proxy_of_the_environment_is_named_without_its_password(
    kas: Kas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://somebody:hidden-word@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        secret, _ = await kas.register()

        findings = await checked("wss://kas.example.com", secret)

    assert [finding.check for finding in findings] == ["proxy", "tunnel"]
    assert f"127.0.0.1:{port}" in findings[0].message
    assert "hidden-word" not in as_text(findings)
    assert findings[1].level is Level.FAILED


class OlderKas(agentlink_pb2_grpc.AgentLinkServicer):
    """What a kas knew before it could be asked whom it takes one for."""

    async def Report(  # noqa: N802 - named by the wire contract
        self, request: wire.ReportRequest, context: grpc.aio.ServicerContext[wire.ReportRequest, wire.ReportResponse]
    ) -> wire.ReportResponse:
        if dict(context.invocation_metadata() or ()).get("authorization") != "Bearer the-right-word":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is unknown")
        assert not request.reports
        return wire.ReportResponse()


async def test_an_older_kas_is_asked_by_an_empty_batch_of_reports() -> None:
    server = grpc.aio.server()
    agentlink_pb2_grpc.add_AgentLinkServicer_to_server(OlderKas(), server)  # type: ignore[abstract] # as is meant
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        right = await checked(f"grpc://127.0.0.1:{port}", "the-right-word")
        wrong = await checked(f"grpc://127.0.0.1:{port}", "the-wrong-word")
    finally:
        await server.stop(None)

    assert levels(right) == {"connection": Level.OK, "tunnel": Level.OK, "token": Level.OK}
    assert levels(wrong) == {"connection": Level.OK, "token": Level.FAILED}
