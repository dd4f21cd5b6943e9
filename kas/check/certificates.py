"""A listener's certificate: readable, fitting its key, valid now and for a while.

The standard library decodes a certificate only for the other end of a connection, so one is made, in memory, between
this certificate and a client that trusts exactly it.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentlink.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from pathlib import Path

EXPIRY_NOTICE = timedelta(days=14)

_AREA = "certificates"
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_HAS_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


def check_certificate(check: str, certificate_file: Path, key_file: Path, now: datetime) -> Finding:
    """Look at the certificate of one listener; ``check`` is what to call it, ``now`` aware."""
    try:
        for file in (certificate_file, key_file):
            file.read_bytes()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key would make OpenSSL ask a terminal for its password.
        server.load_cert_chain(certificate_file, key_file, password=lambda: "")
        decoded = _decode(server, certificate_file)
    except ssl.SSLCertVerificationError as error:
        return _invalid(check, certificate_file, error)
    except ssl.SSLError as error:
        return _unusable(check, certificate_file, key_file, error)
    except OSError as error:
        remedy = "create it, readable by kas' user, or correct its name in the settings"
        return failed(_AREA, check, f"{error.filename} cannot be read: {error.strerror}", remedy)
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), UTC)
    names = ", ".join(name for _, name in decoded.get("subjectAltName", ())) or "no name"
    message = f"{certificate_file} is for {names}, and valid until {until:%Y-%m-%d %H:%M} UTC"
    if until - now < EXPIRY_NOTICE:
        return warning(_AREA, check, message, "renew it before then; kas takes the new one up by itself")
    if "subjectAltName" not in decoded:
        return warning(_AREA, check, message, "have it issued with the DNS name that agents dial (subjectAltName)")
    return ok(_AREA, check, message)


def _invalid(check: str, certificate_file: Path, error: ssl.SSLCertVerificationError) -> Finding:
    if error.verify_code == _HAS_EXPIRED:
        return failed(_AREA, check, f"{certificate_file} has expired", "renew it; kas takes the new one up by itself")
    if error.verify_code == _NOT_YET_VALID:
        return failed(_AREA, check, f"{certificate_file} is not valid yet", "look at this machine's clock, or wait")
    remedy = "have it issued for servers (extended key usage serverAuth)"
    return failed(_AREA, check, f"{certificate_file} is not accepted: {error.verify_message}", remedy)


def _unusable(check: str, certificate_file: Path, key_file: Path, error: ssl.SSLError) -> Finding:
    if error.reason == "KEY_VALUES_MISMATCH":
        remedy = "name the key that the certificate was made with; the server's own certificate comes first in its file"
        return failed(_AREA, check, f"{key_file} is not the key of {certificate_file}", remedy)
    remedy = "both must be PEM: the certificate with those that lead to its authority, and a key without a password"
    return failed(_AREA, check, f"{certificate_file} with {key_file} cannot be used: {error.reason}", remedy)


def _decode(server: ssl.SSLContext, certificate_file: Path) -> dict[str, Any]:
    """Return the certificate as ``getpeercert`` has it; raise SSLCertVerificationError where it is not valid now."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate_file)
    # The certificate itself is trusted, whoever signed it.
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up)
    there = server.wrap_bio(up, down, server_side=True)
    for _ in range(10):  # TLS needs three turns
        for end in (here, there):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if end is here and (decoded := here.getpeercert()):
                return decoded
    raise ssl.SSLError(0, "the handshake does not end")
