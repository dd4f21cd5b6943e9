"""Files that Git LFS keeps elsewhere: what is in the repository only points to them."""

from __future__ import annotations

from agentlink.manifests.model import ManifestError, printable_path

_BEGINNING = b"version https://git-lfs.github.com/spec/"


def refuse_pointer(path: str, data: bytes) -> None:
    """Refuse a pointer of Git LFS, which would otherwise be read as a manifest of odd fields.

    Raises:
        ManifestError: LfsPointer.
    """
    if data.startswith(_BEGINNING):
        raise ManifestError(
            "LfsPointer",
            "a pointer of Git LFS, whose content kas does not fetch; commit the manifest itself "
            "(take its pattern out of .gitattributes), or leave it out of the globs",
            path=printable_path(path),
        )
