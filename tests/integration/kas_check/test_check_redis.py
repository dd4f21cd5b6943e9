"""What ``kas check`` sees of Redis: real servers, well and in every way unfit."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import redis

from agentlink.findings import Level
from kas.check import redis as checking
from kas.check.redis import check_redis
from tests.support.authority import make_authority
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentlink.findings import Finding
    from tests.support.agent_link import Authority

PASSWORD = "correct-horse"
ALLOWED = "~kas3:* &kas3:* +@connection +@pubsub +@scripting +get +set +del +pexpire +time +info"
"""What docs/install.md says that a user needs."""


@dataclass
class Servers:
    """One that wants TLS and a password, one that wants nothing, and what is needed for them."""

    secure: RedisServer
    plain: RedisServer
    authority: Authority
    directory: Path

    def file(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.write_text(content)
        return path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    directory = tmp_path_factory.mktemp("redis")
    authority = make_authority(directory)
    with (
        RedisServer(password=PASSWORD, tls=authority.server) as secure,
        RedisServer(options=[f"user kas on nopass {ALLOWED}"]) as plain,
    ):
        yield Servers(secure, plain, authority, directory)


def levels(findings: list[Finding]) -> dict[str, str]:
    return {f"{finding.area}/{finding.check}": finding.level.value for finding in findings}


def keys(server: RedisServer) -> list[bytes]:
    with redis.Redis.from_url(server.url) as client:
        found: list[bytes] = client.keys("*")
    return found


async def test_a_server_that_does_is_tried_and_left_as_it_was(servers: Servers) -> None:
    password = servers.file("password", PASSWORD + "\n")

    findings = await check_redis(servers.secure.url, password, servers.authority.certificate)

    assert levels(findings) == {
        "redis/connection": "OK",
        "redis/version": "OK",
        "redis/publish": "OK",
        "redis/leases": "OK",
    }
    assert findings[0].message == "it answers; 0 kas listen"
    user = await check_redis(servers.plain.url.replace("redis://", "redis://kas@"), None, None)
    assert levels(user) == levels(findings)
    assert not keys(servers.plain)


Way = tuple[str, "Path | None", "Path | None"]
WRONG: dict[str, tuple[Callable[[Servers], Way], str, str]] = {
    "no password": (lambda s: (s.secure.url, None, s.authority.certificate), "password", "redis_password_file"),
    "another password": (
        lambda s: (s.secure.url, s.file("wrong", "hunter2"), s.authority.certificate),
        "password",
        "redis_password_file",
    ),
    "a password file that is not there": (
        lambda s: (s.secure.url, s.directory / "none", s.authority.certificate),
        "password",
        "redis_password_file",
    ),
    "an authority that nobody knows": (lambda s: (s.secure.url, None, None), "certificate", "redis_ca_file"),
    "an authority's file that is not there": (
        lambda s: (s.secure.url, None, s.directory / "none"),
        "certificate",
        "redis_ca_file",
    ),
    "an authority's file that holds none": (
        lambda s: (s.secure.url, None, s.file("empty", "hunter2")),
        "certificate",
        "redis_ca_file",
    ),
    "a name that the certificate is not for": (
        lambda s: (f"rediss://127.0.0.1:{s.secure.port}/0", None, s.authority.certificate),
        "certificate",
        "host",
    ),
    "no TLS where there is some": (
        lambda s: (f"redis://127.0.0.1:{s.secure.port}", None, None),
        "connection",
        "rediss",
    ),
    "TLS where there is none": (lambda s: (f"rediss://127.0.0.1:{s.plain.port}", None, None), "connection", "TLS"),
    "nobody there": (lambda _: (f"redis://127.0.0.1:{free_port()}", None, None), "connection", "settings"),
    "no such name": (lambda s: ("rediss://nowhere.invalid", s.file("any", "hunter2"), None), "connection", "server"),
    "a password file without one": (
        lambda s: (s.secure.url, s.file("blank", "\n"), s.authority.certificate),
        "password",
        "redis_password_file",
    ),
    "a URL that is none": (lambda _: ("rediss://host:port", None, None), "connection", "correct `redis`"),
}


@pytest.mark.parametrize("mistake", WRONG)
async def test_what_is_wrong_with_reaching_it_is_told_with_what_to_do(mistake: str, servers: Servers) -> None:
    way, named, advice = WRONG[mistake]

    (finding,) = await check_redis(*way(servers))

    assert (finding.level, finding.check) == (Level.FAILED, named)
    assert advice in finding.remedy
    assert "hunter2" not in repr(finding)


async def test_a_password_in_the_url_is_advised_against_and_not_shown(servers: Servers) -> None:
    url = f"rediss://:{PASSWORD}@localhost:{servers.secure.port}/0"

    findings = await check_redis(url, None, servers.authority.certificate)

    assert [finding.check for finding in findings if finding.level is not Level.OK] == ["password"]
    assert PASSWORD not in repr(findings)


async def test_a_way_without_tls_is_warned_of() -> None:
    findings = await check_redis("redis://nowhere.invalid", None, None)

    assert levels(findings) == {"redis/TLS": "WARNING", "redis/connection": "FAILED"}
    assert "rediss://" in findings[0].remedy


async def test_a_user_without_rights_and_servers_that_take_no_writes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "_SECONDS", 1.0)
    with ExitStack() as stack:
        cluster = stack.enter_context(RedisServer(options=["cluster-enabled yes", f"cluster-port {free_port()}"]))
        user = ["user weak on nopass +@connection +info ~none"]
        weak = stack.enter_context(RedisServer(options=user))
        replica = stack.enter_context(RedisServer())
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", free_port())

        found = levels(await check_redis(cluster.url, None, None))
        assert found["redis/kind"] == "FAILED"
        found = levels(await check_redis(weak.url.replace("redis://", "redis://weak:x@"), None, None))
        assert (found["redis/publish"], found["redis/leases"]) == ("FAILED", "FAILED")
        findings = await check_redis(replica.url, None, None)
        assert ("kind", "FAILED") in [(finding.check, finding.level.value) for finding in findings]
