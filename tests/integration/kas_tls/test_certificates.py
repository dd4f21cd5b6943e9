"""A certificate that is replaced on disk is in use soon, without a restart and without ending what is connected."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from ssl import get_server_certificate
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from kas import tls
from kas.rpc.listener import ListenerSettings
from kas.tls import Certificate, TlsFiles
from tests.support.agent_link import agent, running
from tests.support.authority import make_authority
from tests.support.installation import Kas
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.agent_link import Authority


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    first, second = (make_authority(tmp_path_factory.mktemp(name)) for name in ("first", "second"))
    return first, second


@pytest.fixture
def mounted(tmp_path: Path) -> TlsFiles:
    """Where a listener finds its pair: links, as Kubernetes mounts a Secret."""
    (tmp_path / "tls").mkdir()
    for name in ("tls.crt", "tls.key"):
        (tmp_path / "tls" / name).symlink_to(f"..data/{name}")
    return TlsFiles(tmp_path / "tls" / "tls.crt", tmp_path / "tls" / "tls.key")


def mount(mounted: TlsFiles, pair: TlsFiles, *, key: Path | None = None) -> None:
    """Put a pair where it is looked for, all at once."""
    folder = mounted.certificate.parent
    fresh = folder / f"data-{len(list(folder.iterdir()))}"
    fresh.mkdir()
    shutil.copy(pair.certificate, fresh / "tls.crt")
    shutil.copy(key or pair.key, fresh / "tls.key")
    (folder / "..new").symlink_to(fresh.name)
    (folder / "..new").rename(folder / "..data")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.02)


@asynccontextmanager
async def connected(url: str, secret: str, ca: Path) -> AsyncIterator[None]:
    async with agent(url, secret, ca=ca, instance_id="") as it:
        await it.link.wait_connected()
        yield


@pytest.mark.parametrize("transport", ["ws", "grpc"])
async def test_agents_meet_the_new_certificate_and_those_connected_stay(
    tmp_path: Path, authorities: tuple[Authority, Authority], mounted: TlsFiles, transport: str
) -> None:
    first, second = authorities
    mount(mounted, first.server)
    settings = ListenerSettings(host="127.0.0.1", websocket_port=0, grpc_port=0, tls=mounted)
    async with running(settings, tmp_path) as kas:
        secret, _ = await kas.register()
        url = kas.url(transport)
        async with connected(url, secret, first.certificate):
            before = kas.listener.sessions.list()
            mount(mounted, second.server)
            async with connected(url, secret, second.certificate):
                assert before[0] in kas.listener.sessions.list()
            async with agent(url, secret, ca=first.certificate, instance_id="") as late:
                await eventually(lambda: "is not trusted" in late.link.state.last_error, what="the old one is gone")
            assert kas.listener.sessions.list() == before


@pytest.mark.parametrize("broken", ["the other's key", "no certificate", "gone"])
async def test_a_pair_that_cannot_be_used_changes_nothing_and_a_good_one_later_does(
    authorities: tuple[Authority, Authority], mounted: TlsFiles, broken: str
) -> None:
    first, second = authorities
    mount(mounted, first.server)
    certificate = Certificate(mounted)
    before = certificate.in_use
    with capture_logs() as told:
        async with certificate.following():
            match broken:
                case "the other's key":
                    mount(mounted, second.server, key=first.server.key)
                case "no certificate":
                    mount(mounted, TlsFiles(second.server.key, second.server.key))
                case _:
                    (mounted.certificate.parent / "..data").unlink()
            await eventually(lambda: told, what="it is told")
            assert certificate.in_use == before == first.server.certificate.read_bytes()

            mount(mounted, second.server)
            await eventually(lambda: certificate.in_use != before, what="the good pair is in use")
    assert certificate.in_use == second.server.certificate.read_bytes()
    texts = [entry["event"] for entry in told]
    assert texts == ["The new certificate cannot be used; the old one stays in use", "A new certificate is in use"]
    assert "tls.crt" in told[0]["why"]


def test_the_api_of_a_running_kas_takes_it_up(
    tmp_path: Path, authorities: tuple[Authority, Authority], mounted: TlsFiles
) -> None:
    first, second = authorities
    mount(mounted, first.server)
    kas = Kas(tmp_path / "kas", "http://127.0.0.1:1/{project}.git")
    plain = f'api: {{address: "127.0.0.1:{kas.api_port}"'
    secure = f'{plain}, certificate_file: "{mounted.certificate}", key_file: "{mounted.key}"'
    kas.config.write_text(kas.config.read_text().replace(plain, secure))
    address = ("127.0.0.1", kas.api_port)
    kas.start()
    try:
        assert get_server_certificate(address) == first.server.certificate.read_text()
        mount(mounted, second.server)
        wait_until(
            lambda: get_server_certificate(address) == second.server.certificate.read_text(), what="the new one is met"
        )
        assert kas.ready()
    finally:
        kas.stop()
