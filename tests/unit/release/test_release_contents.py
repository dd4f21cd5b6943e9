"""What is read from an OCI archive, and how it is written down."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from scripts.release.bill import bill_of_materials, licence_texts
from scripts.release.contents import image_parts, installed_parts, manifest_digest, pinned
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STATUS = b"""Package: git
Status: install ok installed
Architecture: amd64
Version: 1:2.39.5-0+deb12u2

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
METADATA = b"""Metadata-Version: 2.4
Name: Some_Package
Version: 1.2
License-Expression: MIT

text
"""
INSIDE = "opt/app/lib/python3.11/site-packages/some_package-1.2.dist-info"

PERMITTED = (
    *("MIT", "BSD", "Apache", "ISC", "PSF", "Python-2.0", "Python Software Foundation", "MPL", "Mozilla", "Unlicense"),
    *("0BSD", "3-Clause BSD"),
)
"""Licences under which things may be shipped beside code under Apache 2.0."""


def layer(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def archive(path: Path, *layers: Mapping[str, bytes]) -> Path:
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        digest = sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return f"sha256:{digest}"

    manifest = put(json.dumps({"layers": [{"digest": put(layer(files))} for files in layers]}).encode())
    with tarfile.open(path, "w") as tar:
        for name, data in {"index.json": json.dumps({"manifests": [{"digest": manifest}]}).encode(), **blobs}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_packages_of_debian_and_of_python_are_found_with_their_licences(tmp_path: Path) -> None:
    first = {"var/lib/dpkg/status": STATUS, "usr/share/doc/git/copyright": b"GPL-2\n"}
    second = {f"{INSIDE}/METADATA": METADATA, f"{INSIDE}/licenses/LICENSE": b"Permission is granted\n"}

    parts = image_parts(archive(tmp_path / "image.tar", first, second))

    assert [(one.origin, one.name, one.version, one.licence) for one in parts] == [
        ("deb", "git", "1:2.39.5-0+deb12u2", "see its copyright file"),
        ("pypi", "some-package", "1.2", "MIT"),
    ]
    assert parts[0].texts == (("copyright", "GPL-2\n"),)
    assert parts[1].texts == (("LICENSE", "Permission is granted\n"),)


def test_what_a_later_layer_removes_or_replaces_is_not_shipped(tmp_path: Path) -> None:
    first = {"var/lib/dpkg/status": STATUS, f"{INSIDE}/METADATA": METADATA}
    replaced = {"var/lib/dpkg/status": STATUS.replace(b"1:2.39.5-0+deb12u2", b"1:2.40")}
    removed = {"opt/app/lib/python3.11/site-packages/.wh.some_package-1.2.dist-info": b""}

    parts = image_parts(archive(tmp_path / "image.tar", first, replaced, removed))

    assert [(one.name, one.version) for one in parts] == [("git", "1:2.40")]


def test_the_digest_of_an_image_is_that_of_its_manifest(tmp_path: Path) -> None:
    assert manifest_digest(archive(tmp_path / "image.tar", {})).startswith("sha256:")


def test_a_bill_names_every_part_and_is_the_same_twice(tmp_path: Path) -> None:
    parts = image_parts(archive(tmp_path / "i.tar", {"var/lib/dpkg/status": STATUS, f"{INSIDE}/METADATA": METADATA}))
    at = datetime(2026, 12, 1, tzinfo=UTC)

    text = bill_of_materials("image kas", "1.0", parts, at=at, digest=b"0123456789abcdef")

    assert text == bill_of_materials("image kas", "1.0", parts, at=at, digest=b"0123456789abcdef")
    bill = json.loads(text)
    assert bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["name"] == "kas"
    assert {one["purl"] for one in bill["components"]} == {
        "pkg:deb/debian/git@1:2.39.5-0%2Bdeb12u2?arch=amd64",
        "pkg:pypi/some-package@1.2",
    }


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    return pinned(ROOT / "requirements/runtime.txt")


def test_the_bill_of_the_distribution_has_everything_that_is_pinned_for_this_platform(pins: dict[str, str]) -> None:
    names = {part.name for part in installed_parts(pins)}

    # The one that is pinned for Python 3.11.0 to 3.11.2 only.
    assert pins.keys() - names <= {"async-timeout"}
    assert {"grpcio", "kubernetes", "cryptography"} <= names


def test_everything_shipped_has_a_licence_that_permits_it_and_its_text(pins: dict[str, str]) -> None:
    parts = installed_parts(pins)

    assert [f"{part.name}: {part.licence}" for part in parts if not part.licence.startswith(PERMITTED)] == []
    document = licence_texts("title", parts)
    assert "grpcio" in document
    assert "Apache License" in document


def test_a_version_other_than_the_pinned_one_is_no_release(pins: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="run `make venv`"):
        installed_parts({**pins, "click": "0.1"})
