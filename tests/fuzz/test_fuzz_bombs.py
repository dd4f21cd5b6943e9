"""Inputs made to make much of little: each ends within the processor time and memory that a child process is given.

What random inputs do not find: deep, wide and long ones, of the size that the parsers let in. The limits are those of
the kernel, many times what is needed, so that only what grows faster than its input meets them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from agentk.apply import managers
from agentk.apply.jsonpath import PathError, parse
from agentk.apply.rules.depend import InvalidOrderError, read_depends_on
from agentk.apply.rules.mutate import MAX_LENGTH, read_mutations
from agentk.kube.http1 import AnswerError, AnswerReader
from agentlink.address import AddressError, parse_kas_address
from agentlink.durations import parse_duration
from agentlink.http2_frames import PREFACE, Frames
from agentlink.manifests.model import Limits, ManifestError
from agentlink.manifests.parse import parse_file
from agentlink.refs import ObjectRef
from kas.desired.agent_config import MAX_CONFIG_BYTES, ConfigError, parse_agent_config
from kas.desired.globs import GlobError, compile_patterns
from kas.git.errors import GitError
from kas.git.protocol import PackAnswer, ProtocolError, parse_refs
from kas.git.refs import GitRef, RefKind, check_ref
from kas.git.trees import NotPlainError
from kas.web.errors import ApiError
from kas.web.webhook_senders import SENDERS

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_SECONDS: Final = 60
MEMORY_BYTES: Final = 1 << 30
FILE: Final = Limits().file_bytes
OWN: Final = ObjectRef("", "ConfigMap", "shop", "own")
REFUSALS: Final = (
    ManifestError, ConfigError, ApiError, ProtocolError, NotPlainError, AnswerError, PathError, InvalidOrderError,
    AddressError, GlobError, GitError, ValueError,
)  # fmt: skip


def manifest(data: bytes) -> object:
    return parse_file("a.yaml", "blob", data[:FILE], Limits())


def config(data: bytes) -> object:
    return parse_agent_config(data[:MAX_CONFIG_BYTES], path="c", own_project="g/p", limits=Limits())


def webhooks(data: bytes) -> object:
    return [sender.pushed_project("push", data) for sender in SENDERS[1:]]


def answer(data: bytes) -> object:
    return AnswerReader(1 << 20, 1 << 16).feed(data)


def glob_match(glob: str) -> object:
    pattern = compile_patterns([glob])
    return [pattern.fullmatch(path) for path in ("a/" * 2000 + "b", "a" * 4000, "ab/" * 1300)]


def deep_fields(levels: int) -> object:
    fields: dict[str, object] = {}
    for _ in range(levels):
        fields = {"f:x": fields}
    ours = {"manager": "agentk", "operation": "Apply", "fieldsV1": fields}
    return managers.ours([ours, ours])


def aliases(levels: int, width: int) -> bytes:
    rows = ["a0: &a0 [" + ",".join(["x"] * width) + "]"]
    rows += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "\n".join(rows).encode()


BOMBS: Final[dict[str, Callable[[], object]]] = {
    "yaml-aliases": lambda: manifest(aliases(60, 60)),
    "yaml-aliases-as-keys": lambda: manifest(b"a: &a " + b"x" * 100_000 + b"\nb:\n" + b"- {*a : *a}\n" * 200_000),
    "yaml-merge-keys": lambda: manifest(
        b"a0: &a0 {k: 1}\n" + b"\n".join(b"a%d: &a%d {<<: *a%d, k%d: 1}" % (n, n, n - 1, n) for n in range(1, 20_000))
    ),
    "yaml-deep-flow": lambda: manifest(b"[" * FILE),
    "yaml-deep-flow-mappings": lambda: manifest(b"{a: " * (FILE // 4)),
    "yaml-deep-block": lambda: manifest(b"- " * (FILE // 2)),
    "yaml-many-documents": lambda: manifest(b"---\n" * (FILE // 4)),
    "yaml-many-empty-keys": lambda: manifest(b"{" + b",a" * (FILE // 2) + b"}"),
    "yaml-question-marks": lambda: manifest(b"? " * (FILE // 2)),
    "yaml-long-scalar": lambda: manifest(b"a: " + b"x" * (FILE - 3)),
    "yaml-long-number": lambda: manifest(b"a: " + b"9" * (FILE - 3)),
    "yaml-long-sexagesimal": lambda: manifest(b"a: " + b"1:" * (FILE // 2 - 3) + b"1"),
    "yaml-long-exponent": lambda: manifest(b"a: 1e" + b"9" * 1_000_000),
    "yaml-quotes-without-end": lambda: manifest(b'"\\' * (FILE // 2)),
    "yaml-comments": lambda: manifest(b"#\n" * (FILE // 2)),
    "yaml-anchors": lambda: manifest(b"".join(b"- &a%d x\n" % n for n in range(80_000))),
    "yaml-tags": lambda: manifest(b"%TAG !a! b:\n" * 100_000 + b"--- a\n"),
    "yaml-list-of-lists": lambda: manifest(
        b"kind: List\napiVersion: v1\nitems:\n" + b"- {kind: List, items: []}\n" * 30_000
    ),
    "json-deep": lambda: manifest(b'{"a":' * (FILE // 5)),
    "json-deep-lists": lambda: manifest(b'{"a":' + b"[" * (FILE - 5)),
    "json-long-number": lambda: manifest(b'{"a":' + b"9" * (FILE - 6) + b"}"),
    "json-many-values": lambda: manifest(b"{}" * (FILE // 2)),
    "json-many-values-then-none": lambda: manifest(b"{} " * (FILE // 3 - 1) + b"x"),
    "config-many-projects": lambda: config(b"gitops: {manifest_projects: [" + b"{id: a}," * 5_000 + b"]}"),
    "config-many-unknown-keys": lambda: config(b"".join(b"gitop%d: 1\n" % n for n in range(10_000))),
    "config-many-globs": lambda: config(
        b"gitops: {manifest_projects: [{id: a, paths: [" + b'{glob: "{a,b}{a,b}{a,b}{a,b}{a,b}"},' * 100 + b"]}]}"
    ),
    "config-repeated-keys": lambda: config(b"gitops:\n" * 14_000),
    "webhook-deep": lambda: webhooks(b'{"project":' + b"[" * 5_000_000),
    "webhook-long-number": lambda: webhooks(b'{"project":' + b"9" * 5_000_000 + b"}"),
    "webhook-long-path": lambda: webhooks(b'{"project":"' + b"a/" * 2_000_000 + b'","repository":{"full_name":"a/b"}}'),
    "pkt-lines-empty": lambda: parse_refs(b"0001" * 300_000 + b"0000", ("HEAD",)),
    "pkt-lines-of-a-pack": lambda: PackAnswer().feed(b"000dpackfile\n" + b"0006\x02x" * 200_000),
    "http1-headers-without-end": lambda: answer(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 13_000),
    "http1-many-early-hints": lambda: answer(b"HTTP/1.1 103 x\r\n\r\n" * 200_000),
    "http1-many-chunks": lambda: answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_000
    ),
    "http1-many-trailers": lambda: answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a:b\r\n" * 200_000
    ),
    "http2-many-frames": lambda: Frames().points(PREFACE + b"\0\0\0\4\0\0\0\0\0" * 200_000),
    "json-path-quotes": lambda: parse("$['" + "\\" * 1000),
    "json-path-filters": lambda: parse("$" + "[?(@.a==1)]" * 93),
    "json-path-spaces": lambda: parse("$[" + " " * 1000 + "(@"),
    "json-path-fields": lambda: parse("$[?(@" + ".a" * 500 + "="),
    "depends-on-many": lambda: read_depends_on("g/K/n," * 43_000, OWN),
    "mutations-aliases": lambda: read_mutations(aliases(40, 40).decode()[:MAX_LENGTH], OWN),
    "managed-fields-deep": lambda: deep_fields(100_000),
    "glob-stars": lambda: glob_match("*a" * 500),
    "glob-globstars": lambda: glob_match("**/a*/" * 170 + "x"),
    "glob-globstars-alone": lambda: glob_match("**/" * 340 + "x"),
    "glob-braces": lambda: glob_match("{a,b}" * 200),
    "glob-deep-braces": lambda: glob_match("{" * 1000),
    "glob-brackets": lambda: glob_match("[" * 1000),
    "glob-bracket-classes": lambda: glob_match("[[:alpha:]]*" * 80),
    "glob-question-marks": lambda: glob_match("?*" * 500 + "c"),
    "glob-empty-alternatives": lambda: glob_match("{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}{,a}*/**/b"),
    "address-long": lambda: parse_kas_address("wss://" + "a." * 1_000_000),
    "address-many-colons": lambda: parse_kas_address("wss://[" + ":" * 1_000_000),
    "duration-long": lambda: parse_duration("1m" * 1_000_000 + "x"),
    "ref-long": lambda: check_ref("p", GitRef(RefKind.BRANCH, "a/" * 1_000_000)),
}


@pytest.mark.parametrize("names", [list(BOMBS)[start::4] for start in range(4)], ids=["a", "b", "c", "d"])
def test_little_makes_little(names: list[str]) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.test_fuzz_bombs", *names], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, (
        f"ended by {child.returncode} at {child.stdout.splitlines()[-1:]}: {child.stderr[-2000:]}"
    )
    assert child.stdout.splitlines() == names


def explode(names: list[str]) -> None:
    """Try bombs, within the time and memory of this process; the last name that is written is that of the culprit."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for name in names:
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
        resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, resource.RLIM_INFINITY))
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        try:
            result = BOMBS[name]()
        except REFUSALS:
            continue
        del result


if __name__ == "__main__":
    explode(sys.argv[1:])
