"""Asks a server where refs are, by our own HTTP client: one request, no process, whatever number of refs.

Only what goes without a word is done here. Whatever is odd (another protocol, a refusal, a proxy, a certificate) is an
answer of None, and left to git, which finds out more and whose words ``explain.py`` knows.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from kas.git.addresses import is_proxied
from kas.git.protocol import ProtocolError, parse_refs, refs_request, tells_refs

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from kas.git.remotes import Remote

_MAX_ANSWER = 4 * 1024**2
"""Bytes: some 40,000 refs, should so many begin like one that is followed. A longer answer is left to git."""

_AT_ONCE = 16
"""Connections to one server."""

_SERVICE = "/info/refs?service=git-upload-pack"


class RefAsker:
    """Asks servers over HTTP. ``close`` ends its connections. ``timeout`` in seconds."""

    def __init__(self, timeout: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._pins: dict[tuple[str, int], list[str]] = {}
        self._speaks: dict[str, bool] = {}
        self._trust: tuple[Path, int, ssl.SSLContext] | None = None

    async def refs(self, remote: Remote, names: Collection[str]) -> dict[str, str] | None:
        """Return the object ids of those refs that there are, None where git has to ask."""
        try:
            if not self._can_ask(remote) or not await self._understands(remote):
                return None
            headers = {
                "Content-Type": "application/x-git-upload-pack-request",
                "Accept": "application/x-git-upload-pack-result",
            }
            answer = await self._request(remote, "POST", "/git-upload-pack", headers, refs_request(names))
            return None if answer is None else parse_refs(answer, names)
        except (aiohttp.ClientError, OSError, TimeoutError, ProtocolError, ssl.SSLError):
            return None

    async def moved(self, remote: Remote) -> str | None:
        """Return the URL that a server sends on to, None unless that is on the same server."""
        if not self._can_ask(remote):
            return None
        try:
            async with self._open(remote, "GET", _SERVICE, {}) as response:
                target = response.headers.get("Location", "") if 300 <= response.status < 400 else ""  # noqa: PLR2004 - HTTP
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        return same_server(remote.url, target)

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def _can_ask(self, remote: Remote) -> bool:
        parts = urlsplit(remote.url)
        return parts.scheme in {"http", "https"} and not is_proxied(parts.scheme, parts.hostname or "")

    async def _understands(self, remote: Remote) -> bool:
        """Tell whether the server of a repository speaks the protocol's version 2; it is asked once."""
        parts = urlsplit(remote.url)
        server = f"{parts.scheme}://{parts.netloc}"
        if server not in self._speaks:
            said = await self._request(remote, "GET", _SERVICE, {}, None)
            if said is None:
                return False
            self._speaks[server] = tells_refs(said)
        return self._speaks[server]

    async def _request(
        self, remote: Remote, method: str, path: str, headers: dict[str, str], data: bytes | None
    ) -> bytes | None:
        """Return the answer's body, None for any answer but a good one of a bounded size."""
        async with self._open(remote, method, path, headers, data) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP
                return None
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_ANSWER:
                    return None
            return bytes(body)

    def _open(
        self, remote: Remote, method: str, path: str, headers: dict[str, str], data: bytes | None = None
    ) -> aiohttp.client._RequestContextManager:
        headers = {"Git-Protocol": "version=2", "User-Agent": "git/kas", **headers}
        if remote.credential is not None:
            pair = f"{remote.credential.username}:{remote.credential.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if remote.resolve:
            host, port, addresses = remote.resolve.split(":", 2)
            self._pins[host, int(port)] = [address.strip("[]") for address in addresses.split(",")]
        if self._session is None:
            connector = aiohttp.TCPConnector(limit_per_host=_AT_ONCE, resolver=_Pinned(self._pins))
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=False)
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
    return found if same and new.username is None and found != url else None


class _Pinned(AbstractResolver):
    """Gives the addresses that were looked at (``addresses.py``), whatever the name answers by now."""

    def __init__(self, pins: dict[tuple[str, int], list[str]]) -> None:
        self._pins = pins

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        pinned = self._pins.get((host, port))
        if pinned is None:  # as written, or localhost: what the operator means
            found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            pinned = list(dict.fromkeys(str(item[4][0]) for item in found))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in pinned
        ]

    async def close(self) -> None:
        """Nothing is open."""
