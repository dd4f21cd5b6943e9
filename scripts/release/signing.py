"""Signatures with a key: what ``openssl`` and ``cosign verify-blob`` check, and DSSE envelopes.

The key is an elliptic-curve key on P-256, as cosign makes them; a signature is ECDSA over SHA-256, written as base64.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

if TYPE_CHECKING:
    from pathlib import Path

IN_TOTO: Final = "application/vnd.in-toto+json"


class SigningError(Exception):
    """A key cannot be used, or a signature is not by it. The text says what to do."""


class Key:
    """A private key."""

    def __init__(self, file: Path, password: str = "") -> None:
        """Read a PEM file.

        Raises:
            SigningError: It holds no key for P-256, or the password does not fit.
        """
        try:
            key = load_pem_private_key(file.read_bytes(), password.encode() or None)
        except (OSError, ValueError, TypeError) as error:
            raise SigningError(f"the key in {file} cannot be read: {error}") from error
        if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise SigningError(
                f"{file} holds no key for P-256: openssl genpkey -algorithm EC "
                "-pkeyopt ec_paramgen_curve:P-256 -out FILE makes one"
            )
        self._key = key

    def sign(self, data: bytes) -> str:
        """Return the signature of ``data``, as base64."""
        return b64encode(self._key.sign(data, ECDSA(SHA256()))).decode()

    def envelope(self, statement: dict[str, Any]) -> str:
        """Return a statement in a signed DSSE envelope, as JSON."""
        payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
        signature = {"sig": self.sign(_authenticated(payload))}
        envelope = {"payloadType": IN_TOTO, "payload": b64encode(payload).decode(), "signatures": [signature]}
        return json.dumps(envelope) + "\n"


class PublicKey:
    """What checks signatures of a ``Key``."""

    def __init__(self, file: Path) -> None:
        """Read a PEM file.

        Raises:
            SigningError: It holds no public key for P-256.
        """
        try:
            key = load_pem_public_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise SigningError(f"the public key in {file} cannot be read: {error}") from error
        if not isinstance(key, EllipticCurvePublicKey):
            raise SigningError(f"{file} holds no public key for P-256")
        self._key = key

    def check(self, data: bytes, signature: str) -> None:
        """Check a signature.

        Raises:
            SigningError: It is not of ``data``, or not by this key.
        """
        try:
            self._key.verify(b64decode(signature, validate=False), data, ECDSA(SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise SigningError(
                "the signature does not fit: this was not signed with that key, or was changed"
            ) from error

    def opened(self, envelope: str) -> dict[str, Any]:
        """Return the statement of a DSSE envelope.

        Raises:
            SigningError: It is not signed by this key.
        """
        try:
            document = json.loads(envelope)
            payload = b64decode(document["payload"])
            signature = document["signatures"][0]["sig"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise SigningError("this is no DSSE envelope") from error
        self.check(_authenticated(payload), signature)
        statement: dict[str, Any] = json.loads(payload)
        return statement


def _authenticated(payload: bytes) -> bytes:
    """Return what DSSE signs (its pre-authentication encoding)."""
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
