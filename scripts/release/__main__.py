"""Make a release, or check one.

``python -m scripts.release`` writes into ``dist/``; ``python -m scripts.release verify --public-key FILE`` checks what
somebody else made. ``docs/release.md`` says what each file is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentlink import __version__
from scripts.release import making
from scripts.release.bill import bill_of_materials, licence_texts
from scripts.release.contents import image_parts, installed_parts, manifest_digest, pinned
from scripts.release.provenance import Build, statement
from scripts.release.signing import Key, PublicKey, SigningError

if TYPE_CHECKING:
    from collections.abc import Sequence

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = f"{SUMS}.sig"
BUNDLE: Final = f"{SUMS}.sigstore.json"
PROVENANCE: Final = "provenance.intoto.json"
ENVELOPE: Final = "provenance.intoto.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when it is done, 1 when it could not be, 2 for a wrong call."""
    options = _options().parse_args(argv)
    try:
        if options.command == "verify":
            _verify(options.folder, PublicKey(options.public_key))
        else:
            _make(options.folder, options.key, with_images=not options.no_images)
    except (making.ReleaseError, SigningError, ValueError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make release", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=["make", "verify"], default="make")
    parser.add_argument("--folder", type=Path, default=making.ROOT / "dist")
    parser.add_argument("--key", type=Path, help="PEM file with the key that signs; RELEASE_KEY_PASSWORD opens it")
    parser.add_argument("--public-key", type=Path, help="PEM file with the key that checks")
    parser.add_argument("--no-images", action="store_true", help="leave the images out")
    return parser


def _make(folder: Path, key_file: Path | None, *, with_images: bool) -> None:
    started = datetime.now(UTC)
    key = Key(key_file, os.environ.get("RELEASE_KEY_PASSWORD", "")) if key_file else None
    commit, at = making.commit(), making.commit_time()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    print(f"release {__version__} of {commit[:8]}")
    for file in making.distribution(folder):
        print(f"  {file.name}")
    parts = installed_parts(pinned(making.ROOT / "requirements/runtime.txt"))
    identity = bytes.fromhex(making.digest_of(next(folder.glob("*.whl"))))
    _write(
        folder / f"agentk-{__version__}.cdx.json",
        bill_of_materials("agentk", __version__, parts, at=at, digest=identity),
    )
    _write(
        folder / "third-party-licenses.txt",
        licence_texts(f"What agentk and kas {__version__} are installed with", parts),
    )
    subjects: dict[str, str] = {}
    if with_images:
        for program, archive in making.images(folder).items():
            digest = manifest_digest(archive).removeprefix("sha256:")
            subjects[f"image {program}"] = digest
            inside = image_parts(archive)
            bill = bill_of_materials(f"image {program}", __version__, inside, at=at, digest=bytes.fromhex(digest))
            _write(folder / f"image-{program}-{__version__}.cdx.json", bill)
            _write(
                folder / f"image-{program}-{__version__}.licenses.txt",
                licence_texts(f"What the image {program} {__version__} holds", inside),
            )
            print(f"  {archive.name}, sha256:{digest}")
    subjects |= {file.name: making.digest_of(file) for file in sorted(folder.iterdir())}

    build = Build(
        version=__version__,
        repository=making.repository(),
        commit=commit,
        builder=os.environ.get("CI_SERVER_URL", "local"),
        invocation=os.environ.get("CI_JOB_URL", "local"),
        started=started,
        finished=datetime.now(UTC),
        materials=_materials(with_images=with_images),
    )
    said = statement(build, subjects)
    if key:
        _write(folder / ENVELOPE, key.envelope(said))
    else:
        _write(folder / PROVENANCE, json.dumps(said, indent=1) + "\n")
    sums = "".join(f"{making.digest_of(file)}  {file.name}\n" for file in sorted(folder.iterdir()))
    _write(folder / SUMS, sums)
    _sign(folder, key)


def _materials(*, with_images: bool) -> dict[str, tuple[str, str]]:
    names = ("requirements/runtime.txt", "requirements/build.txt")
    materials = {f"file:{name}": ("sha256", making.digest_of(making.ROOT / name)) for name in names}
    name, at, digest = making.base_image().partition("@")
    if with_images and at:
        algorithm, _, digits = digest.partition(":")
        materials[f"docker://{name}"] = (algorithm, digits)
    return materials


def _sign(folder: Path, key: Key | None) -> None:
    """Sign with the key, and without one where CI lends an identity (keyless)."""
    sums = folder / SUMS
    if key:
        _write(folder / SIGNATURE, key.sign(sums.read_bytes()) + "\n")
    if os.environ.get("SIGSTORE_ID_TOKEN"):
        if shutil.which("sigstore") is None:
            raise making.ReleaseError("there is a SIGSTORE_ID_TOKEN and no sigstore to use it: pip install sigstore")
        # It finds the token in the environment by itself; as an argument every process could read it.
        subprocess.run(["sigstore", "sign", "--bundle", str(folder / BUNDLE), str(sums)], check=True, timeout=300)
        print(f"  {BUNDLE}")
    elif not key:
        print("NOT SIGNED: name a key (make release KEY=release.key), or run in CI with an id_token for sigstore")


def _verify(folder: Path, key: PublicKey) -> None:
    """Check signatures, sums and provenance.

    Raises:
        ReleaseError: A file is missing, changed, or not what the provenance names.
        SigningError: Something is not signed by this key.
    """
    for name in (SUMS, SIGNATURE, ENVELOPE):
        if not (folder / name).is_file():
            raise making.ReleaseError(f"{folder / name} is missing: this release is not signed with a key")
    sums = (folder / SUMS).read_bytes()
    key.check(sums, (folder / SIGNATURE).read_text())
    listed: dict[str, str] = {}
    for line in sums.decode().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    for name, digest in listed.items():
        if "/" in name or not (folder / name).is_file():
            raise making.ReleaseError(f"{name} is missing")
        if making.digest_of(folder / name) != digest:
            raise making.ReleaseError(f"{name} is not what was signed")
    said = key.opened((folder / ENVELOPE).read_text())
    for subject in said["subject"]:
        if not subject["name"].startswith("image ") and listed.get(subject["name"]) != subject["digest"]["sha256"]:
            raise making.ReleaseError(f"the provenance speaks of another {subject['name']}")
    source = said["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    print(f"{len(listed)} files are as they were signed; built from {source['uri']} at {source['digest']['gitCommit']}")


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    print(f"  {file.name}")


if __name__ == "__main__":
    sys.exit(main())
