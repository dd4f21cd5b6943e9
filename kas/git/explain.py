"""What git's words mean. Pure: text in, a ``GitError`` out.

git has no codes for its failures, only English; it is run with ``LC_ALL=C``, and each phrase below is met by a test
with the real git. What a server sends is shown short, without control characters and without credentials.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kas.git.errors import GitError
from kas.git.refs import GitRef, RefKind

if TYPE_CHECKING:
    from kas.git.remotes import Credential

_DETAIL = 300
_LINE = 1000
"""Characters of a line that are looked at: a server says whatever it likes, and some phrases have a gap in them."""
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_AUTHORIZATION = re.compile(r"(authorization:\s*)\S+(\s+\S+)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
# A project or branch may be called "certificate": names say nothing about what went wrong.
_URL = re.compile(r"'[a-z]+://[^'\n]*'", re.IGNORECASE)
# Differs each time without being news.
_ELAPSED = re.compile(r" after \d+ m?s")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """``advice`` tells what happened and what to do; ``{detail}`` is what git said, ``{ref}`` what was asked for."""

    pattern: re.Pattern[str]
    reason: str
    advice: str
    retryable: bool = False


def _when(pattern: str, reason: str, advice: str, *, retryable: bool = False) -> _Meaning:
    return _Meaning(re.compile(pattern, re.IGNORECASE), reason, advice, retryable)


_PROMPT = re.compile(r"could not read (username|password)", re.IGNORECASE)
"""What git says of a 401: it would ask somebody at a terminal for a login."""

# The first that matches decides.
_MEANINGS = (
    _when(
        r"file too large",
        "TooLarge",
        "the repository is larger than one fetch may bring; raise git.fetch_size, or use a smaller repository",
    ),
    _when(
        r"out of memory|cannot allocate memory|unable to create (?:\w+ )?thread",
        "TooLarge",
        "something in the repository takes more memory than git may have ({detail}): a file, tree or message made "
        "to be much larger than what is sent of it, or a very long history; take it out of the repository, or raise "
        "git.memory",
    ),
    _when(
        r"no space left|disk quota|read-only file system|unable to (create|write|open).*permission denied|cannot mkdir",
        "StorageFailed",
        "the mirror cannot be written ({detail}); make room in kas's data directory or correct its permissions",
        retryable=True,
    ),
    _when(
        r"couldn't find remote ref HEAD",
        "RefNotFound",
        "the repository has no default branch, or no commit in it yet; push one",
    ),
    _when(
        r"couldn't find remote ref",
        "RefNotFound",
        "there is no {ref} in the repository; push it, or correct the ref in the agent's configuration",
    ),
    _when(
        r"not our ref|unadvertised object",
        "CommitNotFound",
        "there is no {ref} in the repository; push it, or correct the ref in the agent's configuration",
    ),
    _when(
        r"returned error: 30\d|redirect",
        "Redirected",
        "the server redirects to another address, which is not followed; configure the final URL of the repository",
    ),
    _when(
        r"transport '.*' not allowed",
        "Refused",
        "this kind of URL is not allowed; use https, or add it to git.allowed_schemes",
    ),
    _when(
        r"host key verification failed|no .* host key is known|remote host identification has changed",
        "Refused",
        "the server's SSH key is not among those in known_hosts_file; if it is the right server, put its key there",
    ),
    _when(
        r"permission denied \(|load key .*: |returned error: 40[13]|authentication failed|access denied"
        rf"|{_PROMPT.pattern}",
        "AccessDenied",
        "the server denies access ({detail}); give the project a credential that may read the repository",
    ),
    _when(
        r"returned error: 404|repository '.*' not found|does not appear to be a git repository|does not exist"
        r"|the project you were looking for",
        "RepositoryNotFound",
        "there is no repository at this project's URL, or the credential may not see it; correct the project's name, "
        "url_template or the credential",
    ),
    _when(
        r"certificate|\bssl\b|\btls\b",
        "Unreachable",
        "the server's certificate is not accepted ({detail}); set git.ca_file to the authority that issued it",
        retryable=True,
    ),
    _when(
        r"bad config|not a git repository|\.lock': file exists|is corrupt|corrupted|bad object|object file .* is empty"
        r"|unable to read (tree|sha1)|missing (blob|tree|commit)|inflate|invalid sha1 pointer|bad shallow|packfile"
        r"|bad (tree|signature)|did not send all necessary objects|not a tree object|not a valid object name"
        r"|cannot lock ref|unable to resolve reference|broken ref",
        "MirrorCorrupt",
        "the mirror was damaged ({detail}) and is being fetched anew; look at the disk if this comes back",
        retryable=True,
    ),
)
_OTHERWISE = _when(
    "", "Unreachable", "the repository cannot be fetched ({detail}); it is tried again by itself", retryable=True
)


def explain(project: str, ref: GitRef | None, code: int, stderr: str, credential: Credential | None) -> GitError:
    """Return what a git process meant that ended with ``code`` (negative for a signal) and said ``stderr``."""
    detail = redact(stderr, credential)
    if code < 0 and not detail:
        message = f"{project}: git was ended by signal {-code}; it is tried again by itself"
        return GitError("Interrupted", message, retryable=True)
    said = "\n".join(_URL.sub("'URL'", line[:_LINE]) for line in stderr.splitlines())
    meaning = next((known for known in _MEANINGS if known.pattern.search(said)), _OTHERWISE)
    if _PROMPT.search(said):
        detail = "401: it does not accept the login it was sent"
        if credential is None:
            detail = "401: it asks for a login, and kas has none"
    # A commit that is asked for by its id is a ref to git.
    reason = "CommitNotFound" if meaning.reason == "RefNotFound" and _is_commit(ref) else meaning.reason
    advice = meaning.advice.replace("{ref}", str(ref or "such object")).replace("{detail}", detail or f"code {code}")
    return GitError(reason, f"{project}: {advice}", retryable=meaning.retryable)


def redact(text: str, credential: Credential | None) -> str:
    """Return ``text`` on one short line, without control characters and with nothing that lets anybody in."""
    if credential is not None:
        pair = f"{credential.username}:{credential.password}".encode()
        for secret in (base64.b64encode(pair).decode(), credential.password):
            text = text.replace(secret, "***")
    text = _AUTHORIZATION.sub(r"\1***", _USERINFO.sub("***@", text))
    lines = (line.removeprefix("fatal: ").removeprefix("error: ").strip() for line in text.splitlines())
    line = _ELAPSED.sub("", _CONTROL.sub(" ", "; ".join(line for line in lines if line)))
    return line if len(line) <= _DETAIL else f"{line[:_DETAIL]}…"


def _is_commit(ref: GitRef | None) -> bool:
    return ref is not None and ref.kind is RefKind.COMMIT
