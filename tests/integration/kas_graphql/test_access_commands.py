"""kas login, api-token, audit and token create --admin, as processes against a real API."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kas.cli.login_file import Login, read_login, remove_login, write_login
from kas.client import ClientError
from kas.rpc.auth import hash_token
from kas.store.store import Store

if TYPE_CHECKING:
    from tests.integration.kas_graphql.conftest import Person
    from tests.integration.kas_web.conftest import Kas


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Laptop:
    """Somebody's machine: its own home, and no KAS_ variables but those given."""

    home: Path

    async def run(self, *arguments: str, stdin: str = "", **environment: str) -> Ran:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("KAS_", "XDG_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "kas", *arguments),
            env={**kept, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"), **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    @property
    def login_file(self) -> Path:
        return self.home / "config" / "kas" / "login.json"


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    home = tmp_path / "home"
    home.mkdir()
    return Laptop(home)


async def test_after_a_login_commands_need_no_variables_and_after_a_logout_they_do(kas: Kas, laptop: Laptop) -> None:
    login = await laptop.run("login", kas.address.removeprefix("http://"), stdin=f"\n  {kas.secret}\n")
    mode = stat.S_IMODE(laptop.login_file.stat().st_mode)
    created = await laptop.run("agent", "create", "--project", "group/config", "--name", "my-agent")
    elsewhere = await laptop.run("get", "agents", KAS_ADDRESS=kas.address.replace("127.0.0.1", "localhost"))
    logout = await laptop.run("logout")
    after = await laptop.run("get", "agents", KAS_ADDRESS=kas.address)

    assert (login.code, login.out) == (0, f"logged in to {kas.address} as admin (admin)\n")
    assert kas.secret not in login.out + login.err
    assert mode == 0o600
    assert created.code == 0, created.err
    assert elsewhere.code == 1
    assert "no token was given" in elsewhere.err  # another address does not get the token
    assert (logout.code, logout.out) == (0, "logged out\n")
    assert not laptop.login_file.exists()
    assert after.code == 1
    assert "kas login" in after.err


async def test_the_environment_comes_before_the_login(kas: Kas, laptop: Laptop) -> None:
    await laptop.run("login", kas.address, stdin=kas.secret)

    refused = await laptop.run("get", "agents", KAS_TOKEN="kasapi-wrong")

    assert refused.code == 1
    assert "the token came from the environment variable KAS_TOKEN" in refused.err


async def test_a_login_file_that_is_broken_is_named_and_not_in_the_way_of_the_environment(
    kas: Kas, laptop: Laptop
) -> None:
    laptop.login_file.parent.mkdir(parents=True)
    laptop.login_file.write_text("{", encoding="utf-8")

    broken = await laptop.run("get", "agents")
    given = await laptop.run("get", "agents", KAS_ADDRESS=kas.address, KAS_TOKEN=kas.secret)

    assert broken.code == 1
    assert str(laptop.login_file) in broken.err
    assert given.code == 0, given.err


def test_a_login_keeps_the_certificate_authority_whole_from_wherever_it_was_named(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    path = write_login(environ, Login("https://kas.example.com", "kasapi-x", Path("ca.pem")))
    write_login(environ, Login("https://kas.example.com", "kasapi-y", Path("ca.pem")))

    assert path == tmp_path / ".config" / "kas" / "login.json"
    assert [file.name for file in path.parent.iterdir()] == ["login.json"]
    assert read_login(environ) == Login("https://kas.example.com", "kasapi-y", Path.cwd() / "ca.pem")
    assert "kasapi-y" not in repr(read_login(environ))
    assert (remove_login(environ), remove_login(environ), read_login(environ)) == (True, False, None)


def test_without_a_home_nothing_is_remembered() -> None:
    environ = {"XDG_CONFIG_HOME": "no/absolute/path"}

    assert read_login(environ) is None
    with pytest.raises(ClientError, match="no home directory"):
        write_login(environ, Login("https://kas.example.com", "kasapi-x"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("kasapi-wrong", "the API token is not valid"),
        ("glagent-" + "a" * 50, "this is an agent's token"),
        ("", "does not hold one API token"),
        ("kasapi-a kasapi-b", "does not hold one API token"),
        ("kasapi-a\nkasapi-b", "does not hold one API token"),
    ],
)
async def test_a_login_that_does_not_work_is_not_remembered(kas: Kas, laptop: Laptop, typed: str, said: str) -> None:
    refused = await laptop.run("login", kas.address, stdin=typed)

    assert refused.code == 1
    assert said in refused.err
    assert not laptop.login_file.exists()


async def test_an_admin_makes_a_token_that_may_less(kas: Kas, laptop: Laptop) -> None:
    as_admin = {"KAS_ADDRESS": kas.address, "KAS_TOKEN": kas.secret}
    made = await laptop.run(
        *("api-token", "create", "--name", "ci", "--role", "maintainer", "--project", "team", "--expires", "30d"),
        **as_admin,
    )
    as_ci = {**as_admin, "KAS_TOKEN": made.out.strip()}
    inside = await laptop.run("agent", "create", "--project", "team/config", "--name", "a", **as_ci)
    outside = await laptop.run("agent", "create", "--project", "other/config", "--name", "a", **as_ci)
    listed = await laptop.run("api-token", "list", **as_admin)
    audit = await laptop.run("audit", "-o", "json", **as_admin)
    table = await laptop.run("audit", **as_ci)
    (_, ci) = await kas.store.api_tokens.list()
    revoked = await laptop.run("api-token", "revoke", str(ci.id), **as_admin)
    after = await laptop.run("audit", **as_ci)

    assert made.code == 0, made.err
    assert made.out.startswith("kasapi-")
    assert made.out.strip() not in made.err
    assert ci.expires_at is not None
    assert 29 < (ci.expires_at - ci.created_at).total_seconds() / 86400 <= 30.1
    assert inside.code == 0, inside.err
    assert outside.code == 1
    assert "your API token does not allow this: agent create" in outside.err
    assert listed.out.splitlines()[2].split()[1:5] == ["ci", "maintainer", "team", "active"]
    assert [(line["actor"], line["action"], line["outcome"]) for line in json.loads(audit.out)["items"]] == [
        ("admin", "api-token.create", "done"),
        ("ci", "agent.create", "done"),
        ("ci", "agent.create", "refused"),
    ]
    assert "agent team/config:a" in table.out
    assert "other/config" not in table.out
    assert revoked.out == f"API token {ci.id} of ci revoked\n"
    assert after.code == 1


async def test_whoever_is_locked_out_makes_an_admin_token_on_kas_machine(
    kas: Kas, admin: Person, laptop: Laptop, tmp_path: Path
) -> None:
    (first,) = await kas.store.api_tokens.list()
    await kas.store.api_tokens.revoke(first.id)

    made = await laptop.run("token", "create", "--admin", "--name", "rescue", KAS_DATA_DIR=str(tmp_path))
    line = (await type(admin)(kas, made.out.strip()).rest("GET", "audit"))["items"][-1]

    assert made.code == 0, made.err
    assert made.out.count("\n") == 1
    assert (line["action"], line["peer"], line["actor_token_id"]) == ("api-token.create", "local", None)
    assert "'rescue', admin" in line["subject"]


async def test_an_admin_token_can_be_made_before_kas_first_starts(laptop: Laptop) -> None:
    data = laptop.home / "data"
    made = await laptop.run("token", "create", "--admin", "--expires", "1h", "--data-dir", str(data))
    store = await Store.open(f"sqlite:///{data / 'kas.db'}")
    token = await store.api_tokens.find(hash_token(made.out.strip()))
    await store.close()

    assert token is not None
    assert token.role == "admin"
    assert token.expires_at is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "create"),
        ("token", "create", "--admin", "--agent", "a"),
        ("token", "create", "--admin", "-o", "json"),
        ("token", "create", "--agent", "a", "--expires", "1h"),
        ("api-token", "create", "--name", "x", "--role", "root"),
        ("api-token", "create", "--name", "x", "--role", "read", "--expires", "soon"),
        ("login",),
    ],
)
async def test_wrong_usage_is_exit_code_2(laptop: Laptop, arguments: tuple[str, ...]) -> None:
    assert (await laptop.run(*arguments)).code == 2
