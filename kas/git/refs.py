"""What a project may be followed by: its default branch, a branch, a tag or a commit.

Pure. How a ref is called on the server and in the mirror is decided here and nowhere else; fetching lives in
``fetching.py``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from kas.git.errors import GitError

# What git check-ref-format forbids anywhere in a name, and every byte that a shell or terminal could act on.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|/$|^/|^\.|^-|^@$")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_COMMIT_OR_ITS_BEGINNING = re.compile(r"[0-9a-f]{4,64}")
_MAX_NAME = 255


class RefKind(StrEnum):
    """The ways to name what to follow."""

    DEFAULT = "default"
    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class GitRef:
    """One ref of a project. ``name`` is without ``refs/heads/`` or ``refs/tags/``, and empty for the default branch."""

    kind: RefKind
    name: str = ""

    def __str__(self) -> str:
        """Write it for people: ``branch main``, ``default branch``."""
        return "default branch" if self.kind is RefKind.DEFAULT else f"{self.kind} {self.name}"


DEFAULT_BRANCH = GitRef(RefKind.DEFAULT)


def is_commit_id(text: str) -> bool:
    """Tell whether ``text`` is a full commit id: 40 lower-case hexadecimal digits."""
    return _COMMIT_ID.fullmatch(text) is not None


def commit_argument(project: str, text: str) -> str:
    """Return how git is told of a commit, perhaps by its first digits: as nothing that could be an option or a name.

    The one door to git's arguments for commits, whoever named them: agents, people, other kas, a database.

    Raises:
        GitError: CommitNotFound; it is none.
    """
    if _COMMIT_OR_ITS_BEGINNING.fullmatch(text) is None:
        raise GitError("CommitNotFound", f"{project}: {text[:60]!r} is not a commit id")
    return f"{text}^{{commit}}"


def check_ref(project: str, ref: GitRef) -> None:
    """Raise ``GitError`` (Refused) unless ``ref`` is a name that Git itself would accept and read as a plain name."""
    if ref.kind is RefKind.DEFAULT:
        if ref.name:
            raise GitError("Refused", f"{project}: the default branch takes no name; leave the name empty")
        return
    if ref.kind is RefKind.COMMIT:
        if not is_commit_id(ref.name):
            message = f"{project}: {ref.name[:60]!r} is not a commit id; write all 40 hexadecimal digits in lower case"
            raise GitError("Refused", message)
        return
    if not ref.name or len(ref.name.encode(errors="replace")) > _MAX_NAME or _FORBIDDEN.search(ref.name):
        raise GitError("Refused", f"{project}: {ref.name[:60]!r} is not a name a {ref.kind} can have; correct the ref")


def tip_of(listing: str, commit: str) -> GitRef | None:
    """Return the first branch or tag in what ``git ls-remote`` writes that is at a commit; a tag's own too."""
    for line in listing.splitlines():
        value, _, name = line.partition("\t")
        if value != commit:
            continue
        for kind, prefix in ((RefKind.BRANCH, "refs/heads/"), (RefKind.TAG, "refs/tags/")):
            if name.startswith(prefix):
                return GitRef(kind, name.removeprefix(prefix).removesuffix("^{}"))
    return None


def server_name(ref: GitRef) -> str:
    """Return what the server calls ``ref``: ``HEAD``, a full ref name, or the commit id."""
    match ref.kind:
        case RefKind.DEFAULT:
            return "HEAD"
        case RefKind.BRANCH:
            return f"refs/heads/{ref.name}"
        case RefKind.TAG:
            return f"refs/tags/{ref.name}"
        case RefKind.COMMIT:
            return ref.name


def mirror_name(url: str, ref: GitRef) -> str:
    """Return where the mirror keeps ``ref`` as fetched from ``url``.

    Hashed, because branch ``a`` may be deleted and ``a/b`` created, which cannot exist side by side as names; with the
    URL in it, because a project that moved to another server must not be answered from the old one.
    """
    digest = hashlib.sha256(f"{url}\0{ref.kind}\0{ref.name}".encode(errors="surrogateescape")).hexdigest()
    return f"refs/kas/{digest[:40]}"
