"""Which files globs select, and how little time a hostile one takes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcmatch import glob as wcglob

from agentlink.manifests.model import Limits, ManifestError
from kas.desired.globs import GlobError, check_glob, compile_patterns
from kas.desired.model import TreeEntry
from kas.desired.select import check_sizes, compile_globs
from kas.desired.tree import Paths, TreeChange

CASES = json.loads((Path(__file__).parent / "cases" / "glob-cases.json").read_text(encoding="utf-8"))
# Where wcmatch's answer is the better one: [!1] is what a person means by it, and // is /.
BETTER = {"a/b[!1]/x.yaml": ["a/b2/x.yaml"], "a//x.yaml": ["a/x.yaml"]}
LIMITS = Limits()
WCMATCH = wcglob.GLOBSTAR | wcglob.BRACE | wcglob.DOTGLOB | wcglob.CASE | wcglob.FORCEUNIX


def entry(path: str, mode: str = "100644", blob_id: str = "blob") -> TreeEntry:
    return TreeEntry(path, blob_id, mode)


def select(globs: list[str], *paths: str, limits: Limits = LIMITS) -> list[str]:
    selected = compile_globs(globs, limits).select(Paths([entry(path) for path in paths])).files
    return [path for path in paths if path in selected]


def refusal(globs: list[str], *entries: TreeEntry, limits: Limits = LIMITS) -> ManifestError:
    def selected() -> None:
        selector = compile_globs(globs, limits)
        selector.check_count(selector.select(Paths(entries)))

    with pytest.raises(ManifestError) as caught:
        selected()
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


def test_a_symbolic_link_is_selected_like_a_file_and_left_to_who_can_follow_it() -> None:
    assert select(["**/*.yaml"], "a.yaml") == ["a.yaml"]
    selected = compile_globs(["**/*.yaml"], LIMITS).select(Paths([entry("b/c.yaml", mode="120000")]))
    assert selected.files["b/c.yaml"].is_link


def test_more_files_than_the_limit_are_refused() -> None:
    assert refusal(["*.yaml"], entry("a.yaml"), entry("b.yaml"), limits=Limits(files=1)).reason == "TooManyFiles"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(file_bytes=5), "FileTooLarge"), (Limits(project_bytes=10), "ProjectTooLarge")],
)
def test_larger_files_than_the_limits_are_refused(limits: Limits, reason: str) -> None:
    files, sizes = [entry("a.yaml", blob_id="a"), entry("b.yaml", blob_id="b")], {"a": 6, "b": 5}
    check_sizes(files, sizes, LIMITS)
    with pytest.raises(ManifestError) as caught:
        check_sizes(files, sizes, limits)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("globs", "roots"),
    [
        ([], ("",)),
        (["/team/app/**/*.yaml"], ("team/app/",)),
        (["team/app/one.yaml", "/team/**"], ("team/",)),
        (["{a,b/c}/*.yaml"], ("a/", "b/c/")),
        (["a/b*/c/*.yaml", "a/[bc]/d", "ab/c"], ("a/", "ab/")),
        (["**/a.yaml", "b/c.yaml"], ("",)),
        (["one.yaml"], ("",)),
    ],
)
def test_globs_match_below_the_directories_that_they_write_out(globs: list[str], roots: tuple[str, ...]) -> None:
    assert compile_globs(globs, LIMITS).roots == roots


@given(st.lists(GLOBS, min_size=1, max_size=3), st.lists(PATHS, max_size=20, unique=True))
def test_looking_below_the_roots_alone_finds_what_matching_every_path_finds(globs: list[str], paths: list[str]) -> None:
    selector = compile_globs(globs, LIMITS)
    entries = [entry(path) for path in paths]
    everything = replace(selector, roots=("",)).select(Paths(entries))
    assert selector.select(Paths(entries)) == everything


@pytest.mark.parametrize(
    ("glob", "module", "meant"),
    [
        ("/**/*.yaml", "a/b", True),
        ("/a/**/*.yaml", "a/b", True),
        ("/a/b/c/*.yaml", "a/b", True),
        ("/a/b/c/*.yaml", "a", True),
        ("/a/c/*.yaml", "a/b", False),
        ("/a/*.yaml", "ab", False),
    ],
)
def test_a_submodule_that_globs_may_mean_files_of_is_noted(glob: str, module: str, *, meant: bool) -> None:
    selected = compile_globs([glob], LIMITS).select(Paths([entry(module, mode="160000")]))
    assert (list(selected.submodules), dict(selected.files)) == ([module] if meant else [], {})


TREES = st.dictionaries(
    PATHS, st.tuples(st.sampled_from(["100644", "100755", "120000", "160000"]), st.sampled_from("xyz")), max_size=12
)


@given(st.lists(GLOBS, min_size=1, max_size=3), st.lists(TREES, min_size=2, max_size=4))
def test_following_changes_selects_what_selecting_anew_selects(
    globs: list[str], trees: list[dict[str, tuple[str, str]]]
) -> None:
    selector = compile_globs(globs, LIMITS)
    commits = [{path: TreeEntry(path, blob, mode) for path, (mode, blob) in tree.items()} for tree in trees]
    selection = selector.select(Paths(commits[0].values()))
    for old, new in pairwise(commits):
        changed = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]
        followed = selector.follow(selection, Paths([TreeChange(path, new.get(path)) for path in changed]))
        anew = selector.select(Paths(new.values()))
        assert followed == anew
        assert (followed is selection) == (selector.select(Paths(old.values())) == anew)
        selection = followed


def test_more_globs_than_the_limit_are_refused() -> None:
    assert refusal(["a"] * 101).reason == "TooManyPaths"
