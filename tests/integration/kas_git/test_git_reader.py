"""The one process that all readers of a mirror share: who gives up takes it away from nobody else."""

from __future__ import annotations

import fcntl
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

import pytest

from kas.git.process import Bounds, GitProcess
from kas.git.reader import CAT_FILE, CONTENTS, CatFile, Question, ReaderBrokenError, Turn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.git_server import GitServer

CONTENT = "a" * 1_000_000
PAGE = 4096


class Slow(Question[bytes]):
    """Asks for content as usual, and takes its time to read it."""

    command = CONTENTS.command

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    def request(self, name: str) -> bytes:
        return CONTENTS.request(name)

    def answer(self, request: bytes, header: bytes, stdout: IO[bytes]) -> bytes:
        self.began.set()
        assert self.may_end.wait(30)
        found = CONTENTS.answer(request, header, stdout)
        assert found is not None
        return found[1]


@dataclass
class Mirror:
    """A reader of a repository with a file that is larger than a pipe, and the file's id."""

    reader: CatFile
    file: str


@pytest.fixture
def mirror(tmp_path: Path, git_server: GitServer) -> Iterator[Mirror]:
    repository = git_server.create("group/read")
    repository.push_files({"a.txt": CONTENT})
    environment = {"GIT_DIR": str(repository.path / ".git")}
    reader = CatFile(lambda: GitProcess(CAT_FILE, environment=environment, directory=tmp_path, bounds=Bounds(1 << 28)))
    yield Mirror(reader, repository.git("rev-parse", "HEAD:a.txt").strip())
    reader.close()


def test_a_reader_that_gives_up_while_it_waits_stops_nobody_else(mirror: Mirror) -> None:
    slow, waiting, reader = Slow(), Turn(), mirror.reader
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reader.read, Turn(), slow, [mirror.file])
        assert slow.began.wait(30)
        second = pool.submit(reader.read, waiting, CONTENTS, [mirror.file])
        reader.stop(waiting, signal.SIGTERM)
        slow.may_end.set()
        assert first.result(30) == [CONTENT.encode()]
        with pytest.raises(ReaderBrokenError):
            second.result(30)


def test_a_reader_that_is_stopped_leaves_a_process_that_works_to_the_next(mirror: Mirror) -> None:
    slow, turn, reader = Slow(), Turn(), mirror.reader
    with ThreadPoolExecutor(2) as pool:
        stopped = pool.submit(reader.read, turn, slow, [mirror.file])
        assert slow.began.wait(30)
        following = pool.submit(reader.read, Turn(), CONTENTS, [mirror.file])
        reader.stop(turn, signal.SIGTERM)
        slow.may_end.set()
        with pytest.raises(ReaderBrokenError):
            stopped.result(30)
        assert following.result(30) == [(mirror.file, CONTENT.encode())]


class Narrow(GitProcess):
    """Is asked through a pipe of one page, as the hundreds of mirrors of a kas that is not root are."""

    def open(self, *, stdin: int | None = None) -> subprocess.Popen[bytes]:
        process = super().open(stdin=stdin)
        assert process.stdin is not None
        fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PAGE)
        return process


ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe be made so narrow")


@pytest.mark.parametrize("process", [GitProcess, pytest.param(Narrow, marks=ONLY_LINUX)])
def test_thousands_of_names_and_answers_never_wait_for_each_other(
    process: type[GitProcess], tmp_path: Path, git_server: GitServer
) -> None:
    repository = git_server.create("group/many")
    texts = {f"{number}.txt": f"{number}\n" * 4_000 for number in range(10)}
    repository.push_files(texts)
    ids = {repository.git("rev-parse", f"HEAD:{name}").strip(): text for name, text in texts.items()}
    names = [*list(ids) * 200, "0" * 40]
    environment = {"GIT_DIR": str(repository.path / ".git")}
    start = partial(process, CAT_FILE, environment=environment, directory=tmp_path, bounds=Bounds(1 << 28))
    reader = CatFile(start)
    turn = Turn()
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(reader.read, turn, CONTENTS, names)
        try:
            *found, missing = read.result(60)
        finally:
            reader.stop(turn, signal.SIGKILL)
    reader.close()
    assert missing is None
    assert [(name, ids[name].encode()) for name in names[:-1]] == found
