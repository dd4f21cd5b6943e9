"""Certificates made by openssl: an authority, and certificates for localhost that it signed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from kas.tls import TlsFiles
from tests.support.agent_link import Authority

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_authority(folder: Path, *, validity: tuple[str, ...] = ("-days", "60")) -> Authority:
    """Make an authority in ``folder`` and a certificate for localhost; ``validity`` is openssl's, of the latter."""
    _openssl(folder, "req", "-x509", *_KEY, *("-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test"))
    (folder / "ext").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    _openssl(folder, "req", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    _openssl(
        folder,
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *validity,
        *("-extfile", "ext", "-out", "server.crt"),
    )
    return Authority(folder / "ca.crt", TlsFiles(folder / "server.crt", folder / "server.key"))


def make_expired(folder: Path) -> TlsFiles:
    """Make a certificate in ``folder`` that expired in 2021."""
    _openssl(folder, "req", *_KEY, "-keyout", "old.key", "-out", "old.csr", "-subj", "/CN=localhost")
    (folder / "index.txt").write_text("")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\n"
        "default_md=sha256\n[p]\ncommonName=supplied\n"
    )
    _openssl(
        folder,
        *("ca", "-batch", "-config", "ca.cnf", "-selfsign", "-keyfile", "old.key", "-in", "old.csr"),
        *("-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-out", "old.crt", "-notext"),
    )
    return TlsFiles(folder / "old.crt", folder / "old.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
