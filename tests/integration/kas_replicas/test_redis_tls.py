"""Redis by TLS with an own authority, and what is rotated while kas runs: passwords, certificates, authorities."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from kas.replicas.port import Message
from tests.integration.kas_replicas.conftest import met, redis_side
from tests.support.authority import make_authority
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from kas.replicas.port import Heard
    from tests.integration.kas_replicas.conftest import Side


async def test_replicas_meet_by_tls_and_follow_what_is_rotated(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    before, after = make_authority(old), make_authority(new)
    password, trusted = tmp_path / "password", tmp_path / "ca.pem"
    password.write_text("old-password\n")
    shutil.copy(before.certificate, trusted)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer(password="old-password", tls=before.server))
        one = await redis_side(stack, server.url, password, trusted)
        other = await redis_side(stack, server.url, password, trusted)
        await reached(one, other)

        server.kill()
        server.password, server.tls = "new-password", after.server
        server.start()
        await eventually(lambda: "certificate verify failed" in one.bus.trouble, what="it is not trusted")
        shutil.copy(after.certificate, trusted)
        await eventually(lambda: "password" in one.bus.trouble, what="the old password is refused")
        password.write_text("new-password\n")
        await eventually(lambda: not (one.bus.trouble or other.bus.trouble), what="both are there again")
        await reached(one, other)


async def reached(one: Side, other: Side) -> None:
    heard: list[Heard] = []
    await met(one, other)
    with other.bus.listen("t", heard.append):
        one.bus.publish("t", b"by TLS")
        await eventually(lambda: Message(one.bus.replica, b"by TLS") in heard, what="it is heard")
