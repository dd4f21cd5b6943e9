"""Files are packed and give back what was put in, whatever happens to them from revision to revision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.files import Files

PATHS = st.sampled_from([f"{letter}.yaml" for letter in "abcdefgh"])
TEXTS = st.lists(st.binary(max_size=40), max_size=3).map(tuple)
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "more", "remove"]), PATHS, TEXTS), max_size=12)


@given(st.lists(CHANGES, max_size=6))
def test_revision_after_revision_holds_what_a_dictionary_would(
    revisions: list[list[tuple[str, str, tuple[bytes, ...]]]],
) -> None:
    files, plain = Files.of({}), dict[str, tuple[bytes, ...]]()
    for changes in revisions:
        packing, before, was = files.changing(), files, dict(plain)
        for what, path, texts in changes:
            if what == "remove":
                packing.remove(path)
                plain.pop(path, None)
            else:
                packing.put(path, texts, more=what == "more")
                plain[path] = plain.get(path, ()) + texts if what == "more" else texts
        files = packing.finish()
        assert files == plain
        assert files.objects == sum(map(len, plain.values()))
        assert before == was
        assert set(files.differing(before)) == {path for path in plain if was.get(path) != plain[path]}


def test_files_keep_the_order_in_which_they_came() -> None:
    packing = Files.of({"c": (b"1",), "a": (b"2",), "b": (b"3",)}).changing()
    packing.put("a", (b"4",))
    packing.put("d", ())
    packing.remove("b")
    assert list(packing.finish().items()) == [("c", (b"1",)), ("a", (b"4",)), ("d", ())]


def test_what_is_packed_is_not_packed_again() -> None:
    files = Files.of({"a": (b"1", b"2"), "b": (b"3",)})
    assert Files.of(files) is files
    assert files.only(["a", "gone"]) == {"a": (b"1", b"2")}
    assert files.only(["a"]).objects == 2
    assert not files.only(["a"]).differing(files)


def manifest(number: int, value: str = "") -> bytes:
    return b'{"data":{"value":"%b"},"kind":"ConfigMap","metadata":{"name":"cm-%05d"}}' % (value.encode(), number)


def kept(files: Files) -> tuple[int, int]:
    """Return how many bundles there are, and their bytes."""
    return len(files._in_force), sum(len(bundle.packed) for bundle in files._in_force)


def test_many_similar_files_take_a_tenth_of_their_text() -> None:
    files = Files.of({f"{number}.yaml": (manifest(number),) for number in range(2_000)})
    assert kept(files)[1] * 10 < sum(len(manifest(number)) for number in range(2_000))


@pytest.mark.parametrize("step", [1, 997], ids=["in order", "far apart"])
def test_thousands_of_commits_leave_no_more_behind_than_one(step: int) -> None:
    paths = [f"{number}.yaml" for number in range(2_000)]
    files = Files.of({path: (manifest(number),) for number, path in enumerate(paths)})
    bundles, size = kept(files)
    for turn in range(4_000):
        number = turn * step % 2_000
        packing = files.changing()
        packing.put(paths[number], (manifest(number, f"v{turn % 10}"),))
        files = packing.finish()
    assert kept(files)[0] < 3 * bundles + 40
    assert kept(files)[1] < 6 * size
