"""Certificates made by openssl, and files with all kinds of modes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agentlink.findings import Level
from kas.check.certificates import check_certificate
from kas.check.files import check_data_directory, check_secret_file, check_temporary_directory
from tests.support.authority import make_authority, make_expired

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


def test_a_good_certificate_is_told_with_its_names(tmp_path: Path) -> None:
    tls = make_authority(tmp_path).server

    finding = check_certificate("api", tls.certificate, tls.key, NOW)

    assert finding.level is Level.OK
    assert "localhost" in finding.message


def test_an_expired_certificate_fails(tmp_path: Path) -> None:
    tls = make_expired(tmp_path)

    finding = check_certificate("api", tls.certificate, tls.key, NOW)

    assert finding.level is Level.FAILED
    assert "has expired" in finding.message


def test_a_certificate_that_expires_soon_is_a_warning(tmp_path: Path) -> None:
    tls = make_authority(tmp_path, validity=("-days", "3")).server

    assert check_certificate("api", tls.certificate, tls.key, NOW).level is Level.WARNING


def test_a_key_of_another_certificate_fails(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tls, other = make_authority(tmp_path).server, make_authority(tmp_path / "other").server

    finding = check_certificate("api", tls.certificate, other.key, NOW)

    assert finding.level is Level.FAILED
    assert "is not the key of" in finding.message


def test_files_that_are_missing_or_hold_something_else_fail(tmp_path: Path) -> None:
    tls = make_authority(tmp_path).server
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("hidden-word")

    absent = check_certificate("api", tls.certificate, tmp_path / "absent", NOW)
    unusable = check_certificate("api", nonsense, tls.key, NOW)

    assert absent.level is Level.FAILED
    assert "absent cannot be read" in absent.message
    assert unusable.level is Level.FAILED
    assert "hidden-word" not in unusable.message


@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, Level.OK), (0o440, Level.OK), (0o660, Level.WARNING), (0o604, Level.FAILED)]
)
def test_modes_of_a_secret_are_judged(tmp_path: Path, mode: int, level: Level) -> None:
    file = tmp_path / "secret"
    file.write_text("hidden-word")
    file.chmod(mode)

    finding = check_secret_file("secret", file)

    assert finding.level is level
    assert "hidden-word" not in finding.message


def test_an_empty_or_missing_secret_fails(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    for name in ("empty", "absent"):
        assert check_secret_file("secret", tmp_path / name).level is Level.FAILED
    assert check_secret_file("secret", tmp_path).level is Level.FAILED


def test_a_data_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    findings = check_data_directory(tmp_path / "file" / "data")

    assert [finding.level for finding in findings] == [Level.FAILED]


def test_a_long_temporary_directory_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_temporary_directory().level is Level.OK
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    assert check_temporary_directory().level is Level.FAILED
