"""A release made from a clone, with a key, and checked with our own command and with OpenSSL."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from agentlink import __version__
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MADE = {
    f"agentk-{__version__}-py3-none-any.whl",
    f"agentk-{__version__}.tar.gz",
    f"agentk-{__version__}.cdx.json",
    "third-party-licenses.txt",
    "provenance.intoto.jsonl",
    "SHA256SUMS",
    "SHA256SUMS.sig",
}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit of what this one holds."""
    place = tmp_path_factory.mktemp("release") / "clone"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "All of it")):
        assert run("git", *command, cwd=place).returncode == 0
    return place


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public key, as docs/release.md says."""
    folder = tmp_path_factory.mktemp("keys")
    key, public = folder / "release.key", folder / "release.pub"
    make = ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    assert run(*make, cwd=folder).returncode == 0
    assert run("openssl", "pkey", "-in", key, "-pubout", "-out", public, cwd=folder).returncode == 0
    return key, public


@pytest.fixture(scope="module")
def made(clone: Path, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = release(clone, "--no-images", "--key", keys[0], "--folder", folder)
    assert done.returncode == 0, done.stderr
    return folder


def release(clone: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "scripts.release", *arguments, cwd=clone)


def test_a_release_holds_what_its_page_lists_and_checks_out(made: Path, clone: Path, keys: tuple[Path, Path]) -> None:
    assert {file.name for file in made.iterdir()} == MADE

    checked = release(clone, "verify", "--folder", made, "--public-key", keys[1])

    assert checked.returncode == 0, checked.stderr
    commit = run("git", "rev-parse", "HEAD", cwd=clone).stdout.strip()
    assert f"at {commit}" in checked.stdout


def test_openssl_alone_can_check_it(made: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    binary = tmp_path / "sums.bin"
    decoded = run("openssl", "base64", "-d", "-A", "-in", made / "SHA256SUMS.sig", "-out", binary, cwd=tmp_path)
    assert decoded.returncode == 0
    verify = ("openssl", "dgst", "-sha256", "-verify", keys[1], "-signature", binary, made / "SHA256SUMS")

    assert "Verified OK" in run(*verify, cwd=tmp_path).stdout
    assert run("sha256sum", "--check", "SHA256SUMS", cwd=made).returncode == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"agentk-{__version__}.tar.gz", "is not what was signed"),
        ("SHA256SUMS", "signature does not fit"),
        ("provenance.intoto.jsonl", "is not what was signed"),
        ("SHA256SUMS.sig", "not signed with a key"),
    ],
)
def test_what_was_changed_or_taken_away_is_noticed(  # noqa: PLR0917 - fixtures and cases
    made: Path, clone: Path, keys: tuple[Path, Path], tmp_path: Path, name: str, said: str
) -> None:
    copy = tmp_path / "dist"
    shutil.copytree(made, copy)
    if name == "SHA256SUMS.sig":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes((copy / name).read_bytes() + b"\n")

    checked = release(clone, "verify", "--folder", copy, "--public-key", keys[1])

    assert checked.returncode == 1
    assert said in checked.stderr


def test_the_same_commit_gives_the_same_bytes_and_unsigned_is_said(made: Path, clone: Path, tmp_path: Path) -> None:
    again = release(clone, "--no-images", "--folder", tmp_path / "dist")

    assert again.returncode == 0, again.stderr
    assert "NOT SIGNED" in again.stdout
    for name in MADE - {"provenance.intoto.jsonl", "SHA256SUMS", "SHA256SUMS.sig"}:
        assert (tmp_path / "dist" / name).read_bytes() == (made / name).read_bytes(), name


def test_what_no_commit_holds_is_not_released(clone: Path, tmp_path: Path) -> None:
    stray = clone / "stray.txt"
    stray.write_text("not committed")
    try:
        done = release(clone, "--no-images", "--folder", tmp_path / "dist")
    finally:
        stray.unlink()

    assert done.returncode == 1
    assert "stray.txt" in done.stderr


def test_the_base_image_is_renewed_in_both_files(tmp_path: Path) -> None:
    """The registry is a directory here: skopeo reads both alike."""
    if shutil.which("skopeo") is None:
        pytest.fail("skopeo is missing: scripts/system-packages tests installs it")
    image, images = tmp_path / "image", tmp_path / "manifests/images"
    images.mkdir(parents=True)
    for program in ("agentk", "kas"):
        shutil.copyfile(ROOT / f"manifests/images/Containerfile.{program}", images / f"Containerfile.{program}")
    digest = _oci_layout(image)
    environment = {"ROOT": str(tmp_path), "FROM": f"oci:{image}:newest", "PATH": "/usr/bin:/bin"}

    done = subprocess.run(
        [ROOT / "scripts/base-image"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    for program in ("agentk", "kas"):
        text = (images / f"Containerfile.{program}").read_text()
        assert f"ARG BASE=docker.io/library/debian:bookworm-slim@{digest}\n" in text


def test_both_images_are_made_from_the_same_base_by_digest() -> None:
    lines = {
        line
        for program in ("agentk", "kas")
        for line in (ROOT / f"manifests/images/Containerfile.{program}").read_text().splitlines()
        if line.startswith("ARG BASE=")
    }

    assert len(lines) == 1
    assert len(lines.pop().partition("@sha256:")[2]) == 64


def _oci_layout(folder: Path) -> str:
    """Write an image without layers; return the digest of its manifest."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        digest = sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": []}
    config = put({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    kinds = "application/vnd.oci.image"
    manifest = put(
        {
            "schemaVersion": 2,
            "mediaType": f"{kinds}.manifest.v1+json",
            "config": {"mediaType": f"{kinds}.config.v1+json", **config},
            "layers": [],
        }
    )
    named = {"org.opencontainers.image.ref.name": "newest"}
    entry = {"mediaType": f"{kinds}.manifest.v1+json", **manifest, "annotations": named}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(manifest["digest"])
