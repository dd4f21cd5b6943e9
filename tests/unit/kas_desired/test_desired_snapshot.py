"""A snapshot holds no object twice, and its digest tells revisions apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentlink.manifests.model import Limits, ManifestError, ManifestFile
from agentlink.manifests.parse import parse_file
from kas.desired.snapshot import amend_snapshot, build_snapshot

if TYPE_CHECKING:
    from kas.desired.model import Snapshot

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
IN_DEFAULT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: team}\n"
OLD = "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n"
NEW = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"


def file(path: str, text: str, blob_id: str = "blob") -> ManifestFile:
    return parse_file(path, blob_id, text.encode(), Limits())


def build(*files: ManifestFile) -> Snapshot:
    return build_snapshot("c0ffee", files, "team")


@pytest.mark.parametrize(
    ("first", "second"),
    [(CONFIG_MAP, CONFIG_MAP), (CONFIG_MAP, IN_DEFAULT), (OLD, NEW)],
    ids=["same", "namespace", "version"],
)
def test_one_object_in_two_files_is_refused_with_both_places(first: str, second: str) -> None:
    with pytest.raises(ManifestError) as caught:
        build(file("b.yaml", second), file("a.yaml", "# c\n" + first))
    assert caught.value.reason == "DuplicateObject"
    assert (caught.value.path, caught.value.line) == ("b.yaml", 1)
    assert "a.yaml:2" in str(caught.value)


def test_one_object_twice_in_a_file_is_refused_with_both_lines() -> None:
    with pytest.raises(ManifestError, match=r"^a\.yaml:5: configmap/a is also declared at a\.yaml:1;"):
        build(file("a.yaml", CONFIG_MAP + "---\n" + CONFIG_MAP))


def test_one_object_twice_in_a_list_is_refused_with_the_lines_of_the_items() -> None:
    text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- metadata: {name: a}\n"
    with pytest.raises(ManifestError, match=r"^a\.yaml:5: .* a\.yaml:4;"):
        build(file("a.yaml", text))


def test_equal_names_of_other_groups_kinds_and_namespaces_are_other_objects() -> None:
    other = IN_DEFAULT.replace("team", "other")
    snapshot = build(file("a.yaml", "---\n".join([CONFIG_MAP, other, NEW, NEW.replace("apps", "other.io")])))
    assert snapshot.files.objects == 4


def test_files_are_sorted_and_the_digest_does_not_depend_on_their_order() -> None:
    a, b = file("a.yaml", CONFIG_MAP), file("b.yaml", NEW)
    assert build(a, b) == build(b, a)
    assert [found.path for found in build(b, a).files] == ["a.yaml", "b.yaml"]
    assert len(build(a, b).digest) == 16


def test_another_path_or_blob_is_another_digest() -> None:
    digests = {
        build(*files).digest
        for files in (
            [file("a.yaml", CONFIG_MAP)],
            [file("b.yaml", CONFIG_MAP)],
            [file("a.yaml", CONFIG_MAP, "other")],
            [file("a.yaml", CONFIG_MAP), file("b.yaml", "")],
        )
    }
    assert len(digests) == 4


@pytest.mark.parametrize("text", ["", "# commented out\n", "---\n---\n", "apiVersion: v1\nkind: List\nitems: []\n"])
def test_files_without_any_object_are_an_empty_selection_and_no_wish_to_prune_all(text: str) -> None:
    with pytest.raises(ManifestError, match="nothing was applied or pruned") as caught:
        build(file("a.yaml", text))
    assert caught.value.reason == "EmptySelection"
    assert build(file("a.yaml", text), file("b.yaml", CONFIG_MAP)).files


PATHS = st.integers(0, 600).map("{:03}.yaml".format)
NAMED = st.lists(st.sampled_from(["a", "b", "c", "a, namespace: team", "a, namespace: other"]), max_size=2)
CHANGES = st.dictionaries(PATHS, st.none() | NAMED, max_size=6)


@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_a_snapshot_amended_again_and_again_is_the_one_built_of_all_files(
    revisions: list[dict[str, list[str] | None]],
) -> None:
    def made(path: str, names: list[str]) -> ManifestFile:
        text = "---\n".join(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n" for name in names)
        return file(path, text, f"{path} {names}")

    files = {path: made(path, [f"of-{path}"]) for path in map("{:03}.yaml".format, range(0, 600, 2))}
    now = build_snapshot("c0ffee", [*files.values()], "team")
    for number, revision in enumerate(revisions):
        changes = {path: None if names is None else made(path, names) for path, names in revision.items()}
        after = {path: one for path, one in {**files, **changes}.items() if one is not None}
        amended = amend_snapshot(now, str(number), changes, "team")
        try:
            whole = build_snapshot(str(number), [*after.values()], "team")
        except ManifestError:
            assert amended is None
            continue
        assert amended is not None
        assert (amended, amended.digest, amended.names) == (whole, whole.digest, whole.names)
        files, now = after, amended


def test_a_snapshot_of_which_nothing_is_left_is_not_amended() -> None:
    assert amend_snapshot(build(file("a.yaml", CONFIG_MAP)), "c0ffee", {"a.yaml": None}, "team") is None
