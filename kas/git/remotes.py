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

from kas.git.addresses import ForbiddenAddressError, UnresolvedError, pin, proxy_for
from kas.git.errors import GitError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")
_NAME_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\:?#%@\ud800-\udfff]")
_MAX_NAME = 512
_PLACEHOLDER = "{project}"
# A token or password is short; anything longer is the wrong file. Of keys, RSA's of 16 kbit are the longest.
_MAX_SECRET = 8192
_MAX_KEY = 64 * 1024


class CredentialKind(StrEnum):
    """What the secret is, which decides the user name it travels with."""

    DEPLOY_TOKEN = "deploy_token"  # noqa: S105 - the name of a kind, not a secret
    ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a kind, not a secret
    BASIC = "basic"
    SSH_KEY = "ssh_key"


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """Where to find a credential. ``secret_file`` is read at each fetch, so a rotated secret needs no restart.

    ``username`` is needed for deploy tokens and basic; GitLab's access tokens take any, ``oauth2`` by default. An SSH
    key needs ``known_hosts_file``, which says how servers are recognized; who it is for, its URL says.
    """

    kind: CredentialKind
    secret_file: Path
    username: str = ""
    known_hosts_file: Path | None = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where something is missing or could not be sent."""
        if (self.kind is CredentialKind.SSH_KEY) != (self.known_hosts_file is not None):
            raise ValueError("a credential of kind ssh_key, and no other, needs a known_hosts_file")
        if not self.username and self.kind not in {CredentialKind.ACCESS_TOKEN, CredentialKind.SSH_KEY}:
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

    ``groups`` have credentials for the template's projects below a group; the longest path counts, and what a project
    has of its own before that. ``timeout`` and ``memory`` bound one git process; ``max_pack_bytes`` what one fetch may
    bring. Beside ``https://`` are spoken ``http://`` with ``allow_http``, ``file://`` with ``allow_file`` and
    ``ssh://`` with ``allow_ssh``. Names in ``allowed_hosts`` may lead to any address (``addresses.py``).
    """

    url_template: str = "https://gitlab.example.com/{project}.git"
    credential: CredentialSettings | None = None
    projects: Mapping[str, ProjectOverride] = field(default_factory=dict)
    ca_file: Path | None = None
    poll_interval: float = 20.0
    timeout: float = 60.0
    allow_http: bool = False
    allow_file: bool = False
    allow_ssh: bool = False
    groups: Mapping[str, CredentialSettings] = field(default_factory=dict)
    max_pack_bytes: int = 2 * 1024**3
    memory: int = 256 * 1024**2
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
            known = {"http", "file", "ssh"}
            hint = f"; to allow {parts.scheme}, add it to allowed_schemes" if parts.scheme in known else ""
            raise ValueError(f"{what} must start with {' or '.join(f'{s}://' for s in self.schemes)}{hint}")
        if parts.scheme != "file" and not parts.hostname:
            raise ValueError(f"{what} names no host")
        if not parts.netloc.isascii() or "%" in parts.netloc:
            # Each program would make a name of its own of it, and not the one whose addresses were looked at.
            raise ValueError(f"{what} has a host in other than plain letters; write it as xn--…")
        if (parts.username is not None and parts.scheme != "ssh") or parts.password is not None:
            raise ValueError(f"{what} holds a credential; put it in a file and name it under credential")
        if parts.query or parts.fragment:
            raise ValueError(f"{what} has a query or fragment, which Git does not use")

    @property
    def schemes(self) -> tuple[str, ...]:
        """The URL schemes that git may speak."""
        more = {"http": self.allow_http, "file": self.allow_file, "ssh": self.allow_ssh}
        return ("https", *(scheme for scheme, allowed in more.items() if allowed))


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A user name and password as HTTP basic authentication takes them."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Show neither."""
        return "Credential(***)"


@dataclass(frozen=True, slots=True, repr=False)
class SshKey:
    """A private key, and the file with the keys of servers."""

    text: str
    known_hosts: Path

    def __repr__(self) -> str:
        """Show nothing."""
        return "SshKey(***)"


