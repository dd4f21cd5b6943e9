"""Who we are to the API server: credentials and trust, from a kubeconfig or from the pod we run in.

Reading them is the business of ``kubernetes.aio.config``, which knows contexts, exec plugins and service accounts. This
module keeps the result fresh for a client that lives for months: service account tokens rotate, and exec plugins hand
out tokens for minutes. Requests themselves are in ``client``.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config import load_incluster_config as untyped_load_incluster_config
from kubernetes.aio.config import load_kube_config as untyped_load_kube_config

from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# The library says that it is typed, and annotates neither.
_load_kube_config = cast("Callable[..., Awaitable[Any]]", untyped_load_kube_config)
_load_incluster_config = cast("Callable[..., None]", untyped_load_incluster_config)

_FRESH: Final = 60.0
"""Seconds that a token is used before its source is asked again. Kubelet rotates tokens at 80 % of at least 10 minutes;
an exec plugin is only run again when the expiry it gave is near."""


_MISSING: Final = re.compile(r"Expected (?:key|object with name) ([\w.:@/-]+) in")


class _Settings(Protocol):
    """The part of ``kubernetes.aio.client.Configuration`` that is read here; it publishes no types for it."""

    host: str
    verify_ssl: bool
    ssl_ca_cert: str | None
    cert_file: str | None
    key_file: str | None
    tls_server_name: str | None
    proxy: str | None
    api_key: dict[str, str]


class Credentials:
    """The server's address, the TLS context and the ``Authorization`` header, kept fresh.

    Attributes:
        host: The server's URL without a trailing slash; may carry a path.
        tls: What to trust and which certificate to show; None for plain HTTP.
        server_name: The name to expect in the server's certificate, if not the URL's.
        proxy: The HTTP proxy's URL, if one is configured.
    """

    def __init__(self, settings: _Settings, refresh: Callable[[], Awaitable[None]]) -> None:
        self.host = settings.host.rstrip("/")
        self.server_name = settings.tls_server_name or None
        self.proxy = settings.proxy or None
        self._settings = settings
        self._refresh = refresh
        self._loaded = time.monotonic()
        self._lock = asyncio.Lock()
        self.tls = _tls_context(settings) if self.host.startswith("https://") else None
        self._certificate = settings.cert_file

    def __repr__(self) -> str:
        return f"Credentials(host={self.host!r})"

    @property
    def authorization(self) -> str | None:
        """The header's value, None when the certificate alone says who we are."""
        value = self._settings.api_key.get("BearerToken")
        if not value:
            return None
        # In a pod the library writes a lower-case scheme; files may end in a line break, which no header may hold.
        scheme, _, secret = value.strip().partition(" ")
        return f"Bearer {secret.strip()}" if scheme.lower() == "bearer" else f"{scheme} {secret.strip()}"

    @property
    def stale(self) -> bool:
        """Whether ``refresh`` should be awaited before the next request."""
        return time.monotonic() - self._loaded > _FRESH

    async def refresh(self, *, rejected: str | None = None) -> bool:
        """Ask the source of the credentials again.

        Args:
            rejected: The header that the server refused; None for the regular refresh.

        Returns:
            Whether the header is now another than ``rejected``. A source that fails keeps what there is: the token may
            well live on, and if not the server says so.
        """
        async with self._lock:
            if self.authorization == rejected if rejected is not None else self.stale:
                try:
                    await self._refresh()
                except (ConfigException, OSError, ValueError):
                    return False
                finally:
                    self._loaded = time.monotonic()
                if self.tls is not None and self._settings.cert_file != self._certificate:
                    self._certificate = self._settings.cert_file
                    self.tls.load_cert_chain(self._certificate or "", self._settings.key_file)
            return self.authorization != rejected


async def load_credentials(*, kubeconfig: str | None, context: str | None) -> Credentials:
    """Find out who we are: the given kubeconfig, else ``KUBECONFIG``, else the pod's service account, else ``~/.kube``.

    Raises:
        KubeError: Reason ``NoCredentials``, with what was looked at and why it does not do.
    """
    settings: _Settings = Configuration()
    explicit = kubeconfig or os.environ.get("KUBECONFIG")
    if not explicit and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        try:
            _load_incluster_config(client_configuration=settings)
        except (ConfigException, OSError) as error:
            raise _no_credentials("the service account of this pod", str(error)) from error

        async def reread() -> None:
            _load_incluster_config(client_configuration=settings)

        return Credentials(settings, reread)

    path = explicit or str(Path.home() / ".kube" / "config")
    # The loader would print a line of its own and then miss the context.
    if not _is_there(path):
        raise _no_credentials(f"kubeconfig {path}", "there is no such file")
    try:
        loader = await _load_kube_config(
            config_file=path, context=context, client_configuration=settings, persist_config=False
        )
        return Credentials(settings, lambda: loader.load_and_set(settings))
    except (OSError, yaml.YAMLError) as error:
        raise _no_credentials(f"kubeconfig {path}", str(error)) from error
    except (ConfigException, ValueError, KeyError, TypeError, AttributeError) as error:
        # The loader trips over a malformed file in as many ways as there are, and some of its texts hold the user's
        # whole entry, with the token in it: of them only the name that is missing is repeated, and nothing chained.
        missing = _MISSING.search(str(error))
        why = f"it has no {missing[1]}" if missing else f"it is not a valid kubeconfig ({type(error).__name__})"
    raise _no_credentials(f"kubeconfig {path}", why)


def _is_there(path: str) -> bool:
    """Tell whether any file of a ``KUBECONFIG`` exists, which may name several."""
    return any(Path(part).expanduser().exists() for part in path.split(os.pathsep))


def _no_credentials(source: str, why: str) -> KubeError:
    return KubeError(
        0,
        "NoCredentials",
        f"{source} cannot be used: {why}; give --kubeconfig, set KUBECONFIG, or run in a pod with a service account",
    )


def _tls_context(settings: _Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert or None)
    # OpenSSL 3 refuses certificates without a key usage by default in newer Pythons; clusters' own CAs often lack it,
    # and client-go takes them.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
