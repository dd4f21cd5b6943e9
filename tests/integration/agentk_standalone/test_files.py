"""Which files ``agentk apply`` reads, and what it says of those it cannot use."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agentk.standalone.files import Manifests
from agentlink.manifests.model import Limits, ManifestError

ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
TWO = ONE.replace("one", "two")


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def read(*sources: Path | str, stdin: str = "", limits: Limits | None = None) -> dict[str, tuple[bytes, ...]]:
    manifests = Manifests(limits)
    manifests.read([Path(source) for source in sources], io.BytesIO(stdin.encode()))
    return manifests.files


def refusal(*sources: Path | str, stdin: str = "", limits: Limits | None = None) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read(*sources, stdin=stdin, limits=limits)
    return caught.value


def test_a_directory_is_searched_for_yaml_and_json_in_a_steady_order(tmp_path: Path) -> None:
    write(tmp_path, **{"b.yaml": ONE, "a__c.YML": TWO, "a__d.txt": "no manifest", "empty.yaml": "# nothing\n"})
    write(tmp_path, **{"a__e.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "three"}}'})
    assert list(read(tmp_path)) == [str(tmp_path / "b.yaml"), str(tmp_path / "a/c.YML"), str(tmp_path / "a/e.json")]


def test_hidden_directories_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, **{".git__a.yaml": ONE, ".hidden.yaml": TWO})
    assert list(read(tmp_path)) == [str(tmp_path / ".hidden.yaml")]


def test_a_file_that_is_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, manifest=f"{ONE}---\n{TWO}")
    assert [len(objects) for objects in read(tmp_path / "manifest").values()] == [2]


def test_standard_input_is_a_source_among_others(tmp_path: Path) -> None:
    write(tmp_path, **{"a.yaml": ONE})
    assert list(read(tmp_path, "-", stdin=TWO)) == [str(tmp_path / "a.yaml"), "stdin"]


def test_a_mistake_is_told_with_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, **{"a.yaml": f"{ONE}---\nkind: ConfigMap\n"})
    assert str(refusal(tmp_path)) == f"{tmp_path}/a.yaml:5: apiVersion is missing"


def test_finding_nothing_is_an_error_that_says_where_was_looked(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, **{"a.txt": ONE}))
    assert error.reason == "EmptySelection"
    assert str(tmp_path) in str(error)


def test_a_symlink_is_followed_within_the_directory_and_no_further(tmp_path: Path) -> None:
    write(tmp_path, **{"in__a.yaml": ONE, "out__b.yaml": TWO})
    (tmp_path / "in/link.yaml").symlink_to("a.yaml")
    assert len(read(tmp_path / "in")) == 2
    (tmp_path / "in/away.yaml").symlink_to(tmp_path / "out/b.yaml")
    error = refusal(tmp_path / "in")
    assert (error.reason, error.path) == ("SymlinkRefused", str(tmp_path / "in/away.yaml"))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(file_bytes=60), "FileTooLarge"),
        (Limits(project_bytes=80), "ProjectTooLarge"),
        (Limits(files=1), "TooManyFiles"),
        (Limits(yaml_depth=1), "TooDeep"),
    ],
)
def test_what_is_too_much_is_refused(tmp_path: Path, limits: Limits, reason: str) -> None:
    write(tmp_path, **{"a.yaml": ONE, "b.yaml": TWO + "# a comment that takes room\n"})
    assert refusal(tmp_path, limits=limits).reason == reason


def test_a_broken_symlink_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    assert refusal(tmp_path).reason == "Unreadable"
