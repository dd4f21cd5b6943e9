"""Where a project's repository is and how to be let in.

A project's name comes from a configuration file that any developer may write, the template and the credentials from
kas's operator: so the name is checked and quoted into the template's path and can never change host, scheme or
credential.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from kas.git.addresses import ForbiddenAddressError, pin
from kas.git.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")
_NAME_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\:?#%@\ud800-\udfff]")
_MAX_NAME = 512
_PLACEHOLDER = "{project}"
# A token or password is short; anything longer is the wrong file.
_MAX_SECRET = 8192


class CredentialKind(StrEnum):
    """What the secret is, which decides the user name it travels with."""

    DEPLOY_TOKEN = "deploy_token"  # noqa: S105 - the name of a kind, not a secret
    ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a kind, not a secret
    BASIC = "basic"


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """Where to find a credential. ``secret_file`` is read at each fetch, so a rotated secret needs no restart.

    ``username`` is needed for deploy tokens and basic; GitLab's access tokens take any, ``oauth2`` by default.
    """

    kind: CredentialKind
    secret_file: Path
    username: str = ""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the user name is missing or could not be sent."""
        if not self.username and self.kind is not CredentialKind.ACCESS_TOKEN:
            raise ValueError(f"a credential of kind {self.kind} needs a username")
        if ":" in self.username or _CONTROL.search(self.username):
            raise ValueError("a credential's username holds no colon, space or control character")


@dataclass(frozen=True, slots=True)
class ProjectOverride:
    """What one project does differently. None means as for all projects.

    With an own ``url`` and no ``credential`` none is sent: the common credential belongs to the template's server.
    """

    url: str | None = None
    credential: CredentialSettings | None = None


@dataclass(frozen=True, slots=True)
class GitSettings:
    """How kas reaches repositories. Durations in seconds, sizes in bytes.

    ``timeout`` bounds one git process; ``max_pack_bytes`` what one fetch may bring. ``http://`` needs ``allow_http``
    and ``file://`` needs ``allow_file``; no other scheme but ``https://`` is spoken. Names in ``allowed_hosts`` may
    lead to any address (``addresses.py``).
    """

    url_template: str = "https://gitlab.example.com/{project}.git"
    credential: CredentialSettings | None = None
    projects: Mapping[str, ProjectOverride] = field(default_factory=dict)
    ca_file: Path | None = None
    poll_interval: float = 20.0
    timeout: float = 60.0
    allow_http: bool = False
    allow_file: bool = False
    max_pack_bytes: int = 2 * 1024**3
    allowed_hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raise ``ValueError``, saying what to write instead, where a URL cannot be used."""
        if _PLACEHOLDER not in urlsplit(self.url_template).path:
            raise ValueError(f"url_template needs {_PLACEHOLDER} in the path of the URL")
        if self.url_template.count(_PLACEHOLDER) != 1:
            raise ValueError(f"url_template needs {_PLACEHOLDER} once")
        self._check_url("url_template", self.url_template)
        for project, override in self.projects.items():
            if override.url is not None:
                self._check_url(f"the url of project {project}", override.url)

    def _check_url(self, what: str, url: str) -> None:
        if url.startswith("-") or _CONTROL.search(url):
            raise ValueError(f"{what} starts with a dash or holds a space or control character")
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"{what} is not a URL") from error
        if "::" in parts.netloc.partition("[")[0] or parts.scheme not in self.schemes:
            hint = f"; to allow {parts.scheme}, add it to allowed_schemes" if parts.scheme in {"http", "file"} else ""
            raise ValueError(f"{what} must start with {' or '.join(f'{s}://' for s in self.schemes)}{hint}")
        if parts.scheme != "file" and not parts.hostname:
            raise ValueError(f"{what} names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{what} holds a credential; put it in a file and name it under credential")
        if parts.query or parts.fragment:
            raise ValueError(f"{what} has a query or fragment, which Git does not use")

    @property
    def schemes(self) -> tuple[str, ...]:
        """The URL schemes that git may speak."""
        return ("https", *(("http",) if self.allow_http else ()), *(("file",) if self.allow_file else ()))


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A user name and password as HTTP basic authentication takes them."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Show neither."""
        return "Credential(***)"


@dataclass(frozen=True, slots=True)
class Remote:
    """One repository, ready to be fetched from. ``resolve`` has its host's addresses, as curl writes them."""

    url: str
    credential: Credential | None
    ca_file: Path | None
    resolve: str = ""


class Remotes:
    """Finds each project's remote."""

    def __init__(self, settings: GitSettings) -> None:
        self._settings = settings

    def url(self, project: str) -> str:
        """Return the URL of ``project``. Raises ``GitError`` (Refused) for a name no project can have."""
        segments = project.split("/")
        if (
            not project
            or len(project) > _MAX_NAME
            or _NAME_FORBIDDEN.search(project)
            or any(part in {"", ".", ".."} or part.startswith("-") for part in segments)
        ):
            raise GitError("Refused", f"{project[:80]!r} is not a project path; write it as group/project")
        override = self._settings.projects.get(project)
        if override is not None and override.url is not None:
            return override.url
        return self._settings.url_template.replace(_PLACEHOLDER, quote(project, safe="/"))

    def remote(self, project: str) -> Remote:
        """Return the remote of ``project``, its credential read from its file now.

        Raises ``GitError``: Refused for a name no project can have, AccessDenied for a credential that cannot be read.
        """
        url = self.url(project)
        override = self._settings.projects.get(project)
        chosen = self._settings.credential
        if override is not None and (override.credential is not None or override.url is not None):
            chosen = override.credential
        credential = None if chosen is None else _read(project, chosen)
        return Remote(url, credential, self._settings.ca_file)

    def resolved(self, project: str) -> Remote:
        """Return ``remote``, with the addresses of its host looked at. Blocks for DNS, so it belongs in a thread.

        Raises ``GitError`` as ``remote`` does, and Refused for a host that leads to an address of no Git server.
        """
        remote = self.remote(project)
        try:
            return replace(remote, resolve=pin(remote.url, self._settings.allowed_hosts))
        except ForbiddenAddressError as error:
            raise GitError("Refused", f"{project}: {error}", retryable=True) from error


def _read(project: str, settings: CredentialSettings) -> Credential:
    """Read a credential's secret."""
    file = settings.secret_file
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_SECRET + 1)
        secret = raw.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not text"
        message = f"{project}: the credential file {file} cannot be read ({cause}); create it or correct its name"
        # Not chained: a UnicodeDecodeError carries the bytes it met.
        raise GitError("AccessDenied", message) from None
    if not secret or len(raw) > _MAX_SECRET or _CONTROL.search(secret):
        message = f"{project}: the credential file {file} must hold the secret on one line and nothing else"
        raise GitError("AccessDenied", message)
    return Credential(settings.username or "oauth2", secret)
