"""The certificates of kas' listeners, taken up anew when their files change: cert-manager and its like replace them.

New connections get the new certificate; those that are open keep what they were made with. A pair that cannot be used,
such as one that is half written, changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc

from agentlink.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    _Signature: TypeAlias = tuple[tuple[int, int, int], ...]

LOOK_SECONDS: Final = 2.0
"""How often the files are looked at, which costs two calls of the kernel."""

log = get_logger("tls")


class CertificateError(Exception):
    """A certificate and its key cannot be used. The text names both files."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a certificate chain and its key lie, both PEM."""

    certificate: Path
    key: Path


class Certificate:
    """A certificate chain and its key, as their files are now.

    Raises:
        CertificateError: they cannot be used; only when made, not later.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._signature = self._look()
        self._current, self._pair = self._load()
        self.context = self._current
        """For asyncio and aiohttp."""
        # Called for every handshake. Loading into the context itself could leave it with a half of each pair.
        self.context.sni_callback = self._choose

    @property
    def in_use(self) -> bytes:
        """The chain that new connections are given, as PEM."""
        return self._pair[0]

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for gRPC, which ask for the pair at every handshake."""
        return grpc.dynamic_ssl_server_credentials(self._grpc_configuration(), self._grpc_configuration)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look at the files as long as the block runs."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._follow())
            try:
                yield
            finally:
                task.cancel()

    async def _follow(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                signature = self._look()
                if signature == self._signature:
                    continue
                self._current, self._pair = self._load()
            except CertificateError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("The new certificate cannot be used; the old one stays in use", why=told)
            else:
                self._signature = signature
                told = ""
                log.info("A new certificate is in use", certificate=str(self._files.certificate))

    def _look(self) -> _Signature:
        """Return what changes whenever a file is replaced: Kubernetes exchanges links, others rename or write."""
        try:
            found = [path.stat() for path in (self._files.certificate, self._files.key)]
        except OSError as error:
            raise self._unusable(error) from error
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)

    def _load(self) -> tuple[ssl.SSLContext, tuple[bytes, bytes]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        files = self._files
        try:
            before = files.certificate.read_bytes(), files.key.read_bytes()
            # An encrypted key would make OpenSSL ask a terminal for its password.
            context.load_cert_chain(files.certificate, files.key, password=lambda: "")
            after = files.certificate.read_bytes(), files.key.read_bytes()
        except OSError as error:  # what ssl raises is one too
            raise self._unusable(error) from error
        if before != after:
            raise CertificateError(f"{files.certificate} and {files.key} are being replaced")
        return context, after

    def _unusable(self, error: OSError) -> CertificateError:
        return CertificateError(f"cannot use certificate {self._files.certificate} with key {self._files.key}: {error}")

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        chain, key = self._pair
        return grpc.ssl_server_certificate_configuration([(key, chain)])
