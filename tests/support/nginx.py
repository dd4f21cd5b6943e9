"""nginx in front of kas, as an ingress has it: TLS, websockets by ``proxy_pass``, gRPC by ``grpc_pass``."""

from __future__ import annotations

import shutil
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kas.tls import TlsFiles

# The timeouts of an ordinary configuration are 60 s; the rest is what docs/operations.md shows.
_CONFIGURATION = """
daemon off;
master_process on;
worker_processes 1;
worker_shutdown_timeout 2s;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  server {{
    listen 127.0.0.1:{websocket_port} ssl;
    location / {{
      proxy_pass http://127.0.0.1:{kas_websocket_port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout {silence}s;
      proxy_send_timeout {silence}s;
    }}
  }}
  server {{
    listen 127.0.0.1:{grpc_port} ssl http2;
    client_max_body_size 0;
    client_body_timeout 1d;
    location / {{
      grpc_pass grpc://127.0.0.1:{kas_grpc_port};
      grpc_read_timeout {grpc_silence}s;
      grpc_send_timeout {grpc_silence}s;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running nginx and where its two servers listen."""

    process: Process
    websocket_port: int
    grpc_port: int

    def reload(self) -> None:
        """Take the configuration up anew: new workers, and the old ones end with their connections."""
        self.process.send_signal(signal.SIGHUP)


def program() -> str | None:
    """Return where nginx is; Debian keeps it out of a user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def nginx(
    folder: Path, files: TlsFiles, *, websocket_port: int, grpc_port: int, silence: int, grpc_silence: int
) -> Iterator[Nginx]:
    """Run it in front of the two ports of a kas; connections that are silent for so many seconds are closed."""
    ports = {"websocket_port": free_port(), "grpc_port": free_port()}
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            certificate=files.certificate,
            key=files.key,
            kas_websocket_port=websocket_port,
            kas_grpc_port=grpc_port,
            silence=silence,
            grpc_silence=grpc_silence,
            **ports,
        )
    )
    command: list[str | Path] = [program() or "nginx", "-e", "stderr", "-p", folder, "-c", configuration]
    process = Process("nginx", command, log=folder / "nginx.log")
    try:
        process.wait_until(lambda: all(map(_listens, ports.values())), what="it listens", within=10)
        yield Nginx(process, **ports)
    finally:
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
