"""A real Git server on loopback: smart HTTP by git's own programs, with what a forge may do to kas.

What is fetched comes from ``git upload-pack`` itself, as forges have it; everything else from ``git http-backend``,
which would start it with two processes more.
Repositories can be private, disappear and come back, and the whole server can stop and start again on its port.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from tests.support.git_repository import GIT_ENVIRONMENT, GitRepository, git
from tests.support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class GitServer:
    """Serves every bare repository below ``directory`` as ``http://127.0.0.1:<port>/<project>.git``.

    A context manager; ``stop`` and ``start`` may also be called in between. Every request runs in a thread of its own,
    so it serves programs and asyncio tests of the same process alike.
    """

    def __init__(self, directory: Path, *, keeps_connections: bool = False) -> None:
        """Prepare; nothing runs before ``start``.

        Args:
            directory: for the repositories and their work trees.
            keeps_connections: after an answer, as forges do; whoever connects has to leave before the server stops.
        """
        self.port = free_port()
        self._keeps_connections = keeps_connections
        self.requests: list[str] = []
        """Method and path of every request, with its query, in order of arrival."""
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._authorizations: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._redirects: dict[str, tuple[str, HTTPStatus]] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    @property
    def template(self) -> str:
        """The URL template for kas: ``http://127.0.0.1:<port>/{project}.git``."""
        return f"{self.url}/{{project}}.git"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, again on the same port after a stop."""
        self._server = _Server((HOST, self.port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; requests under way are finished. Stopping twice is no error."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def create(self, project: str, *, username: str = "", password: str = "") -> GitRepository:
        """Create an empty repository, private if a password is given, and return a work tree to commit in.

        Args:
            project: full path, such as ``group/project``.
            username: the only one who may fetch and push, by basic authentication.
            password: theirs.
        """
        bare = self.bare(project)
        git("init", "--bare", "--quiet", "--initial-branch=main", str(bare), cwd=self._directory)
        # What forges allow as well, and kas fetches by commit.
        for key in ("http.receivepack", "uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
            git("config", key, "true", cwd=bare)
        if password:
            self.set_password(project, username, password)
        work = self._directory / "work" / project
        return GitRepository(work, f"{self.url}/{project}.git", username=username, password=password)

    def set_password(self, project: str, username: str, password: str) -> None:
        """Change who may reach a private repository, as rotating a token does."""
        self._authorizations[project] = f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"

    def hide(self, project: str) -> None:
        """Answer 404 for a repository, as when it was deleted or moved."""
        self._hidden.add(project)

    def show(self, project: str) -> None:
        """Let a hidden repository be there again, with everything it held."""
        self._hidden.discard(project)

    def redirect(self, project: str, to: str | None, status: HTTPStatus = HTTPStatus.MOVED_PERMANENTLY) -> None:
        """Send on to another project, as GitLab does after a rename; None: not any more."""
        if to is None:
            self._redirects.pop(project, None)
        else:
            self._redirects[project] = to, status

    def delete(self, project: str) -> None:
        """Delete a repository with everything it held."""
        shutil.rmtree(self.bare(project))

    def bare(self, project: str) -> Path:
        """Return where a repository lies on disk, as for a hook."""
        return self._directory / "repositories" / f"{project}.git"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(_GitHandler):
            root = owner._directory / "repositories"
            log_request_line = owner.requests.append
            authorize = staticmethod(owner._authorize)
            redirects = owner._redirects
            keeps_connections = owner._keeps_connections

        return Handler

    def _authorize(self, project: str, header: str | None) -> HTTPStatus:
        if project in self._hidden or not self.bare(project).is_dir():
            return HTTPStatus.NOT_FOUND
        wanted = self._authorizations.get(project)
        return HTTPStatus.OK if wanted in {None, header} else HTTPStatus.UNAUTHORIZED


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them, so that no request outlives the server
    allow_reuse_address = True
    request_queue_size = 256


class _GitHandler(BaseHTTPRequestHandler):
    """One request, as one process of git's; bodies are streamed both ways."""

    wbufsize = CHUNK_BYTES  # what is small goes as one piece
    protocol_version = "HTTP/1.1"  # libcurl sends no chunked bodies to 1.0, and git pushes large packs that way
    root: Path
    log_request_line: Callable[[str], None]
    authorize: Callable[[str, str | None], HTTPStatus]
    redirects: dict[str, tuple[str, HTTPStatus]]
    keeps_connections: bool

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Stay silent: the requests are recorded by the server, and pytest's output is for results."""

    def _serve(self) -> None:
        type(self).log_request_line(f"{self.command} {self.path}")
        path, _, query = self.path.partition("?")
        project, separator, rest = unquote(path).removeprefix("/").partition(".git/")
        if project in self.redirects:
            to, code = self.redirects[project]
            self.send_response(code)
            self.send_header("Location", self.path.replace(f"/{project}.git/", f"/{to}.git/", 1))
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = self.authorize(project, self.headers["Authorization"]) if separator else HTTPStatus.NOT_FOUND
        if status is not HTTPStatus.OK:
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        environment = {**os.environ, **GIT_ENVIRONMENT, "GIT_PROTOCOL": self.headers["Git-Protocol"] or ""}
        if (self.command, rest) == ("POST", "git-upload-pack"):
            self._run(["upload-pack", "--stateless-rpc", str(self.root / f"{project}.git")], environment, self._fetched)
            return
        environment |= {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{project}.git/{rest}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": self.headers["Content-Length"] or "",
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "REMOTE_USER": "pusher",
            "REMOTE_ADDR": HOST,
        }
        self._run(["http-backend"], environment, self._said)

    def _run(
        self, arguments: list[str], environment: Mapping[str, str], head: Callable[[IO[bytes]], dict[str, str]]
    ) -> None:
        """Give git the body, and answer with what it says after ``head``."""
        with subprocess.Popen(
            ["git", *arguments], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as backend:
            assert backend.stdin is not None
            assert backend.stdout is not None
            try:
                self._copy_request(backend.stdin, plain=head == self._fetched)
                self._copy_answer(backend.stdout, head(backend.stdout))
            except (BrokenPipeError, ConnectionResetError):
                backend.kill()  # the client has gone, or git has refused

    def _fetched(self, _: IO[bytes]) -> dict[str, str]:
        return {"content-type": "application/x-git-upload-pack-result", "cache-control": "no-cache"}

    def _said(self, backend: IO[bytes]) -> dict[str, str]:
        headers = [line.decode().partition(":") for line in iter(lambda: backend.readline().strip(), b"")]
        return {name.lower(): value.strip() for name, _, value in headers}

    def _copy_request(self, backend: IO[bytes], *, plain: bool) -> None:
        zipped = plain and self.headers["Content-Encoding"] == "gzip"
        reader = zlib.decompressobj(wbits=31)
        for data in self._body():
            backend.write(reader.decompress(data) if zipped else data)
        backend.close()

    def _body(self) -> Iterator[bytes]:
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"] or 0)
            while left:
                data = self.rfile.read(min(left, CHUNK_BYTES))
                yield data
                left -= len(data)

    def _copy_answer(self, backend: IO[bytes], fields: dict[str, str]) -> None:
        self.send_response(int(fields.pop("status", "200").split()[0]))
        fields.pop("content-length", None)  # of what is kept as files
        for name, value in fields.items():
            self.send_header(name, value)
        # The length of an answer is not known before its end.
        self.send_header(*(("Transfer-Encoding", "chunked") if self.keeps_connections else ("Connection", "close")))
        self.end_headers()
        while data := backend.read(CHUNK_BYTES):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if self.keeps_connections else data)
        if self.keeps_connections:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
