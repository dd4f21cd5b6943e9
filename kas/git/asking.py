"""Asks servers where refs are and for what is there: two requests for a push, and one process that takes in the pack.

What git does itself, and better, is told by None or False; see ``smart_http.py``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kas.git.errors import GitError
from kas.git.explain import explain
from kas.git.parcels import MOST_BYTES, Parcel, source_of
from kas.git.protocol import PackAnswer, ProtocolError, gives_packs, pack_request, parse_refs, refs_request, tells_refs
from kas.git.smart_http import ODD

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    import aiohttp

    from kas.git.packs import Packs
    from kas.git.remotes import Remote
    from kas.git.smart_http import SmartHttp


class Asker:
    """Asks for one project, into whose repository goes what comes. All methods raise ``TimeoutError``."""

    def __init__(self, http: SmartHttp, project: str, packs: Packs, max_pack_bytes: int) -> None:
        self._http = http
        self._project = project
        self._packs = packs
        self._max_pack_bytes = max_pack_bytes

    async def refs(self, remote: Remote, names: Collection[str]) -> dict[str, str] | None:
        """Return the object ids of those refs that there are, None where git has to ask."""
        if not names:
            return {}
        try:
            if not tells_refs(await self._http.said(remote)):
                return None
            answer = await self._http.answer(remote, refs_request(names))
            return None if answer is None else parse_refs(answer, names)
        except TimeoutError:
            raise
        except (*ODD, ProtocolError):
            return None

    async def objects(
        self,
        remote: Remote,
        wanted: Collection[str],
        held: Collection[str],
        *,
        without_history: bool,
        parcels: list[Parcel] | None = None,
    ) -> bool:
        """Bring objects and all that they need into the repository; tell whether that went well.

        ``held`` are commits that are here. What came is added to ``parcels`` if it is small. Raises ``GitError``,
        TooLarge.
        """
        copy = bytearray()
        try:
            if not gives_packs(await self._http.said(remote)):
                return False
            shallow = await self._packs.shallow()
            request = pack_request(wanted, held, shallow, without_history=without_history)
            async with self._http.stream(remote, request) as response:
                if response is None:
                    return False
                answer = PackAnswer()
                async with contextlib.aclosing(self._pack(response, answer, copy)) as pack:
                    await self._packs.take_in(pack, answer.shallow, shallow)
                if parcels is not None and copy:
                    parcels.append(Parcel(source_of(remote), tuple(answer.shallow), bytes(copy)))
        except TimeoutError:
            raise
        except GitError as error:
            if error.reason == "TooLarge":
                raise
            return False
        except (*ODD, ProtocolError):
            return False
        return True

    async def _pack(
        self, response: aiohttp.ClientResponse, answer: PackAnswer, copy: bytearray
    ) -> AsyncGenerator[bytes, None]:
        """Yield the pack as it comes; ``copy`` has it at the end if it is small."""
        size = 0
        async for chunk in response.content.iter_any():
            piece = answer.feed(chunk)
            size += len(piece)
            if size > self._max_pack_bytes:
                raise explain(self._project, None, 1, "file too large", None)
            if size <= MOST_BYTES:
                copy += piece
            else:
                copy.clear()
            if piece:
                yield piece
        if not answer.whole:
            raise ProtocolError("the answer does not end where it should")
