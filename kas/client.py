"""The HTTP client of a running kas, used by the command line.

Blocking and on the standard library alone, so that a command starts in tens of milliseconds. What the API answers is in
``kas.web.payloads``. Every failure is a ``ClientError`` that says what to do next.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEFAULT_ADDRESS = "http://127.0.0.1:8153"
REQUEST_TIMEOUT = 30.0
"""Seconds without a byte before a request or a watch is given up; a watch carries a heartbeat every few seconds."""

FIRST_LINE_TIMEOUT = 180.0
"""Seconds without a byte where kas fetches from Git before it can say anything."""

WATCH_ENDED = "Ended"
"""The reason of an error by which kas ends a watch, as when it stops."""

_MAX_ANSWER = 256 * 1024 * 1024
_SHOWN = 200
_TRUSTED_CLOCK_DIFFERENCE = timedelta(seconds=2)


class ClientError(Exception):
    """Something failed. ``str()`` says what, ``hint`` what to do next (may be empty), ``reason`` is for programs.

    ``status`` is the HTTP status, 0 where there was no answer.
    """

    def __init__(self, message: str, *, hint: str = "", reason: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token and where it was found, for people to know which one was refused."""

    secret: str = field(repr=False)
    source: str

    @classmethod
    def find(
        cls, environ: Mapping[str, str], default_file: Callable[[], Path | None], login: ApiToken | None = None
    ) -> ApiToken | None:
        """Look in ``KAS_TOKEN``, then ``KAS_TOKEN_FILE``, then ``login``, then in the file of a local ``kas serve``.

        ``login`` is what ``kas login`` remembered for the address, ``default_file`` is asked only when it is needed;
        None where none is for the address.

        Raises:
            ClientError: the named file cannot be read.
        """
        if secret := environ.get("KAS_TOKEN", "").strip():
            return cls(secret, "the environment variable KAS_TOKEN")
        if named := environ.get("KAS_TOKEN_FILE"):
            try:
                return cls(Path(named).read_text(encoding="utf-8").strip(), f"the file {named} (KAS_TOKEN_FILE)")
            except (OSError, UnicodeDecodeError) as error:
                message = f"cannot read the token file {named}: {_words(error)}"
                raise ClientError(message, hint="KAS_TOKEN_FILE must name a file that holds one API token") from error
        if login is not None:
            return login
        file = default_file()
        if file is None:
            return None
        try:
            return cls(file.read_text(encoding="utf-8").strip(), f"the file {file}")
        except (OSError, UnicodeDecodeError):
            return None


