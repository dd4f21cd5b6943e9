"""Trees read object by object, against what the same files give when they are looked at one by one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kas.desired.model import TreeEntry
from kas.desired.tree import TreeChange
from kas.git.trees import NotPlainError, compare_trees, list_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OLD, NEW = "0" * 40, "1" * 40

Files = dict[str, tuple[str, str]]
"""Mode and id by path."""


class Objects:
    """What is in a repository, by id."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def commit(self, name: str, files: Files) -> None:
        self.held[f"{name}^{{tree}}"] = self._tree(files)

    def read(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        return [(name, self.held[name]) if name in self.held else None for name in names]

    def _tree(self, files: Mapping[str, tuple[str, str]]) -> bytes:
        below: dict[str, Files] = {}
        entries: dict[str, tuple[str, str]] = {}
        for path, value in files.items():
            folder, slash, rest = path.partition("/")
            if slash:
                below.setdefault(folder, {})[rest] = value
            else:
                entries[path] = value
        for folder, inner in below.items():
            content = self._tree(inner)
            object_id = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            self.held[object_id] = content
            entries[folder] = "40000", object_id
        # Git's order: a folder as if a slash followed its name.
        ordered = sorted(entries.items(), key=lambda one: one[0] + ("/" if one[1][0] == "40000" else ""))
        return b"".join(b"%b %b\0%b" % (m.encode(), n.encode(), bytes.fromhex(i)) for n, (m, i) in ordered)


names = st.sampled_from(["a", "a.b", "a-b", "b", "z", "é"])
values = st.tuples(st.sampled_from(["100644", "100755", "120000", "160000"]), st.sampled_from(["2" * 40, "3" * 40]))


@st.composite
def some_files(draw: st.DrawFn) -> Files:
    files: Files = {}
    for parts in draw(st.lists(st.lists(names, min_size=1, max_size=4), max_size=12)):
        path = "/".join(parts)
        # What is a file is no folder.
        if not any(path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in files):
            files[path] = draw(values)
    return files


@given(some_files(), some_files())
def test_a_listing_has_every_file_and_a_difference_what_differs(old: Files, new: Files) -> None:
    objects = Objects()
    objects.commit(OLD, old)
    objects.commit(NEW, new)
    listed = list_tree(NEW, objects.read)
    assert listed == tuple(TreeEntry(path, new[path][1], new[path][0]) for path in sorted(new, key=str.encode))
    changes = {path: new.get(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    assert compare_trees(OLD, NEW, objects.read) == tuple(
        TreeChange(path, None if now is None else TreeEntry(path, now[1], now[0]))
        for path, now in sorted(changes.items(), key=lambda one: one[0].encode())
    )


def test_a_difference_reads_no_more_than_what_leads_to_it() -> None:
    objects = Objects()
    asked: list[str] = []

    def read(names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        asked.extend(names)
        return objects.read(names)

    files = {f"team-{team}/app/{number}.yaml": ("100644", "2" * 40) for team in range(200) for number in range(3)}
    objects.commit(OLD, files)
    objects.commit(NEW, {**files, "team-7/app/1.yaml": ("100644", "3" * 40)})
    (change,) = compare_trees(OLD, NEW, read) or ()
    assert (change.path, len(asked)) == ("team-7/app/1.yaml", 6)


def test_what_is_not_here_is_told() -> None:
    objects = Objects()
    objects.commit(OLD, {"a/b": ("100644", "2" * 40)})
    assert compare_trees(OLD, NEW, objects.read) is None
    assert list_tree(NEW, objects.read) is None
    for name in [name for name in objects.held if not name.startswith(OLD)]:
        del objects.held[name]
    assert list_tree(OLD, objects.read) is None


def test_a_tree_that_explodes_is_left_to_git() -> None:
    objects = Objects()
    objects.commit(OLD, {})
    inner = b"100644 file\0" + bytes(20)
    for _ in range(10):  # ten folders with ten folders with ... the same file
        object_id = hashlib.sha1(inner, usedforsecurity=False).hexdigest()
        objects.held[object_id] = inner
        inner = b"".join(b"40000 %d\0%b" % (number, bytes.fromhex(object_id)) for number in range(10))
    objects.held[f"{NEW}^{{tree}}"] = inner
    with pytest.raises(NotPlainError):
        list_tree(NEW, objects.read)
    with pytest.raises(NotPlainError):
        compare_trees(OLD, NEW, objects.read)


@pytest.mark.parametrize(
    "content", [b"tree", b"100644 name\0short", b"040000 old\0" + bytes(20), b"100644 a\0" + bytes(20) + b"x"]
)
def test_what_is_no_tree_as_git_writes_them_is_left_to_git(content: bytes) -> None:
    objects = Objects()
    objects.held[f"{NEW}^{{tree}}"] = content
    with pytest.raises(NotPlainError):
        list_tree(NEW, objects.read)
