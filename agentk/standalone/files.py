"""Manifests from files, directories and standard input, read as kas reads them from Git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from agentlink.manifests.model import Limits, ManifestError, printable_path
from agentlink.manifests.parse import parse_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""What a directory is searched for; a file that is named is read whatever it is called."""

STDIN: Final = "-"


class Manifests:
    """Collects manifests, within the limits that kas sets one project."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._bytes = 0
        self._files: dict[str, tuple[bytes, ...]] = {}

    @property
    def files(self) -> dict[str, tuple[bytes, ...]]:
        """Return, for each file that holds any, its objects as JSON."""
        return self._files

    def read(self, sources: Sequence[Path], stdin: BinaryIO) -> None:
        """Read files, directories and, for ``-``, standard input.

        Raises:
            ManifestError: With the path, and the line where there is one: a source cannot be read, is no manifest, or
                is too large, or there is no object in any of them.
        """
        for source in sources:
            if str(source) == STDIN:
                self._add("stdin", stdin.read(self._limits.file_bytes + 1))
            elif source.is_dir():
                for path in _below(source):
                    self._add_file(path)
            else:
                self._add_file(source)
        if not self._files:
            looked = ", ".join(printable_path(str(source)) for source in sources)
            endings = ", ".join(sorted(SUFFIXES))
            raise ManifestError("EmptySelection", f"no object in {looked}; directories are searched for {endings}")

    def _add_file(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                data = file.read(self._limits.file_bytes + 1)
        except OSError as error:
            raise ManifestError("Unreadable", error.strerror or str(error), path=printable_path(str(path))) from error
        self._add(str(path), data)

    def _add(self, path: str, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self._limits.project_bytes:
            raise ManifestError("ProjectTooLarge", f"more than {self._limits.project_bytes} bytes in all", path=path)
        file = parse_file(path, "", data, self._limits)
        if not file.objects:
            return
        if len(self._files) == self._limits.files:
            raise ManifestError("TooManyFiles", f"more than {self._limits.files} files", path=path)
        self._files[file.path] = self._files.get(file.path, ()) + tuple(one.json for one in file.objects)


def _below(directory: Path) -> Iterator[Path]:
    """Yield the manifests below a directory in a steady order, hidden directories left out."""
    top = directory.resolve()
    for place, directories, names in os.walk(directory, onerror=_refuse):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if path.suffix.lower() not in SUFFIXES:
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                message = f"a symlink that leaves {printable_path(str(directory))}; name the file itself to read it"
                raise ManifestError("SymlinkRefused", message, path=printable_path(str(path)))
            yield path


def _refuse(error: OSError) -> None:
    raise ManifestError("Unreadable", error.strerror or str(error), path=printable_path(str(error.filename))) from error