@dataclass(frozen=True, slots=True)
class Remote:
    """One repository, ready to be fetched from. ``resolve`` has its host's addresses, as curl writes them.

    ``proxy`` is the URL of the proxy in between, empty where there is none.
    """

    url: str
    credential: Credential | None
    ca_file: Path | None
    resolve: str = ""
    key: SshKey | None = None
    proxy: str = ""


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
            url = override.url
        else:
            url = self._settings.url_template.replace(_PLACEHOLDER, quote(project, safe="/"))
        # A slash at the end means the same repository; asked for as it stands, many servers do not know it.
        return url.rstrip("/")

    def remote(self, project: str) -> Remote:
        """Return the remote of ``project``, its credential read from its file now.

        Raises ``GitError``: Refused for a name no project can have, AccessDenied for a credential that cannot be read.
        """
        url = self.url(project)
        override = self._settings.projects.get(project)
        chosen = self._of_group(project) or self._settings.credential
        if override is not None and (override.credential is not None or override.url is not None):
            chosen = override.credential
        if url.startswith("ssh:"):
            return Remote(url, None, None, key=_read_key(project, chosen))
        if chosen is not None and chosen.kind is CredentialKind.SSH_KEY:
            chosen = None  # it is for the projects that have an SSH URL
        credential = None if chosen is None else _read(project, chosen)
        return Remote(url, credential, self._settings.ca_file)

    def _of_group(self, project: str) -> CredentialSettings | None:
        """Return the credential of the innermost group that has one."""
        path = project
        while "/" in path:
            path = path.rpartition("/")[0]
            if (found := self._settings.groups.get(path)) is not None:
                return found
        return None

    def resolved(self, project: str) -> Remote:
        """Return ``remote``, with the addresses of its host looked at. Blocks for DNS, so it belongs in a thread.

        Raises ``GitError`` as ``remote`` does, Refused for a host that leads to an address of no Git server, and
        Unreachable for one that has no address: without one that was looked at nothing is asked.
        """
        remote = self.remote(project)
        try:
            resolve = pin(remote.url, self._settings.allowed_hosts)
            return replace(remote, resolve=resolve, proxy=proxy_for(remote.url))
        except UnresolvedError as error:
            raise GitError("Unreachable", f"{project}: {error}; it is tried again by itself", retryable=True) from error
        except ForbiddenAddressError as error:
            raise GitError("Refused", f"{project}: {error}", retryable=True) from error


def _read_key(project: str, settings: CredentialSettings | None) -> SshKey:
    """Read a private key."""
    if settings is None or settings.kind is not CredentialKind.SSH_KEY or settings.known_hosts_file is None:
        message = f"{project}: its URL is one of SSH, which needs a credential of kind ssh_key; give it one"
        raise GitError("AccessDenied", message)
    raw, text = _read_file(project, settings.secret_file)
    if len(raw) > _MAX_KEY or "PRIVATE KEY-----" not in text:
        message = f"{project}: the credential file {settings.secret_file} must hold a private key and nothing else"
        raise GitError("AccessDenied", message)
    # Absolute: git is run in another directory than kas. A key without its last line break is none to ssh.
    return SshKey(text.strip() + "\n", settings.known_hosts_file.absolute())


def _read(project: str, settings: CredentialSettings) -> Credential:
    """Read a credential's secret."""
    file = settings.secret_file
    raw, text = _read_file(project, file)
    secret = text.strip()
    if not secret or len(raw) > _MAX_SECRET or _CONTROL.search(secret):
        message = f"{project}: the credential file {file} must hold the secret on one line and nothing else"
        raise GitError("AccessDenied", message)
    return Credential(settings.username or "oauth2", secret)


def _read_file(project: str, file: Path) -> tuple[bytes, str]:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_KEY + 1)
        return raw, raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not text"
        message = f"{project}: the credential file {file} cannot be read ({cause}); create it or correct its name"
        # Not chained: a UnicodeDecodeError carries the bytes it met.
        raise GitError("AccessDenied", message) from None
