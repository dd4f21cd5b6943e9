"""Whatever stands for a glob: an expression that compiles and matches in bounds, or ``GlobError``."""

from __future__ import annotations

from kas.desired.globs import GlobError, check_glob, compile_patterns, roots_of
from tests.fuzz.inputs import fuzz, text

PATHS = ("a/b.yaml", "x/" * 200 + "y", "a" * 400, "z-a", "[", "\udcff/é", "a/a/a/b/b/b/x.yaml", "(a|b)\n")
TOKENS = (
    b"**/", b"**", b"*", b"?", b"[a-z]", b"[!", b"[[:alpha:]]", b"[[:", b":]]", b"[z-a]", b"{a,", b"}", b"{}", b",",
    b"\\", b"/", b"..", b"@(", b"!(", b"+(a|", b")", b"|", b"^", b"$", b"(?", b"*a" * 30, b"{a,b}" * 9, b"~", b"-",
    b"&&", b"--", b"[[a]", b"\xe2\x84\xaa",
)  # fmt: skip


@fuzz("globs", tokens=TOKENS)
def test_a_glob_compiles_and_matches_nothing_outside_of_its_roots_or_is_refused(data: bytes) -> None:
    glob = text(data)
    try:
        alternatives = check_glob(glob)
        pattern = compile_patterns([glob])
    except GlobError as error:
        assert str(error).isprintable()
        assert len(str(error)) <= 4 * len(glob) + 200
        return
    assert 1 <= alternatives <= 1000
    assert len(pattern.pattern) <= 64 * 64 * 1024
    roots = roots_of([glob])
    for path in PATHS:
        if pattern.fullmatch(path):
            assert path.startswith(roots)


@fuzz("globs", tokens=TOKENS)
def test_what_has_no_magic_matches_itself_alone(data: bytes) -> None:
    path = "/".join(
        part for part in "".join(c for c in text(data) if c.isalnum() or c in "/.-_").split("/") if part.strip(".")
    )
    try:
        pattern = compile_patterns([path])
    except GlobError:
        return
    assert pattern.fullmatch(path)
    assert not pattern.fullmatch(path + "x")
