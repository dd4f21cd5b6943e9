"""Why a tunnel could not be opened, in words that say what to do next. Pure: an exception in, a sentence out."""

from __future__ import annotations

import socket
import ssl
from http import HTTPStatus

from websockets.exceptions import InvalidMessage, InvalidStatus

from agentlink import limits
from agentlink.logs import inert

_HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_IP_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH


def explain(url: str, error: BaseException) -> str:
    """Return what went wrong while connecting to ``url``, and what to do about it, in one sentence."""
    if isinstance(error, InvalidStatus):
        return f"{url} {_explain_status(error)}"
    if isinstance(error, ssl.SSLError):
        return _explain_tls(url, error)
    if isinstance(error, InvalidMessage):
        return (
            f"{url} does not answer as a web server ({_root_cause(error)}): if that port has TLS use wss://, "
            "if it takes gRPC directly use grpc:// or grpcs://"
        )
    return _explain_network(url, error)


def retry_after_of(error: BaseException) -> float | None:
    """Return after how many seconds a web server wants to be asked again, None where it did not say so in seconds."""
    if not isinstance(error, InvalidStatus):
        return None
    said = error.response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else None


def _explain_tls(url: str, error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"{url} has no TLS on this port ({error.reason}): use ws:// (without TLS), or the port with TLS"
    if error.verify_code in {_HOSTNAME_MISMATCH, _IP_MISMATCH}:
        return f"the certificate of {url} is for another name: {error.verify_message}"
    return (
        f"the certificate of {url} is not trusted ({error.verify_message}): pass the certificate of the authority "
        "that signed it with --ca-cert-file"
    )


def _explain_network(url: str, error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"{url} did not answer within {limits.CONNECT_TIMEOUT_SECONDS:.0f} s: check address and firewalls"
    if isinstance(error, socket.gaierror):
        return f"the name in {url} cannot be resolved: {error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return f"{url} refuses connections: nothing listens on that port; the agent listener of kas has 8150 by default"
    if isinstance(error, ConnectionResetError):
        others = "ws:// (without TLS) or grpcs://" if url.startswith("wss:") else "wss:// (with TLS) or grpc://"
        return f"{url} closed the connection at once: kas stopped, or that port takes {others}"
    return f"{url} cannot be reached: {_root_cause(error)}"


def _explain_status(error: InvalidStatus) -> str:
    status, body = error.response.status_code, error.response.body or b""
    answered = f"answered with HTTP status {status}"
    said = inert(body[:200].decode(errors="replace").strip())
    if status in {502, 503, 504}:
        if retry_after_of(error) is not None and said:
            return f"{answered}: {said}"
        return f"{answered}: a proxy in front of kas does not reach it; kas may be starting"
    if status == HTTPStatus.NOT_FOUND:
        return f"{answered}: no agent listener is behind this address; check host, path and the ingress' rules"
    if status in {401, 403}:
        return f"{answered}: something in front of kas asks for a login, which agents do not have"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"{answered}, a redirect, which agents do not follow: use the final address"
    return f"{answered} instead of opening a websocket: {said or 'it is not the agent listener of kas'}"


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return inert(str(error)) or type(error).__name__
