"""What the tests of kas/git share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kas.git.errors import GitError
from kas.git.refs import GitRef, RefKind
from kas.git.remotes import CredentialSettings, GitSettings

if TYPE_CHECKING:
    import ssl
    from typing import Self

    from kas.git.mirror import Mirror

PROJECT = "group/project"
MAIN = GitRef(RefKind.BRANCH, "main")


def settings_for(template: str, *, credential: CredentialSettings | None = None, timeout: float = 30.0) -> GitSettings:
    return GitSettings(url_template=template, credential=credential, allow_http=True, timeout=timeout)


async def files_of(mirror: Mirror, commit: str) -> dict[str, bytes]:
    entries = [entry for entry in await mirror.tree(commit) if entry.mode != "160000"]
    blobs = await mirror.blobs([entry.blob_id for entry in entries])
    return {entry.path: blobs[entry.blob_id] for entry in entries}


async def refused(mirror: Mirror, ref: GitRef) -> GitError:
    with pytest.raises(GitError) as caught:
        await mirror.fetch(ref)
    assert str(caught.value).startswith(PROJECT)
    return caught.value


def path_of(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "data" / "mirrors").iterdir()
    return path


class HangingServer:
    """Takes a request, keeps its head in ``request``, and never answers."""

    def __init__(self) -> None:
        self.request = b""
        self.arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hang, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.template = f"{self.url}/{{project}}.git"
        return self

    def as_proxy(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Let it be the proxy to all servers, so that kas leaves them to git; return a template of one."""
        monkeypatch.setenv("http_proxy", self.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        return "http://git.example.com/{project}.git"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = await reader.readuntil(b"\r\n\r\n")
        self.arrived.set()
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()


def children(parent: int | None = None) -> list[int]:
    """The git processes started by this one, or by ``parent``."""
    found = []
    for task in Path(f"/proc/{parent or os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread or process that has just ended
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if any(map(_is_git, proc(pid, "cmdline").split("\0")))]


def _is_git(word: str) -> bool:
    """Tell whether a word of a command is git, or a program of it; Gitea, which other tests leave running, is none."""
    name = word.rpartition("/")[2]
    return name == "git" or name.startswith("git-")


def family() -> list[int]:
    """The git processes started by this one, and theirs."""
    direct = children()
    return direct + [pid for parent in direct for pid in children(parent)]


def proc(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except OSError:
        return ""


class HoldingProxy:
    """Passes requests on to a Git server; while ``gate`` is closed, POST answers are fetched but not handed on.

    With ``only_packs`` those without a pack are all the same. With ``cut`` the last bytes, so many, of answers with a
    pack are left out.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = port
        self._tls = tls
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = asyncio.Event()
        self.only_packs = False
        self.cut = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.template = f"{'https' if self._tls else 'http'}://localhost:{port}/{{project}}.git"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # the client does not like our certificate
            writer.close()
            return
        upstream, request = await asyncio.open_connection("127.0.0.1", self._upstream)
        request.write(head)
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if length:
            request.write(await reader.readexactly(int(length[0].split(b":")[1])))
        answer = await upstream.read()
        has_pack = b"packfile\n" in answer
        if head.startswith(b"POST") and not self.gate.is_set() and (has_pack or not self.only_packs):
            self.held.set()
            await self.gate.wait()
        writer.write(answer[: -self.cut] if self.cut and has_pack else answer)
        await writer.drain()
        for stream in (request, writer):
            stream.close()
