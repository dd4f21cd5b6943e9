"""What went wrong with one exchange, as a ``KubeError``: no answer, a refusal, or the answer of something else."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from agentk.kube.errors import KubeError, error_from_response
from agentk.kube.http1 import AnswerError

if TYPE_CHECKING:
    from agentk.kube.http1 import Answer

_NO_OBJECT: Final = "what was answered is no object of Kubernetes"


def refused(answer: Answer, path: str) -> KubeError:
    """Return the error that the server answered to a request for ``path``."""
    segments = path.partition("?")[0].split("/")
    return error_from_response(answer.status, answer.body, retry_after=answer.retry_after, secret="secrets" in segments)


def is_document(body: bytes) -> bool:
    """Tell, without reading it, whether a body looks like a whole document of Kubernetes; a login page does not."""
    return body[:1] == b"{" and body[-8:].rstrip()[-1:] == b"}" and b'"kind"' in body


def not_an_api_server(host: str) -> KubeError:
    """Return the error of a success that is no answer of Kubernetes."""
    message = f"{host} did not answer as an API server does, although with success; look at what stands before it"
    return KubeError(0, "Unreachable", message)


def read_document(body: bytes) -> dict[str, Any]:
    """Read a body that was asked for as JSON.

    Raises:
        KubeError: It is no JSON object. What it is instead is not said: it may be part of a Secret.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise KubeError(0, "Unreachable", "what was answered is not the JSON of an API server")
    return document


def read_metadata(body: bytes) -> dict[str, Any]:
    """Read the metadata of an object.

    Raises:
        KubeError: It is no object of Kubernetes.
    """
    metadata = read_document(body).get("metadata")
    if not isinstance(metadata, dict):
        raise KubeError(0, "Unreachable", _NO_OBJECT)
    return metadata


def read_object(body: bytes) -> dict[str, Any]:
    """Read an object that is stored.

    Raises:
        KubeError: It is no object of Kubernetes.
    """
    document = read_document(body)
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not {"uid", "resourceVersion"} <= metadata.keys():
        raise KubeError(0, "Unreachable", _NO_OBJECT)
    return document


def unreachable(error: Exception, host: str, seconds: float) -> KubeError:
    """Return the error of an exchange that came to no end."""
    if isinstance(error, TimeoutError):
        return KubeError(0, "Timeout", f"no answer from {host} within {seconds:g} s")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return KubeError(0, "Untrusted", f"the certificate of {host} is not trusted: {error}; check the CA configured")
    if isinstance(error, AnswerError):
        return KubeError(0, "Unreachable", f"{host} did not answer as an API server does: {error}")
    if isinstance(error, asyncio.IncompleteReadError | aiohttp.ClientPayloadError):
        return KubeError(0, "Unreachable", f"{host} closed the connection in the middle of an answer")
    return KubeError(0, "Unreachable", f"cannot reach {host}: {error or type(error).__name__}")