def is_loopback(host: str) -> bool:
    """Tell whether a host in a URL can be nothing but this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _words(error: BaseException) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else type(error).__name__


class Client:
    """Talks to one kas. Opens a connection for each request: a command makes one or two."""

    def __init__(
        self, address: str, token: ApiToken | None, *, ca_cert_file: Path | None = None, allow_http: bool = False
    ) -> None:
        """Prepare; nothing is connected before the first request.

        Raises:
            ClientError: the address or the file is none, or the token would travel to another machine unencrypted
                and not ``allow_http``.
        """
        parts = urlsplit(address if "//" in address else f"//{address}", scheme="http")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in {"http", "https"} or not host or parts.username or parts.query or parts.fragment:
            message = f"{_without_credentials(address)!r} is not the address of a kas"
            raise ClientError(message, hint=f"use a form such as {DEFAULT_ADDRESS} in --address or KAS_ADDRESS")
        self._tls = _tls(ca_cert_file) if parts.scheme == "https" else None
        self._host, self._port, self._prefix = host, port, parts.path.rstrip("/")
        self._token = token
        self._address = address
        if token is not None and self._tls is None and not self.is_local and not allow_http:
            raise ClientError(
                f"over {self.address} everybody on the way could read {token.source}, so it is not sent",
                hint="use https:// in the address; where the way is safe, say so with --allow-http or KAS_ALLOW_HTTP=1",
            )
        self._clock_difference = timedelta()

    @property
    def address(self) -> str:
        """Where this kas is, the same however it was written."""
        host = f"[{self._host}]" if ":" in (self._host or "") else self._host
        port = f":{self._port}" if self._port else ""
        return f"{'http' if self._tls is None else 'https'}://{host}{port}{self._prefix}"

    @property
    def is_local(self) -> bool:
        """Whether its address can be nothing but this machine."""
        return is_loopback(self._host or "")

    def now(self) -> datetime:
        """Return the time as kas has it, so that ages are right where the two clocks differ."""
        return datetime.now(UTC) + self._clock_difference

    def get(self, path: str, **query: str | int | None) -> object:
        """Ask for a value. ``path`` is below ``/api/v1``; None values of ``query`` are left out."""
        return self._json("GET", path, query, None)

    def post(self, path: str, body: Mapping[str, object]) -> object:
        """Create something."""
        return self._json("POST", path, {}, body)

    def stream(self, path: str, body: Mapping[str, object]) -> Iterator[dict[str, object]]:
        """Order something whose answer comes in lines; yield them as they come, heartbeats left out.

        Raises:
            ClientError: it was refused, could not be carried out, or the connection broke before the end.
        """
        with self._request("POST", path, {}, body, timeout=FIRST_LINE_TIMEOUT) as response:
            while line := self._read_line(response):
                value = _decoded(line)
                if not isinstance(value, dict) or value["type"] == "HEARTBEAT":
                    continue
                if value["type"] != "END":
                    yield value
                elif (error := value["error"]) is None:
                    return
                else:
                    raise ClientError(str(error["message"]), hint=str(error["hint"]), reason=str(error["reason"]))
        raise ClientError(f"the connection to {self._address} ended before the answer was whole", hint="try again")

    def delete(self, path: str) -> object:
        """Delete or revoke something."""
        return self._json("DELETE", path, {}, None)

    def watch(self, path: str, **query: str | int | None) -> Iterator[dict[str, object]]:
        """Yield the lines of a watch as they come, heartbeats left out, for ever.

        Raises:
            ClientError: kas ended it, the connection broke, or kas was silent for longer than its heartbeats allow.
        """
        return (line for line in self.watch_closely(path, **query) if line["type"] != "HEARTBEAT")

    def watch_closely(self, path: str, **query: str | int | None) -> Iterator[dict[str, object]]:
        """Yield the lines of a watch with its heartbeats: something every few seconds. Raises as ``watch``."""
        with self._request("GET", path, {**query, "watch": 1}, None) as response:
            while line := self._read_line(response):
                value = _decoded(line)
                if not isinstance(value, dict):
                    continue
                if value["type"] == "END":
                    raise ClientError(
                        f"the watch is over: {value['message']}", hint="start it again", reason=WATCH_ENDED
                    )
                yield value
        raise ClientError(f"the connection to {self._address} ended, the watch is over", hint="start it again")

    def _read_line(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.readline()
        except TimeoutError as error:
            raise ClientError(
                f"{self._address} sent nothing for too long, the answer is not whole",
                hint="start it again; if that repeats, look for a proxy in between that buffers or cuts long answers",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ClientError(
                f"the connection to {self._address} broke, the watch is over", hint="start it again"
            ) from error

    def _json(
        self, method: str, path: str, query: Mapping[str, str | int | None], body: Mapping[str, object] | None
    ) -> object:
        with self._request(method, path, query, body) as response:
            try:
                return _decoded(response.read(_MAX_ANSWER))
            except (OSError, http.client.HTTPException) as error:
                raise ClientError(f"the connection to {self._address} broke", hint="try again") from error

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | None],
        body: Mapping[str, object] | None,
        timeout: float = REQUEST_TIMEOUT,
    ) -> Iterator[http.client.HTTPResponse]:
        given = {key: str(value) for key, value in query.items() if value is not None}
        target = f"{self._prefix}/api/v1/{path}" + (f"?{urlencode(given)}" if given else "")
        connection = self._connection(timeout)
        try:
            response = self._exchange(connection, method, target, body)
            self._note_clock(response)
            if response.status >= http.client.BAD_REQUEST:
                raise self._refusal(response)
            if response.status >= http.client.MULTIPLE_CHOICES:
                raise self._redirected(response)
            yield response
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: Mapping[str, object] | None
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.secret}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, body=data, headers=headers)
            return connection.getresponse()
        except ssl.SSLError as error:
            raise self._tls_refusal(error) from error
        except ConnectionRefusedError as error:
            raise ClientError(
                f"nothing listens at {self._address}",
                hint="is `kas serve` running? set KAS_ADDRESS or --address if it runs elsewhere",
            ) from error
        except TimeoutError as error:
            raise ClientError(
                f"{self._address} did not answer within {connection.timeout or 0:.0f} s",
                hint="check the address and try again",
            ) from error
        except UnicodeError as error:
            source = self._token.source if self._token else "the address"
            raise ClientError(f"{source} holds characters that HTTP cannot carry", hint="check its contents") from error
        except ValueError as error:
            # Only a header value can be malformed here: a token file with more than one line.
            source = self._token.source if self._token else "the address"
            raise ClientError(f"{source} does not hold one API token", hint="it must be a single line") from error
        except (OSError, http.client.HTTPException) as error:
            raise ClientError(
                f"cannot reach {self._address}: {_words(error)}",
                hint="check KAS_ADDRESS or --address; `kas serve` answers its API on port 8153",
            ) from error

    def _tls_refusal(self, error: ssl.SSLError) -> ClientError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ClientError(
                f"the certificate of {self._address} is not trusted: {error.verify_message}",
                hint="name the certificate authority with --ca-cert-file or KAS_CA_CERT_FILE",
            )
        return ClientError(
            f"TLS with {self._address} failed: {error.reason or 'protocol error'}",
            hint="does kas serve plain HTTP there? then use http:// in the address",
        )

    def _note_clock(self, response: http.client.HTTPResponse) -> None:
        try:
            difference = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
        except (TypeError, ValueError):
            return
        # The header has whole seconds only, and the answer took some time: small differences say nothing.
        self._clock_difference = difference if abs(difference) > _TRUSTED_CLOCK_DIFFERENCE else timedelta()

    def _refusal(self, response: http.client.HTTPResponse) -> ClientError:
        try:
            answer = json.loads(response.read(1024 * 1024))
            error = answer["error"]
            reason, message, hint = str(error["reason"]), str(error["message"]), str(error["hint"])
        except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
            reason, hint = "", "does the address name a kas API listener (port 8153), with no proxy in between?"
            message = f"{self._address} answered {response.status} and not as a kas does"
        if response.status == http.client.UNAUTHORIZED:
            hint = self._which_token()
        return ClientError(message, hint=hint, reason=reason, status=response.status)

    def _redirected(self, response: http.client.HTTPResponse) -> ClientError:
        """Return why a redirect is not followed: the token is for where it was sent, and for nobody that one names."""
        to = _without_credentials(response.headers.get("Location", "")).partition("/api/v1/")[0]
        return ClientError(
            f"{self._address} leads to {to[:_SHOWN] or 'nowhere'}, and is not followed there with an API token",
            hint="if that is where your kas is, give it as the address, and log in there",
            status=response.status,
        )

    def _which_token(self) -> str:
        if self._token is None:
            return (
                "no token was given: log in with `kas login`, or set KAS_TOKEN or KAS_TOKEN_FILE; `kas serve` writes "
                "one to the file admin-token in its data_dir"
            )
        return f"the token came from {self._token.source}; is it one of this kas, and not revoked?"


def _decoded(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        hint = "does the address name a kas API listener (port 8153)?"
        raise ClientError("the answer is not JSON", hint=hint) from error


def _tls(ca_cert_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_cert_file)
    except OSError as error:
        message = f"cannot use the certificate file {ca_cert_file}: {_words(error)}"
        raise ClientError(message, hint="--ca-cert-file must name a readable PEM file") from error


def _without_credentials(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else address
