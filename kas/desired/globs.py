"""Doublestar globs as one regular expression that never takes long.

Globs come from a repository, as do the paths they are matched with, so however both are made, matching must take time
about linear in the path: braces are expanded within a bound, and ``**`` is an atomic group, because the leftmost match
of what stands between two of them is always as good as any other. wcmatch translates the segments (atomic as well since
its version 12); its own ``**`` backtracks, and bash's braces, which it follows, differ from doublestar's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from wcmatch import glob as wcglob

from agentlink.manifests.model import printable_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_LENGTH = 1024
_MAX_NESTING = 10
_MAX_ALTERNATIVES = 1000  # of all globs together, with their braces expanded
_MAX_EXPANDED = 64 * 1024  # characters of all of them: what one may make the regular expression compiler chew
_FLAGS = wcglob.DOTGLOB | wcglob.CASE | wcglob.FORCEUNIX
_GLOBSTAR = "**"
_TRANSLATED = re.compile(r"\^\(\?s:(.*?)(?:\[/\]\*\?)?\)\$", re.DOTALL)
# What wcmatch leaves where it drops a range that runs backwards. Python reads it as it is meant, and warns of it.
_BRACKET_IN_BRACKETS = re.compile(r"(?<!\\)(\[\^?)\[")
_MAGIC = re.compile(r"[^\w.-]|[^\x00-\x7f]")  # whatever could be more than itself to wcmatch
_PLAIN = re.compile(r"[^\\\[{},]+")
_CHARACTER_CLASS = re.compile(r"\[:[a-z]+:\]")


_EXCLUDED = "\x1f"
"""Between a glob and those of what it is not to match; no glob can hold it."""


def excluding(glob: str, excluded: Sequence[str]) -> str:
    """Return a glob that matches what ``glob`` does and none of ``excluded``: a text for this module alone to read."""
    return _EXCLUDED.join((glob, *excluded))


def described(glob: str) -> str:
    """Return a glob, one that excludes something too, as people write it."""
    included, *excluded = glob.split(_EXCLUDED)
    without = f" without {', '.join(repr(printable_path(one)) for one in excluded)}" if excluded else ""
    return f"{printable_path(included)!r}{without}"


class GlobError(ValueError):
    """A glob that cannot be used. The text names it and says why."""

    def __init__(self, glob: str, why: str) -> None:
        super().__init__(f"glob '{printable_path(glob[:_MAX_LENGTH])}': {why}")


def compile_patterns(globs: Sequence[str]) -> re.Pattern[str]:
    """Return an expression that fully matches the paths that any of the globs matches.

    Raises:
        GlobError: for a glob that is malformed, too long, has too many alternatives, or names ``.`` or ``..``.
    """
    budget = _Budget()
    by_excluded: dict[str, list[str]] = {}
    for one in globs:
        glob, *excluded = one.split(_EXCLUDED)
        without = "|".join(expression for other in excluded for expression in budget.expressions(other))
        by_excluded.setdefault(without, []).extend(budget.expressions(glob))
    parts = [
        f"(?!(?:{without})\\Z)(?:{'|'.join(dict.fromkeys(within))})" if without else "|".join(dict.fromkeys(within))
        for without, within in by_excluded.items()
    ]
    return re.compile("|".join(parts), re.DOTALL)


class _Budget:
    """Makes expressions of globs, until they are too many, or too long together."""

    def __init__(self) -> None:
        self._count = self._length = 0

    def expressions(self, glob: str) -> Iterator[str]:
        for alternative in _alternatives(glob):
            self._count += 1
            self._length += len(alternative)
            if self._count > _MAX_ALTERNATIVES or self._length > _MAX_EXPANDED:
                raise GlobError(glob, "too many alternatives in braces")
            yield _expression(glob, alternative)


def check_glob(glob: str) -> int:
    """Return how many alternatives the glob has, without the cost of compiling it.

    Raises:
        GlobError: as ``compile_patterns``.
    """
    alternatives = _alternatives(glob)
    for alternative in alternatives:
        _expression(glob, alternative)
    return len(alternatives)


def roots_of(globs: Sequence[str]) -> tuple[str, ...]:
    """Return the directories outside of which the globs match nothing, each with a slash at its end, none in another.

    ``""`` is the whole repository. Of globs that ``compile_patterns`` accepts.
    """
    found = {_root(alternative) for glob in globs for alternative in _alternatives(glob.partition(_EXCLUDED)[0])}
    roots: list[str] = []
    for root in sorted(found):
        if not roots or not root.startswith(roots[-1]):
            roots.append(root)
    return tuple(roots)


def _root(alternative: str) -> str:
    """Return the directories that an alternative begins with, as far as they are written out."""
    segments = [segment for segment in alternative.removeprefix("/").split("/") if segment]
    literal = takewhile(lambda segment: not _MAGIC.search(segment), segments[:-1])
    return "".join(f"{segment}/" for segment in literal)


def _alternatives(glob: str) -> list[str]:
    if not glob or len(glob) > _MAX_LENGTH:
        raise GlobError(glob, f"must have 1 to {_MAX_LENGTH} characters")
    if any(character < " " or character == "\x7f" for character in glob):
        raise GlobError(glob, "control characters cannot be used")
    return _Braces(glob).expand(0, 0)[0]


class _Braces:
    """Expands the braces of one glob; what is escaped or in brackets stays as it is."""

    def __init__(self, glob: str) -> None:
        self._glob = glob

    def expand(self, at: int, nesting: int) -> tuple[list[str], int]:
        """Return the alternatives from ``at`` to the closing brace, or the end, and where it ends."""
        if nesting > _MAX_NESTING:
            raise GlobError(self._glob, f"braces nested deeper than {_MAX_NESTING}")
        done: list[str] = []
        current = [""]
        while at < len(self._glob):
            character = self._glob[at]
            if nesting and character == "}":
                return done + current, at + 1
            if nesting and character == ",":
                done, current, at = done + current, [""], at + 1
                continue
            if character == "{" and not self._glob.startswith("{}", at):
                pieces, at = self.expand(at + 1, nesting + 1)
            else:
                end = self._piece_end(at)
                pieces, at = [self._glob[at:end]], end
            if len(done) + len(current) * len(pieces) > _MAX_ALTERNATIVES:
                raise GlobError(self._glob, "too many alternatives in braces")
            current = [before + piece for before in current for piece in pieces]
        if nesting:
            raise GlobError(self._glob, "'{' without its '}'")
        return current, at

    def _piece_end(self, at: int) -> int:
        plain = _PLAIN.match(self._glob, at)
        if plain:
            return plain.end()
        if self._glob[at] == "[":
            return self._bracket_end(at)
        if self._glob[at] == "\\":
            if at + 1 == len(self._glob) or self._glob[at + 1] == "/":
                raise GlobError(self._glob, "'\\' with nothing to escape")
            return at + 2
        return at + (2 if self._glob.startswith("{}", at) else 1)

    def _bracket_end(self, at: int) -> int:
        at += 1
        if self._glob[at : at + 1] in {"!", "^"}:
            at += 1
        first = at
        while at < len(self._glob) and self._glob[at] != "/":
            if self._glob[at] == "]" and at > first:
                return at + 1
            named = _CHARACTER_CLASS.match(self._glob, at)
            at = named.end() if named else at + (2 if self._glob[at] == "\\" else 1)
        raise GlobError(self._glob, "'[' without its ']'")


def _expression(glob: str, alternative: str) -> str:
    relative = alternative.removeprefix("/")
    if relative.startswith("/"):
        raise GlobError(glob, "begins with more than one '/'")
    if not relative or relative.endswith("/"):
        raise GlobError(glob, "matches directories only; add '**' for the files below")
    segments = [segment for segment in relative.split("/") if segment]
    if any(segment in {".", ".."} for segment in segments):
        raise GlobError(glob, "'.' and '..' cannot be used; globs begin at the root of the repository")
    return "".join(_parts(segments))


def _parts(segments: list[str]) -> Iterator[str]:
    """Yield the expressions of the runs of segments between globstars, in order."""
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment != _GLOBSTAR:
            runs[-1].append(_segment(segment))
        elif len(runs) == 1 or runs[-1]:
            runs.append([])
    *before, last = runs
    for index, run in enumerate(before):
        fixed = "".join(f"{segment}/" for segment in run)
        yield f"(?>(?:[^/]+/)*?{fixed})" if index else fixed
    if not before:
        yield "/".join(last)
    elif not last:
        yield ".+"
    elif len(last) == 1:
        yield f"(?:[^/]+/)*+{last[0]}"
    else:
        yield f"(?:[^/]+/)*?{'/'.join(last)}"


@lru_cache(maxsize=1024)  # the alternatives of a glob are mostly made of the same segments
def _segment(segment: str) -> str:
    (translated,), _ = wcglob.translate(segment, flags=_FLAGS)
    match = _TRANSLATED.fullmatch(translated)
    if match is None:
        raise RuntimeError("wcmatch writes its expressions in another form than this module knows")
    return _BRACKET_IN_BRACKETS.sub(r"\1\\[", match[1])
