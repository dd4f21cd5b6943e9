"""Files in leaves: equal files are equal leaves however they came about, and a difference is found in a few of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from kas.desired import leaves
from kas.desired.leaves import Leaves

PATHS = st.integers(0, 60).map(str)
CHANGES = st.dictionaries(PATHS, st.none() | st.sampled_from("xyz"), max_size=8)


def file(path: str, blob_id: str = "x") -> ManifestFile:
    one = ManifestObject(ObjectRef("", "ConfigMap", "", path), b"{}", 1)
    return ManifestFile(path, blob_id, (one,) * len(blob_id), len(path))


def many(count: int) -> Leaves:
    return Leaves.of(file(f"team-{number // 100:02}/cm-{number:05}.yaml") for number in range(count))


@given(one_in=st.sampled_from([1, 2, 5, 1_000]), steps=st.lists(CHANGES, max_size=8))
def test_each_version_is_what_would_be_made_of_its_files(one_in: int, steps: list[dict[str, str | None]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "_ONE_IN", one_in)
        now, plain = Leaves.of([]), dict[str, ManifestFile]()
        versions = [(now, plain)]
        for step in steps:
            changes = {path: None if blob_id is None else file(path, blob_id) for path, blob_id in step.items()}
            now = now.changed(changes)
            plain = {path: one for path, one in {**plain, **changes}.items() if one is not None}
            versions.append((now, plain))
        for one, expected in versions:
            assert one == Leaves.of(reversed(expected.values()))
            assert list(one) == [expected[path] for path in sorted(expected)]
            assert (len(one), one.objects) == (len(expected), sum(len(held.objects) for held in expected.values()))
            assert one.size == sum(held.size for held in expected.values())
            assert all(one.at(path) == expected.get(path) for path in map(str, range(61)))
            for before, was in versions:
                changed, removed = one.differing(before)
                assert changed == [expected[path] for path in sorted(expected) if was.get(path) != expected[path]]
                assert sorted(removed) == sorted(was.keys() - expected.keys())
                assert (one.digest == before.digest) == (expected == was)


def test_one_changed_file_among_many_makes_one_leaf_anew() -> None:
    before = many(20_000)
    after = before.changed({"team-77/cm-07700.yaml": file("team-77/cm-07700.yaml", "y")})
    fresh = {id(leaf) for leaf in after.leaves} - {id(leaf) for leaf in before.leaves}
    assert len(fresh) == 1
    assert 100 < len(before.leaves) < 250
    assert max(len(leaf.files) for leaf in before.leaves) < 1_500


def test_leaves_with_the_digest_of_others_are_not_looked_into() -> None:
    before, after = many(20_000), many(20_001)
    changed, removed = after.differing(before)
    assert ([one.path for one in changed], removed) == (["team-200/cm-20000.yaml"], [])
