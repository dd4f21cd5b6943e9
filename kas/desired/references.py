"""What names a project and a ref may have in a configuration. Both end up in URLs and on Git's side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.][A-Za-z0-9_.+-]*"
_PROJECT = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_MAX_PROJECT, _MAX_REF = 1024, 255
# What git check-ref-format forbids, and whatever could act on a terminal.
_NO_REF = re.compile(r"[\x00-\x20\x7f-\x9f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|[./]\Z|\A[./-]|\A@\Z")
_NUMBER = "a number is the id that GitLab gives it, which kas does not know; GitLab's page of the project has the path"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class RefSpecKind(StrEnum):
    """The ways to say what to follow."""

    DEFAULT = "default"
    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class RefSpec:
    """What the configuration says to follow. ``name`` is empty for the default branch."""

    kind: RefSpecKind = RefSpecKind.DEFAULT
    name: str = ""


DEFAULT_BRANCH = RefSpec()


def bare_path(text: str) -> str:
    """Return the path of a project without what people have at its end when they copy it from elsewhere."""
    return text.removesuffix("/").removesuffix(".git")


def checked_project(text: str) -> str:
    """Return the path of a project; a slash or ``.git`` at its end is no part of it.

    Raises:
        ValueError: for what is none.
    """
    text = bare_path(text)
    if text.isascii() and text.isdigit():
        raise ValueError(f"expected the path of a project, such as group/project: {_NUMBER}")
    if len(text) > _MAX_PROJECT or not _PROJECT.fullmatch(text):
        raise ValueError("expected the path of a project, such as group/project")
    return text


def checked_branch_or_tag(text: str) -> str:
    """Return the name of a branch or tag.

    Raises:
        ValueError: for what Git would not accept as one.
    """
    if not text or len(text) > _MAX_REF or _NO_REF.search(text):
        raise ValueError("expected the name of a branch or tag")
    return text


def checked_commit(text: str) -> str:
    """Return the id of a commit, in lower case.

    Raises:
        ValueError: for anything but a full id; an abbreviated one cannot be fetched.
    """
    if not _COMMIT.fullmatch(text.lower()):
        raise ValueError("expected the 40 hexadecimal digits of a commit")
    return text.lower()
