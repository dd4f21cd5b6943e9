"""Values as kubectl reads them, and documents that mean harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentlink.manifests.model import Limits, ManifestError
from agentlink.manifests.parse import load_documents

CASES = json.loads((Path(__file__).parent / "cases" / "yaml-cases.json").read_text(encoding="utf-8"))
LIMITS = Limits()


def load(data: str | bytes, limits: Limits = LIMITS) -> list[object]:
    raw = data.encode() if isinstance(data, str) else data
    return [value for _, value in load_documents(raw, limits) if value is not None]


def refusal(data: str | bytes, limits: Limits = LIMITS) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load(data, limits)
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["yaml"]))
def test_a_value_is_read_as_kubectl_reads_it(case: dict[str, str]) -> None:
    if case.get("error"):
        assert refusal(case["yaml"]).reason == "InvalidYAML"
        return
    ((_, value),) = load_documents(case["yaml"].encode(), LIMITS)
    # By text, because to Python 1 == 1.0 == True.
    assert json.dumps(value) == json.dumps(json.loads(case["json"]))


# What kubectl 1.36's own libraries answer, asked once by hand.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".1_0", 0.1),
        ("._1", "._1"),
        (".1__0", ".1__0"),
        ("1__0", 10),
        ("_1", "_1"),
        ("0777777777777777777777777777", 7.777777777777778e26),
        ("0xFFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFFF"),
        ("-0x1F", -31),
        ("-08", -8),
        ("0o", "0o"),
        ("0o8", "0o8"),
        ("0B1", 1),
        ("1e", "1e"),
        ("1e5_0", 1e50),
        ("-9223372036854775808", -(2**63)),
        ("-18446744073709551615", -18446744073709552000),
        ("1.7976931348623159e308", "1.7976931348623159e308"),
        ("1e-400", 0),
        ("!!float 1", 1),
        ("!!int '12'", 12),
        ("! 12", "12"),
        ("!!bool 'n'", False),
        ("!!null ''", None),
        ("!!timestamp 2001-01-01", "2001-01-01"),
        ("!!binary /w==", "\ufffd"),
        ("!!map {}", {}),
        ("<<", "<<"),
    ],
)
def test_a_rare_scalar_is_read_as_kubectl_reads_it(text: str, expected: object) -> None:
    (value,) = load(f"v: {text}\n")
    assert json.dumps(value) == json.dumps({"v": expected})


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("1.5", "1.5"),
        ("0.1", "0.1"),
        ("1e10", "1e+10"),
        ("1234567.0", "1.234567e+06"),
        ("123456.0", "123456"),
        ("999999.5", "999999.5"),
        ("16777217.0", "1.6777216e+07"),
        ("0.00001", "1e-05"),
        ("0.0001", "0.0001"),
        ("1e39", ".inf"),
        ("-.inf", "-.inf"),
        (".nan", ".nan"),
        ("-0.0", "-0"),
        ("yes", "true"),
        ("0x1F", "31"),
        ("!!str 1", "1"),
        ("'1'", "1"),
    ],
)
def test_a_key_becomes_the_text_that_kubectl_makes_of_it(key: str, expected: str) -> None:
    assert load(f"? {key}\n: x\n") == [{expected: "x"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {x: 1}\nb: {x: 2, <<: *a}", {"x": 1}),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2}", {"x": 2}),
        ("a: &a {x: 1}\nb: {!!merge <<: *a}", {"x": 1}),
        ("a: &a {x: 1}\nb: {<<: [*a, {x: 3, z: 4}]}", {"x": 1, "z": 4}),
        ("a: &a {x: 1}\nb: {'<<': *a}", {"<<": {"x": 1}}),
        ("a: &a 1\nb: {*a : c}", {"1": "c"}),
        ("a: &a 1\nb: &a 2\nb: *a", 2),
    ],
)
def test_merge_keys_and_aliases_do_what_they_do_in_kubectl(text: str, expected: object) -> None:
    (value,) = load(text)
    assert isinstance(value, dict)
    assert value["b"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "v: !!python/object/apply:os.system ['true']",
        "v: !!python/name:os.system x",
        "v: !secret x",
        "v: !!int x",
        "v: !!timestamp x",
        "v: !!binary a",
        "<<: 1",
        "a: &a [{x: 1}]\nb: {<<: *a}",
        "<<: [[{}]]",
        "? [a]\n: b",
        "? {a: b}\n: b",
        "a: *missing",
        "a: &a [*a]",
        "a: &a 1\nb: &a [*a]",
        "9223372036854775808: x",
        "a: 'x\0'",
        "a: \0",
        "a: [",
        "a: 1\n...\nb: 2\n",
        "a: 1\n...\n%YAML 1.2\n",
        "%YAML 1.2\n---\na: 1\n",
        "---a: 1\n",
        "[]x",
    ],
)
def test_what_has_no_one_meaning_is_refused(text: str) -> None:
    error = refusal(text)
    assert error.reason == "InvalidYAML"
    assert error.line


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\n--- # c\nb: 2\n--- \t\n", [{"a": 1}, {"b": 2}]),
        (b"---\r\n# only a comment\r\n---\r\na: 1\r\n...\r\n---\r\nb: 2", [{"a": 1}, {"b": 2}]),
        (b'a: "x\r\n  y"\r\nb: |\r\n  l1\r\n  l2\r\n', [{"a": "x y", "b": "l1\nl2\n"}]),
        (b"a: |\n  no line end", [{"a": "no line end\n"}]),
        ("\ufeffa: é\n".encode(), [{"a": "é"}]),
        ("---\n\ufeffa: 1\n---\n\ufeffb: 2\n".encode(), [{"a": 1}, {"b": 2}]),
        ("a: '\ufeff1'\n".encode(), [{"a": "\ufeff1"}]),
        (b"a: 1\n---\n...\n---\nb: 2\n---\n...\n", [{"a": 1}, {"b": 2}]),
        ("a: é\n".encode("utf-16"), [{"a": "é"}]),
        (b"\xfe\xff" + "a: 1\n---\nb: é\n".encode("utf-16-be"), [{"a": 1}, {"b": "é"}]),
        (b"a: \xe9\xe9 x # \xff\n", [{"a": "\ufffd\ufffd x"}]),
        (b'{"a":1}{"b":2}', [{"a": 1}, {"b": 2}]),
        (b'{"a":1}\n---\nb: no\n---\n{"c":1}', [{"a": 1}, {"b": False}, {"c": 1}]),
        (b"{a: 1}\n---\nb: 2", [{"a": 1}, {"b": 2}]),
        (b'{"a":1,}', [{"a": 1}]),
        (b'{"a": 1.0, "b": 1e3, "c": 18446744073709551616, "d": "no"}', [{"a": 1, "b": 1000, "c": 2**64, "d": "no"}]),
        (b'{"a": 1, "a": 2}', [{"a": 2}]),
        (b'{"a": NaN}', [{"a": "NaN"}]),
        (b"", []),
        (b" \n\t\n", []),
        (b"---\n---\n", []),
    ],
)
def test_a_file_is_cut_into_documents_as_kubectl_cuts_it(data: bytes, expected: list[object]) -> None:
    values = load(data)
    assert [canonical(value) for value in values] == [canonical(value) for value in expected]


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True).replace(str(2**64), "18446744073709552000")


def test_a_document_has_the_line_on_which_its_value_begins() -> None:
    lines = [line for line, _ in load_documents(b"# c\n\na: 1\n---\n\n# d\nb: 2\n--- # e\nc: 3\n", LIMITS)]
    assert lines == [3, 7, 9]
    assert [line for line, _ in load_documents(b'\n{"a": 1}\n\n{"b": 2}', LIMITS)] == [2, 4]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("a: 1\n---\nb: [\n---\nc: 3\n", 4),
        ("a: 1\n---\n\nb: *x\n", 4),
        ("a: 1\nb:\n- !x y\n", 3),
        ("a: 1\nb: \0\n", 2),
        ("a: 1\n---b\n", 2),
        ('{"a":1}\n{"b":2}\n\n{"c":}', 4),
        ('\n\n{"a": 1e400}', 3),
    ],
)
def test_an_error_has_the_line_of_its_cause(data: str, line: int) -> None:
    assert refusal(data).line == line


@pytest.mark.parametrize(
    "data",
    ["a: s3cret: b", 'a: "s3cret\n---\n', "a: [s3cret", "s3cret: *s3cret", "a: !s3cret s3cret", '{"s3cret":1e999}'],
)
def test_an_error_never_quotes_the_file(data: str) -> None:
    assert "s3cret" not in str(refusal(data))


def alias_bomb() -> str:
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)]
    return "a0: &a0 lol\n" + "".join(levels)


def deep_aliases() -> str:
    levels = [f"a{level}: &a{level} {'[' * 50}*a{level - 1}{']' * 50}\n" for level in range(1, 12)]
    return "a0: &a0 x\n" + "".join(levels)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (alias_bomb(), "TooManyNodes"),
        ("a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100_000 + "]", "TooManyNodes"),
        ("a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}\nb:\n" + "- <<: *a\n" * 5000, "TooManyNodes"),
        ("[" + "a," * 1_000_001 + "]", "TooManyNodes"),
        ("{" + "a," * 600_000 + "}", "TooManyNodes"),
        ('{"a":[' + "1," * 1_000_001 + "1]}", "TooManyNodes"),
        ("---\n" * 50_002, "TooManyNodes"),
        ("{}" * 50_001, "TooManyNodes"),
        (deep_aliases(), "TooDeep"),
        ("[" * 100_000, "TooDeep"),
        ("{a: " * 100_000, "TooDeep"),
        ("- " * 100_000, "TooDeep"),
        ("".join(" " * depth + "a:\n" for depth in range(500)), "TooDeep"),
        ('{"a":' * 100_000, "TooDeep"),
        ('{"a":' * 500 + "1" + "}" * 500, "TooDeep"),
        ('{"a":[' + "[" * 100_000 + "]" * 100_000 + "]}", "TooDeep"),
    ],
    ids=range(16),
)
def test_a_document_that_would_not_end_is_refused(data: str, reason: str) -> None:
    assert refusal(data).reason == reason


def test_nesting_up_to_the_limit_is_read() -> None:
    (value,) = load("[" * 100 + "]" * 100)
    (json_value,) = load('{"a":' * 100 + "1" + "}" * 100)
    assert value
    assert json_value
    assert refusal("[" * 101 + "]" * 101).reason == "TooDeep"
    assert refusal('{"a":' * 101 + "1" + "}" * 101).reason == "TooDeep"


def test_a_number_of_endless_digits_is_no_number() -> None:
    digits = "9" * 100_000
    assert load(f"a: {digits}") == [{"a": digits}]
    assert load(f'{{"a":{digits}}}') == [{"a": digits}]
