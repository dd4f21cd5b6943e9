"""Which files globs select, and how little time a hostile one takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcmatch import glob as wcglob

from agentlink.manifests.model import Limits, ManifestError
from kas.desired.globs import GlobError, check_glob, compile_patterns
from kas.desired.model import TreeEntry
from kas.desired.select import compile_globs

CASES = json.loads((Path(__file__).parent / "cases" / "glob-cases.json").read_text(encoding="utf-8"))
# Where wcmatch's answer is the better one: [!1] is what a person means by it, and // is /.
BETTER = {"a/b[!1]/x.yaml": ["a/b2/x.yaml"], "a//x.yaml": ["a/x.yaml"]}
LIMITS = Limits()
WCMATCH = wcglob.GLOBSTAR | wcglob.BRACE | wcglob.DOTGLOB | wcglob.CASE | wcglob.FORCEUNIX


def entry(path: str, mode: str = "100644", size: int = 1) -> TreeEntry:
    return TreeEntry(path, "blob", mode, size)


def select(globs: list[str], *paths: str, limits: Limits = LIMITS) -> list[str]:
    return [found.path for found in compile_globs(globs, limits).select([entry(path) for path in paths])]


def refusal(globs: list[str], *entries: TreeEntry, limits: Limits = LIMITS) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        compile_globs(globs, limits).select(entries)
    return caught.value


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["glob"])
def test_a_glob_matches_what_gitlabs_matcher_matches(case: dict[str, list[str]]) -> None:
    glob = str(case["glob"])
    if case.get("error"):
        with pytest.raises(GlobError):
            compile_patterns([glob])
        return
    pattern = compile_patterns([glob])
    assert [path for path in CASES["paths"] if pattern.fullmatch(path)] == BETTER.get(glob, case["matches"])


def test_the_default_globs_take_manifests_anywhere_but_below_dot_directories() -> None:
    paths = (
        "a.yaml",
        "b/c.yml",
        "b/.d.json",
        ".e.yaml",
        "f.YAML",
        "g.txt",
        ".h/i.yaml",
        "j/.k/l.yaml",
        "m/.n/o/p.yaml",
    )
    assert select([], *paths) == ["a.yaml", "b/c.yml", "b/.d.json", ".e.yaml"]


def test_one_leading_slash_is_dropped() -> None:
    assert select(["/a/*.yaml"], "a/b.yaml", "c/a/b.yaml") == ["a/b.yaml"]


def test_a_file_that_several_globs_match_is_selected_once() -> None:
    assert select(["**/*.yaml", "a/*"], "a/b.yaml") == ["a/b.yaml"]


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.{yaml}", "a.yaml"),
        ("{a,b/**}/*.yaml", "b/c/d/e.yaml"),
        (r"a\{b\}.yaml", "a{b}.yaml"),
        ("a/**/**/b.yaml", "a/b.yaml"),
        ("[{]a.yaml", "{a.yaml"),
        ("a[[:digit:]].yaml", "a1.yaml"),
        ("**/*.yaml", "a\udcff/b\n.yaml"),
        ("a,b}.yaml", "a,b}.yaml"),
    ],
)
def test_a_rare_glob_matches(glob: str, path: str) -> None:
    assert select([glob], path) == [path]


@pytest.mark.parametrize(
    "glob",
    [
        "../*.yaml",
        "a/../b",
        "a/./b",
        "./a",
        "/..",
        "//a",
        "",
        "/",
        "a/",
        "{..,a}/b",
        "a\\",
        "a\\/b",
        "[a/b]",
        "[]",
        "{a",
        "a\x1bb",
    ],
)
def test_a_glob_that_leaves_the_repository_or_is_malformed_is_refused(glob: str) -> None:
    assert refusal([glob]).reason == "InvalidGlob"


@pytest.mark.parametrize(
    "glob", ["a" * 1025, "{a,b}" * 60, "{" * 400 + "a" + "}" * 400, "{" + "," * 1001 + "}", "{a,b}" * 8 + "c" * 900]
)
def test_a_glob_that_would_expand_without_end_is_refused(glob: str) -> None:
    assert refusal([glob]).reason == "InvalidGlob"


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 400 + "b", "a" * 4000),
        ("*?a" * 300 + "b", "a" * 4000),
        ("**/" * 300 + "b", "a/" * 2000 + "c"),
        ("**/a/" * 200 + "b", "a/" * 2000 + "c"),
        ("**/*a*a*a/" * 80 + "b", "/".join(["a" * 50] * 80)),
        ("**/" + "*a/" * 300 + "b", "a/" * 2000 + "c"),
    ],
)
def test_a_hostile_glob_matches_in_time(glob: str, path: str) -> None:
    # Backtracking would take longer than the age of the universe, and pytest's time limit ends that.
    assert not compile_patterns([glob]).fullmatch(path)


SEGMENTS = st.text(alphabet="ab.*?", min_size=1, max_size=4).filter(lambda text: text not in {".", ".."})
GLOBS = st.lists(st.one_of(SEGMENTS, st.just("**"), st.just("[ab]"), st.just("{a,b*}")), min_size=1, max_size=5).map(
    "/".join
)
PATHS = st.lists(
    st.text(alphabet="ab.", min_size=1, max_size=4).filter(lambda text: text not in {".", ".."}), min_size=1, max_size=5
).map("/".join)


@given(GLOBS, PATHS)
def test_any_glob_matches_what_wcmatch_matches(glob: str, path: str) -> None:
    ours = compile_patterns([glob]).fullmatch(path) is not None
    assert ours == wcglob.globmatch(path, glob, flags=WCMATCH)


@given(st.text(max_size=60), PATHS)
def test_any_text_is_a_glob_or_an_error(glob: str, path: str) -> None:
    try:
        check_glob(glob)
    except GlobError as error:
        assert str(error).isprintable()  # noqa: PT017 - raising is one of two right answers
    else:
        compile_patterns([glob]).fullmatch(path)


def test_an_empty_selection_names_the_globs_and_says_that_nothing_was_pruned() -> None:
    error = refusal(["a/*.yaml", "b"], entry("c.yaml"))
    assert error.reason == "EmptySelection"
    assert str(error) == "no file matches 'a/*.yaml', 'b'; nothing was applied or pruned"


def test_submodules_are_no_files() -> None:
    assert refusal(["a"], entry("a", mode="160000")).reason == "EmptySelection"


def test_a_selected_symbolic_link_is_refused_by_name() -> None:
    error = refusal(["**/*.yaml"], entry("a.yaml"), entry("b/c.yaml", mode="120000"))
    assert (error.reason, error.path) == ("SymlinkRefused", "b/c.yaml")
    assert compile_globs(["a*"], LIMITS).select([entry("a.yaml"), entry("b", mode="120000")])


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(files=1), "TooManyFiles"),
        (Limits(file_bytes=5), "FileTooLarge"),
        (Limits(project_bytes=10), "ProjectTooLarge"),
    ],
)
def test_more_than_the_limits_is_refused(limits: Limits, reason: str) -> None:
    entries = [entry("a.yaml", size=6), entry("b.yaml", size=5)]
    assert refusal(["*.yaml"], *entries, limits=limits).reason == reason
    assert len(compile_globs(["*.yaml"], LIMITS).select(entries)) == 2


def test_more_globs_than_the_limit_are_refused() -> None:
    assert refusal(["a"] * 101).reason == "TooManyPaths"
