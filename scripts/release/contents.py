"""The parts of what is shipped: Python distributions and Debian packages, with their licences.

An image is read from its OCI archive, layer by layer, so that neither root nor a container tool is needed. The format
is that of the OCI image specification, layers with whiteouts included.
"""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from email.parser import BytesParser
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DPKG_STATUS: Final = "var/lib/dpkg/status"

_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)")
_LICENCE_FILE: Final = re.compile(r"(licen[cs]e|copying|notice|authors|copyright)", re.IGNORECASE)
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_MOST_BYTES: Final = 16 << 20
"""Of one file that is read from an image; dpkg's status of a whole desktop has less."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is shipped. ``origin`` is ``pypi`` or ``deb``; ``texts`` are its licence texts by file name."""

    origin: str
    name: str
    version: str
    licence: str
    architecture: str = ""
    texts: tuple[tuple[str, str], ...] = ()


def pinned(requirements: Path) -> dict[str, str]:
    """Return the versions that a requirements file pins, by normalized name."""
    lines = requirements.read_text().splitlines()
    return {_normalized(match[1]): match[2] for line in lines if (match := _PIN.match(line))}


def installed_parts(pins: Mapping[str, str]) -> list[Part]:
    """Return the pinned distributions as they are installed beside this program.

    Raises:
        ValueError: One is installed in another version than the pinned one.
    """
    parts = []
    for distribution in distributions():
        name = _normalized(distribution.name)
        if name not in pins:
            continue
        if distribution.version != pins[name]:
            raise ValueError(f"{name} {distribution.version} is installed and {pins[name]} is pinned: run `make venv`")
        metadata = (distribution.read_text("METADATA") or "").encode()
        files = (file for file in distribution.files or () if _is_licence(str(file)))
        texts = {str(file): file.read_binary() for file in files if Path(file.locate()).is_file()}
        parts.append(_python_part(metadata, texts))
    return sorted(set(parts), key=lambda part: part.name)


def image_parts(archive: Path) -> list[Part]:
    """Return what is in an image, read from its OCI archive."""
    files = dict(_files_of(archive))
    parts = list(_debian_parts(files))
    for path, data in files.items():
        if path.endswith(".dist-info/METADATA"):
            folder = path.removesuffix("METADATA")
            texts = {name: text for name, text in files.items() if name.startswith(folder) and _is_licence(name)}
            parts.append(_python_part(data, texts))
    return sorted(set(parts), key=lambda part: (part.origin, part.name))


def manifest_digest(archive: Path) -> str:
    """Return the digest, ``sha256:…``, under which a registry will hold the image of an OCI archive."""
    with tarfile.open(archive) as outer:
        return str(_index(outer)["manifests"][0]["digest"])


def _python_part(metadata: bytes, texts: Mapping[str, bytes]) -> Part:
    fields = BytesParser().parsebytes(metadata, headersonly=True)
    return Part(
        "pypi",
        _normalized(str(fields["Name"])),
        str(fields["Version"]),
        _licence_of(fields["License-Expression"], fields["License"], fields.get_all("Classifier") or ()),
        texts=_decoded(texts),
    )


def _licence_of(expression: str | None, licence: str | None, classifiers: Iterable[str]) -> str:
    """Return what the metadata says, the most exact first; a licence field may hold a whole text."""
    if expression:
        return expression
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ") and "::" in one[10:]]
    short = (licence or "").strip()
    if short and "\n" not in short and len(short) < 80:  # noqa: PLR2004 - a name, not a text
        return short
    return " AND ".join(sorted(set(named))) or "see its licence texts"


def _debian_parts(files: Mapping[str, bytes]) -> Iterator[Part]:
    for paragraph in files.get(DPKG_STATUS, b"").split(b"\n\n"):
        fields = BytesParser().parsebytes(paragraph, headersonly=True)
        if not fields["Package"] or "installed" not in str(fields["Status"]).split():
            continue
        name = str(fields["Package"])
        copyright_file = f"usr/share/doc/{name}/copyright"
        texts = {copyright_file: files[copyright_file]} if copyright_file in files else {}
        version, architecture = str(fields["Version"]), str(fields["Architecture"])
        yield Part("deb", name, version, "see its copyright file", architecture, _decoded(texts))


def _files_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of interest as the layers leave them."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as outer:
        manifest = json.loads(_blob(outer, _index(outer)["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            member = outer.extractfile(_blob_path(layer["digest"]))
            assert member is not None  # noqa: S101 - the index names it
            with tarfile.open(fileobj=member, mode="r:*") as inner:
                for entry in inner:
                    _take(found, inner, entry)
    yield from found.items()


def _take(found: dict[str, bytes], layer: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    path = str(PurePosixPath(entry.name)).lstrip("/")
    folder, _, name = path.rpartition("/")
    if name == _OPAQUE:
        _forget(found, folder)
    elif name.startswith(_WHITEOUT):
        _forget(found, f"{folder}/{name.removeprefix(_WHITEOUT)}")
    elif entry.isreg() and _counts(path) and entry.size <= _MOST_BYTES:
        file = layer.extractfile(entry)
        found[path] = file.read() if file is not None else b""


def _forget(found: dict[str, bytes], path: str) -> None:
    for name in [name for name in found if name == path or name.startswith(f"{path}/")]:
        del found[name]


def _counts(path: str) -> bool:
    if path == DPKG_STATUS or (path.startswith("usr/share/doc/") and path.endswith("/copyright")):
        return True
    return ".dist-info/" in path and (path.endswith("/METADATA") or _is_licence(path))


def _is_licence(path: str) -> bool:
    _, inside, name = path.partition(".dist-info/")
    return bool(inside) and _LICENCE_FILE.search(name) is not None


def _index(outer: tarfile.TarFile) -> dict[str, list[dict[str, str]]]:
    member = outer.extractfile("index.json")
    assert member is not None  # noqa: S101 - every OCI archive has one
    index: dict[str, list[dict[str, str]]] = json.loads(member.read())
    return index


def _blob(outer: tarfile.TarFile, digest: str) -> bytes:
    member = outer.extractfile(_blob_path(digest))
    assert member is not None  # noqa: S101 - the index names it
    return member.read()


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _decoded(texts: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name.rpartition("/")[2], data.decode(errors="replace")) for name, data in texts.items()))


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
