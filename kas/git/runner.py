"""What all mirrors share: threads, turns at each server, and the environment git runs in."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from kas.git.config import render, written
from kas.git.process import Bounds, Finished, GitProcess, in_thread
from kas.git.reader import CAT_FILE, CONTENTS, INFOS, CatFile, Info, Question, Turn
from kas.git.slots import Turns
from kas.git.smart_http import SmartHttp

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from kas.git.remotes import GitSettings, Remote
    from kas.git.trees import Read

T = TypeVar("T")

# Threads that wait for the network. Far more than turns, so that processes which hang do not use them up.
_NETWORK_THREADS = 256
# Threads that read the disk and parse; more would only fight over the interpreter.
_LOCAL_THREADS = 4
# Open ``cat-file`` processes; the one used longest ago is closed first.
_READERS = 64
# A listing of about a million files.
_MAX_OUTPUT = 128 * 1024**2


class GitRunner:
    """Runs git for the mirrors of one kas. ``close`` ends what is left of it.

    ``private`` is a directory of its own, emptied first: a kas that was killed during a fetch left a credential there.
    """

    def __init__(self, settings: GitSettings, private: Path) -> None:
        self._settings = settings
        self.max_pack_bytes = settings.max_pack_bytes
        self._reading = Bounds(settings.memory)
        self._fetching = Bounds(settings.memory, settings.max_pack_bytes)
        shutil.rmtree(private, ignore_errors=True)
        private.mkdir(mode=0o700)
        self._private = private
        self._local_config = self._private / "local.gitconfig"
        self._local_config.write_text(render(()))
        self._network = ThreadPoolExecutor(_NETWORK_THREADS, "git-network")
        self._local = ThreadPoolExecutor(_LOCAL_THREADS, "git-local")
        self._turns = Turns()
        self.http = SmartHttp(settings.timeout, self._turns)
        self._readers: OrderedDict[Path, CatFile] = OrderedDict()

    async def network(self, mirror: Path, remote: Remote, arguments: Sequence[str]) -> Finished:
        """Run git in ``mirror`` with what it needs to reach ``remote``. Raises ``TimeoutError``, ``OSError``."""
        with contextlib.ExitStack() as stack:
            key_file = None
            if remote.key is not None:
                # A copy: ssh refuses a key that others may read, which the files of mounted secrets often are.
                key_file = stack.enter_context(written(self._private, remote.key.text, suffix=".key"))
            text = render(self._settings.schemes, remote, key_file)
            config = stack.enter_context(written(self._private, text))
            process = self._process(mirror, arguments, config, self._fetching)
            async with self._turns.at(remote.url):
                return await in_thread(
                    self._network, partial(process.run, _MAX_OUTPUT), process.stop, self._settings.timeout
                )

    async def local(self, mirror: Path, arguments: Sequence[str], *, seconds: float | None = None) -> Finished:
        """Run git in ``mirror`` without any way to the network. Raises ``TimeoutError``, ``OSError``."""
        process = self._process(mirror, arguments, self._local_config, self._reading)
        # Housekeeping may take minutes and must not hold up reading.
        pool = self._local if seconds is None else self._network
        return await in_thread(pool, partial(process.run, _MAX_OUTPUT), process.stop, seconds or self._settings.timeout)

    async def fed(self, mirror: Path, arguments: Sequence[str], pieces: AsyncGenerator[bytes, None]) -> Finished:
        """Run git in ``mirror``, with what comes as its input, bounded like what a fetch may bring.

        Raises ``TimeoutError``, ``OSError``, and what ``pieces`` raises, after which git has seen an early end.
        """
        process = self._process(mirror, arguments, self._local_config, self._fetching)
        # Not a pipe: uvloop closes the descriptor of one twice, and by then it may be that of another thread.
        ours, theirs = socket.socketpair()
        # The thread closes its end as soon as git has it.
        run = partial(process.run, _MAX_OUTPUT, theirs)
        finished, fed = await asyncio.gather(
            in_thread(self._network, run, process.stop, self._settings.timeout),
            asyncio.wait_for(_feed(ours, pieces), self._settings.timeout),
            return_exceptions=True,
        )
        for failed in (fed, finished):
            if isinstance(failed, BaseException):
                raise failed
        return cast("Finished", finished)

    async def objects(self, mirror: Path, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """Return id and content of each object of ``mirror``, None for one that is not there.

        Raises ``TimeoutError``, ``ReaderBrokenError``.
        """
        return await self._read(mirror, CONTENTS, names)

    async def infos(self, mirror: Path, names: Sequence[str]) -> list[Info]:
        """Tell what names mean in ``mirror``, links followed. Raises ``TimeoutError``, ``ReaderBrokenError``."""
        return await self._read(mirror, INFOS, names)

    async def walked(self, mirror: Path, walk: Callable[[Read], T]) -> T:
        """Read objects of ``mirror`` one after another, by what the ones before say, in one thread.

        Raises ``TimeoutError``, ``ReaderBrokenError``, and what ``walk`` raises.
        """
        reader, turn = await self._reader(mirror), Turn()
        work = partial(walk, partial(reader.read, turn, CONTENTS))
        return await in_thread(self._local, work, partial(reader.stop, turn), self._settings.timeout)

    async def _read(self, mirror: Path, question: Question[T], names: Sequence[str]) -> list[T]:
        reader, turn = await self._reader(mirror), Turn()
        work = partial(reader.read, turn, question, names)
        return await in_thread(self._local, work, partial(reader.stop, turn), self._settings.timeout)

    async def _reader(self, mirror: Path) -> CatFile:
        reader = self._readers.get(mirror)
        if reader is None:
            start = partial(self._process, mirror, CAT_FILE, self._local_config, self._reading)
            reader = self._readers[mirror] = CatFile(start)
        self._readers.move_to_end(mirror)
        if len(self._readers) > _READERS:
            await self.threaded(self._readers.popitem(last=False)[1].close)
        return reader

    async def forget(self, mirror: Path) -> None:
        """Close what is open in ``mirror``, which is about to be moved."""
        reader = self._readers.pop(mirror, None)
        if reader is not None:
            await self.threaded(reader.close)

    async def threaded(self, work: Callable[[], T]) -> T:
        """Do short blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._local, work)

    async def asking(self, work: Callable[[], T]) -> T:
        """Do blocking work that waits for the network in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._network, work)

    async def close(self) -> None:
        """End everything. Nothing may be running any more."""
        await self.http.close()
        for reader in self._readers.values():
            await self.threaded(reader.close)
        self._readers.clear()
        self._local.shutdown(wait=False)
        self._network.shutdown(wait=False)
        shutil.rmtree(self._private, ignore_errors=True)

    def _process(self, mirror: Path, arguments: Sequence[str], config: Path, bounds: Bounds) -> GitProcess:
        environment = {
            "GIT_DIR": str(mirror),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "HOME": str(self._private),
            "LC_ALL": "C",
            "LANGUAGE": "C",
        }
        return GitProcess(arguments, environment=environment, directory=mirror.parent, bounds=bounds)


async def _feed(sink: socket.socket, pieces: AsyncGenerator[bytes, None]) -> None:
    """Write all that comes, as fast as it is read, and close."""
    _, writer = await asyncio.open_unix_connection(sock=sink)
    try:
        async for piece in pieces:
            try:
                writer.write(piece)
                await writer.drain()
            except ConnectionError:  # who reads has ended, and says itself why
                break
    finally:
        writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
