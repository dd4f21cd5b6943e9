"""What one kas has fetched, others take in if it is for them, fits and is whole; else they ask the server, too."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pytest

from kas.git.mirrors import Mirrors
from kas.git.parcels import Parcel, ref_name
from kas.git.refs import GitRef, RefKind
from kas.git.remotes import CredentialKind, CredentialSettings
from kas.git.watcher import RefWatcher
from kas.replicas.local import Hub, LocalBus, LocalLeases
from kas.replicas.port import Message
from kas.replicas.refs import SharedRefs
from tests.integration.kas_git.git_helpers import MAIN, PROJECT, files_of, settings_for
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kas.git.remotes import GitSettings
    from kas.git.watcher import RefState
    from kas.replicas.port import Heard
    from tests.support.git_server import GitServer

NEVER = 3600.0
OTHER = GitRef(RefKind.BRANCH, "other")
UNMERGED = GitRef(RefKind.BRANCH, "unmerged")


def asked(git_server: GitServer) -> int:
    """How often it was asked where refs are, which one does for a push, and what is there."""
    return sum("POST" in request and request.endswith("git-upload-pack") for request in git_server.requests)


class Mangling(LocalBus):
    """A bus on which parcels arrive as ``mangle`` makes them; nothing at all arrives while it is ``deaf``."""

    deaf = False

    def __init__(self, hub: Hub, mangle: Callable[[bytes], bytes]) -> None:
        super().__init__(hub)
        self.mangle = mangle

    def hear(self, topic: str, message: Heard) -> None:
        if topic == "parcels" and isinstance(message, Message):
            message = Message(message.sender, self.mangle(message.body))
        if not self.deaf:
            super().hear(topic, message)


@dataclass
class Pair:
    """Two kas; the first one looks. ``commits`` are those that each had of the first ref, in order."""

    buses: list[Mangling]
    mirrors: list[Mirrors]
    watchers: list[RefWatcher]
    states: dict[tuple[int, GitRef], RefState]
    commits: dict[int, list[str | None]] = field(default_factory=lambda: defaultdict(list))

    async def have(self, number: int, ref: GitRef, commit: str) -> None:
        await eventually(lambda: self._commit(number, ref) == commit, what="it has the commit")

    def _commit(self, number: int, ref: GitRef) -> str | None:
        state = self.states.get((number, ref))
        return None if state is None or state.error is not None else state.commit


@asynccontextmanager
async def pair(
    settings: list[GitSettings],
    tmp_path: Path,
    *,
    keys: tuple[bytes, bytes] = (b"key", b"key"),
    mangle: Callable[[bytes], bytes] = lambda body: body,
    refs: tuple[GitRef, ...] = (MAIN,),
    poll_interval: float = NEVER,
) -> AsyncIterator[Pair]:
    hub, two = Hub(), Pair([], [], [], {})
    async with AsyncExitStack() as closing, asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        for number in range(2):
            bus, mirrors = Mangling(hub, mangle), Mirrors(settings[number], tmp_path / f"kas-{number}")
            shared = SharedRefs(bus, LocalLeases(hub), keys[number])
            stack.enter_context(shared.listening())
            watcher = RefWatcher(mirrors, poll_interval=poll_interval, sharing=shared)
            two.buses.append(bus)
            two.mirrors.append(mirrors)
            two.watchers.append(watcher)
            for ref in refs:

                def told(state: RefState, number: int = number) -> None:
                    two.states[number, state.ref] = state
                    if state.ref == refs[0] and state.commit not in two.commits[number][-1:]:
                        two.commits[number].append(state.commit)

                watcher.follow(PROJECT, ref, told)
            closing.push_async_callback(mirrors.close)
            stack.callback(group.create_task(watcher.run()).cancel)
            await eventually(lambda: len(two.states) == len(two.buses) * len(refs), what="it follows")
        yield two


def flipped(at: int) -> Callable[[bytes], bytes]:
    def flip(body: bytes) -> bytes:
        mangled = bytearray(body)
        mangled[at] ^= 1
        return bytes(mangled)

    return flip


MANGLED: dict[str, Callable[[bytes], bytes]] = {
    "seal": flipped(0),
    "head": flipped(40),
    "pack": flipped(-30),
    "checksum": flipped(-1),
    "cut": lambda body: body[:-10],
    "nothing": lambda _: b"",
    "large": lambda body: body + bytes(400_000),
}


@pytest.mark.parametrize("how", MANGLED)
async def test_what_was_damaged_on_its_way_is_asked_for(git_server: GitServer, tmp_path: Path, how: str) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with pair([settings_for(git_server.template)] * 2, tmp_path, mangle=MANGLED[how]) as two:
        second, before = repository.push_files({"a.yaml": "a: 2\n"}), asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        assert asked(git_server) - before == 4


async def test_what_has_another_key_is_asked_for(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with pair([settings_for(git_server.template)] * 2, tmp_path, keys=(b"key", b"another")) as two:
        second, before = repository.push_files({"a.yaml": "a: 2\n"}), asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        assert asked(git_server) - before == 4


async def test_who_is_not_let_in_gets_nothing_from_who_is(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT, username="kas", password="right")
    repository.push_files({"a.yaml": "a: 1\n"})
    settings = []
    for number in range(2):
        (tmp_path / f"token-{number}").write_text("right")
        credential = CredentialSettings(CredentialKind.BASIC, tmp_path / f"token-{number}", "kas")
        settings.append(settings_for(git_server.template, credential=credential))
    async with pair(settings, tmp_path) as two:
        second, before = repository.push_files({"a.yaml": "a: 2\n"}), asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        assert asked(git_server) - before == 2, "both are let in"
        (tmp_path / "token-1").write_text("wrong")
        third = repository.push_files({"a.yaml": "a: 3\n"})
        two.watchers[0].poke(PROJECT)
        await two.have(0, MAIN, third)
        await eventually(lambda: two.states[1, MAIN].error, what="the other is not")
        error = two.states[1, MAIN].error
        assert error is not None
        assert error.reason == "AccessDenied"
        assert not await two.mirrors[1].mirror(PROJECT).has(third)


async def test_what_builds_on_something_that_is_not_here_is_asked_for(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with pair([settings_for(git_server.template)] * 2, tmp_path) as two:
        second = repository.push_files({"a.yaml": "a: 2\n", "b.yaml": "b: 1\n"})
        two.buses[1].deaf = True
        two.watchers[0].poke(PROJECT)
        await two.have(0, MAIN, second)
        two.buses[1].deaf = False
        third, before = repository.push_files({"a.yaml": "a: 3\n"}), asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, third)
        assert asked(git_server) - before == 4
        assert await files_of(two.mirrors[1].mirror(PROJECT), third) == {"a.yaml": b"a: 3\n", "b.yaml": b"b: 1\n"}


async def test_who_is_kept_from_hearing_anything_looks_by_itself_in_the_end(
    git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with pair([settings_for(git_server.template)] * 2, tmp_path, poll_interval=0.05) as two:
        two.buses[1].deaf = True  # it goes on believing that the other one looks, and has nothing to tell
        second = repository.push_files({"a.yaml": "a: 2\n"})
        await two.have(0, MAIN, second)
        await two.have(1, MAIN, second)


async def test_a_commit_that_is_told_and_in_no_history_of_its_ref_is_not_taken(
    git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.create(PROJECT)
    first = repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("commit", "--quiet", "--allow-empty", "--message", "nobody has merged it")
    unmerged = repository.head()
    repository.git("push", "--quiet", "origin", "HEAD:unmerged")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    async with pair([settings_for(git_server.template)] * 2, tmp_path, refs=(MAIN, UNMERGED)) as two:
        await two.have(1, UNMERGED, unmerged)  # so that it is here
        for at, error in (("2000-01-01", None), ("2999-01-01", None), ("2999-01-01", ["Timeout", "slow", True])):
            said = {"project": PROJECT, "ref": ref_name(MAIN), "commit": unmerged, "error": error, "at": f"{at}T00:00Z"}
            two.buses[0].publish("refs", orjson.dumps(said))
            await eventually(lambda: not two.watchers[1]._projects[PROJECT].wake.is_set(), what="it was looked at")
        second = repository.push_files({"a.yaml": "a: 2\n"})
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        assert two.commits[1] == [first, second], "neither was it followed meanwhile"


async def test_what_is_large_is_asked_for(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    async with pair([settings_for(git_server.template)] * 2, tmp_path) as two:
        second = repository.push_files({"a.yaml": os.urandom(300_000).hex()})
        before = asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        assert asked(git_server) - before == 4


async def test_what_brings_two_branches_is_taken_in_for_both(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    repository.git("push", "--quiet", "origin", "HEAD:other")
    async with pair([settings_for(git_server.template)] * 2, tmp_path, refs=(MAIN, OTHER)) as two:
        second = repository.push_files({"a.yaml": "a: 2\n"})
        repository.git("commit", "--quiet", "--amend", "--message", "for the other")
        other = repository.head()
        repository.git("push", "--quiet", "--force", "origin", "HEAD:other")
        before = asked(git_server)
        two.watchers[0].poke(PROJECT)
        await two.have(1, MAIN, second)
        await two.have(1, OTHER, other)
        assert asked(git_server) - before == 2
        mirror = two.mirrors[1].mirror(PROJECT)
        assert (await mirror.last(MAIN), await mirror.last(OTHER)) == (second, other), "neither is dropped one day"


async def test_a_beginning_is_taken_in_only_where_nothing_began_before(git_server: GitServer, tmp_path: Path) -> None:
    repository = git_server.create(PROJECT)
    repository.push_files({"a.yaml": "a: 1\n"})
    first, follows, fresh = (Mirrors(settings_for(git_server.template), tmp_path / name) for name in "abc")
    await follows.mirror(PROJECT).fetch(MAIN)
    second = repository.push_files({"a.yaml": "a: 2\n"})
    parcels: list[Parcel] = []
    await first.mirror(PROJECT).look([MAIN], parcels)
    assert [parcel.shallow for parcel in parcels] == [(second,)]
    before = len(git_server.requests)
    await fresh.mirror(PROJECT).bring(MAIN, second, [lambda _: parcels[0]])
    assert len(git_server.requests) == before
    assert await files_of(fresh.mirror(PROJECT), second) == {"a.yaml": b"a: 2\n"}
    await follows.mirror(PROJECT).bring(MAIN, second, [lambda _: parcels[0]])
    assert git_server.requests[before:]
    shallow = next((tmp_path / "b" / "mirrors").iterdir()) / "shallow"
    assert second not in shallow.read_text()
    for mirrors in (first, follows, fresh):
        await mirrors.close()


@pytest.mark.parametrize(
    "pack", [b"", b"PACK", b"PACK\0\0\0\2\0\0\0\1" + bytes(40), b"no pack at all, but long enough"]
)
async def test_what_is_no_pack_though_one_of_us_says_so_harms_nothing(
    mirrors: Mirrors, git_server: GitServer, tmp_path: Path, pack: bytes
) -> None:
    repository = git_server.create(PROJECT)
    commit = repository.push_files({"a.yaml": "a: 1\n"})
    mirror = mirrors.mirror(PROJECT)
    await mirror.bring(MAIN, commit, [lambda source: Parcel(source, (commit,), pack)])
    assert await files_of(mirror, commit) == {"a.yaml": b"a: 1\n"}
    tips = ((ref_name(MAIN), "1" * 40),)
    assert await mirror.bring(MAIN, "1" * 40, [lambda source: Parcel(source, (), pack, tips)]) == commit
    assert not list((tmp_path / "data").glob("mirrors/*/objects/pack/tmp_*"))
