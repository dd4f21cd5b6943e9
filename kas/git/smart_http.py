"""Speaks to Git servers over HTTP by our own client: no process, over connections that stay open.

Only what goes without a word is done so. Whatever is odd (another protocol, a refusal, a proxy, a certificate) is an
answer of None, and left to git, which finds out more and whose words ``explain.py`` knows. A server that does not
answer at all raises ``TimeoutError``: git would wait as long once more.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from kas.git import config
from kas.git.protocol import tells_refs
from kas.git.slots import Slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kas.git.remotes import Remote
    from kas.git.slots import Turns

_MAX_ANSWER = 4 * 1024**2
"""Bytes: some 40,000 refs, should so many begin like one that is followed. A longer answer is left to git."""

_SERVICE = "/info/refs?service=git-upload-pack"

_ADVERTISEMENT = "application/x-git-upload-pack-advertisement"

_FIRST_QUESTIONS, _FIRST_SECONDS = 4, 1.0
"""As many ask a server what it can do at a time, and so long do the others wait for what they find."""

ODD = (aiohttp.ClientError, OSError, ssl.SSLError)
"""What is left to git."""


class SmartHttp:
    """Asks servers over HTTP, in turns. ``close`` ends its connections. ``timeout`` of a request in seconds."""

    def __init__(self, timeout: float, turns: Turns) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._turns = turns
        self._session: aiohttp.ClientSession | None = None
        self._pins: dict[tuple[str, int], list[str]] = {}
        self._said: dict[str, bytes] = {}
        self._asking: dict[str, Slots] = {}
        self._trust: tuple[Path, int, ssl.SSLContext] | None = None

    async def said(self, remote: Remote) -> bytes:
        """Return what the server of a repository says of itself; it is asked once. Empty where git has to ask.

        What is of no use to us may be so for one repository alone, such as one with longer ids.
        """
        if not _can_ask(remote):
            return b""
        parts = urlsplit(remote.url)
        server = f"{parts.scheme}://{parts.netloc}"
        first = self._asking.setdefault(server, Slots(_FIRST_QUESTIONS, _FIRST_SECONDS))
        known = self._known(server, remote)
        if known is None:
            async with first.turn():
                known = self._known(server, remote)
                if known is None:
                    known = await self._ask(remote)
                    if known is not None:
                        self._said[server if tells_refs(known) else remote.url] = known
        return known or b""

    async def moved(self, remote: Remote) -> str | None:
        """Return the URL that a server sends on to, None unless that is on the same server."""
        if not _can_ask(remote):
            return None
        try:
            async with self._open(remote, "GET", _SERVICE, {}) as response:
                target = response.headers.get("Location", "") if 300 <= response.status < 400 else ""  # noqa: PLR2004 - HTTP
        except (*ODD, TimeoutError):
            return None
        return same_server(remote.url, target)

    async def page(self, remote: Remote) -> str | None:
        """Return the type of what a server sends with status 200 that is not Git's, such as ``text/html``.

        None where it is Git's, or nothing that could be asked for.
        """
        if not _can_ask(remote):
            return None
        try:
            async with self._open(remote, "GET", _SERVICE, {}) as response:
                kind = response.content_type if response.status == 200 else _ADVERTISEMENT  # noqa: PLR2004 - HTTP
        except (*ODD, TimeoutError):
            return None
        return None if kind == _ADVERTISEMENT else kind

    async def answer(self, remote: Remote, request: bytes) -> bytes | None:
        """Return the answer to a request of the protocol, None for any but a good one of a bounded size."""
        async with self.stream(remote, request) as response:
            return None if response is None else await _body(response)

    @contextlib.asynccontextmanager
    async def stream(self, remote: Remote, request: bytes) -> AsyncIterator[aiohttp.ClientResponse | None]:
        """Give the answer to a request of the protocol as it comes, None for any but a good one."""
        kind = "application/x-git-upload-pack"
        headers = {"Content-Type": f"{kind}-request", "Accept": f"{kind}-result"}
        async with (
            self._turns.at(remote.url),
            self._open(remote, "POST", "/git-upload-pack", headers, request) as response,
        ):
            good = response.status == 200 and response.content_type == f"{kind}-result"  # noqa: PLR2004 - HTTP
            yield response if good else None

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def _known(self, server: str, remote: Remote) -> bytes | None:
        return self._said.get(remote.url) or self._said.get(server)

    async def _ask(self, remote: Remote) -> bytes | None:
        async with self._turns.at(remote.url), self._open(remote, "GET", _SERVICE, {}) as response:
            # A login or maintenance page is no word of the server's about itself, and must not be remembered as one.
            good = response.status == 200 and response.content_type == _ADVERTISEMENT  # noqa: PLR2004 - HTTP
            return await _body(response) if good else None

    def _open(
        self, remote: Remote, method: str, path: str, headers: dict[str, str], data: bytes | None = None
    ) -> aiohttp.client._RequestContextManager:
        headers = {"Git-Protocol": f"version={config.PROTOCOL}", "User-Agent": "git/kas", **headers}
        if remote.credential is not None:
            pair = f"{remote.credential.username}:{remote.credential.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if remote.resolve:
            host, port, addresses = remote.resolve.split(":", 2)
            self._pins[host, int(port)] = [address.strip("[]") for address in addresses.split(",")]
        if self._session is None:
            # Who may use a connection is decided by turns, which who hangs gives back. What a server remembers of one
            # credential is no business of another's: no cookies.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=_Pinned(self._pins)),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
            )
        return self._session.request(
            method, f"{remote.url}{path}", headers=headers, data=data, allow_redirects=False, ssl=self._context(remote)
        )

    def _context(self, remote: Remote) -> ssl.SSLContext | bool:
        """Return what certificates are judged by; the file is read anew when it was replaced."""
        file = remote.ca_file
        if file is None or not remote.url.startswith("https:"):
            return True
        changed = file.stat().st_mtime_ns
        if self._trust is None or self._trust[:2] != (file, changed):
            self._trust = file, changed, ssl.create_default_context(cafile=file)
        return self._trust[2]


def same_server(url: str, location: str) -> str | None:
    """Return the repository that a redirect of one at ``url`` leads to, None unless it is on the same server. Pure."""
    target = urljoin(f"{url}{_SERVICE}", location)
    if not target.endswith(_SERVICE) or not target.isprintable() or " " in target:
        return None
    try:
        old, new = urlsplit(url), urlsplit(target)
        same = (old.scheme, old.hostname, old.port) == (new.scheme, new.hostname, new.port)
    except ValueError:
        return None
    found = target.removesuffix(_SERVICE)
    return found if same and new.username is None and _is_plain(found) and found != url else None


def _is_plain(url: str) -> bool:
    """Tell whether everybody reads the same path out of a URL: what is asked for makes ``/group/../other`` shorter."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    odd = "\\" in path or "%" in path or path.count("/") != parts.path.count("/")
    steps = (step.partition(";")[0] for step in path.split("/")[1:])
    return not (odd or parts.query or parts.fragment or any(step in {"", ".", ".."} for step in steps))


def in_same_group(url: str, project: str, moved: str) -> bool:
    """Tell whether a repository that has moved is still in its project's top-level group. Pure.

    Who may read a project is decided by its path, so a redirect must not lead out of what that says. A URL without the
    project's path in it was chosen by kas' operator for this one project.
    """
    path = quote(project, safe="/")
    before, there, after = url.rpartition(path)
    if not there:
        return True
    group, is_grouped, _ = path.partition("/")
    if is_grouped:
        return moved.lower().startswith(f"{before}{group}/".lower())
    return moved.lower().removesuffix(".git") == f"{before}{path}{after}".lower().removesuffix(".git")


def _can_ask(remote: Remote) -> bool:
    return urlsplit(remote.url).scheme in {"http", "https"} and not remote.proxy


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            return None
    return bytes(body)


class _Pinned(AbstractResolver):
    """Gives the addresses that were looked at (``addresses.py``), whatever the name answers by now."""

    def __init__(self, pins: dict[tuple[str, int], list[str]]) -> None:
        self._pins = pins

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the interface's
    ) -> list[ResolveResult]:
        if (host, port) not in self._pins:
            raise OSError(f"no address of {host} was looked at")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._pins[host, port]
        ]

    async def close(self) -> None:
        """Nothing is open."""
