"""What holds for any document: what JSON says is read back, and what PyYAML and kubectl agree on is read as they do."""

from __future__ import annotations

import json

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentlink.manifests.model import Limits, ManifestError
from agentlink.manifests.parse import load_documents, parse_file
from agentlink.manifests.positions import lines_at

LIMITS = Limits()
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False, width=32))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=20,
)
# Strings that YAML 1.1 has no other use for; PyYAML writes all others in quotes or reads them in its own way.
WORDS = st.text(alphabet="bcdghijklmpqrsuvwxz -_/.:", min_size=1, max_size=12).map(lambda text: "w" + text + "w")
DOCUMENTS = st.recursive(
    st.one_of(st.booleans(), st.integers(-(10**6), 10**6), st.none(), WORDS, st.text(alphabet="a\n b", max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=20,
)


def only(data: str) -> object:
    (value,) = [value for _, value in load_documents(data.encode(), LIMITS)] or [None]
    return value


def as_go(value: object) -> object:
    """Compare as JSON does, where 1.0 is 1."""
    if isinstance(value, dict):
        return {key: as_go(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_go(item) for item in value]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_json_says_is_read_back(value: dict[str, object]) -> None:
    assert as_go(only(json.dumps(value))) == as_go(value)


# PyYAML leaves these as they are in single quotes, where libyaml and kubectl read the first as a line break and fold
# lines at the others: what was written is not what was meant.
BREAKS = frozenset("\x85\u2028\u2029\ufeff")


@given(
    VALUES.filter(lambda value: BREAKS.isdisjoint(json.dumps(value, ensure_ascii=False))),
    st.sampled_from([None, False, True]),
    st.sampled_from([None, "|", '"', "'"]),
)
def test_what_pyyaml_writes_in_quotes_is_read_back(value: object, flow: bool | None, style: str | None) -> None:  # noqa: FBT001 - hypothesis fills it
    written = yaml.dump({"v": quoted(value)}, default_flow_style=flow, default_style=style, allow_unicode=True)
    assert only(written) == {"v": quoted(value)} or style is None


def quoted(value: object) -> object:
    """Leave strings alone in the value, whose quoting is what is tested."""
    if isinstance(value, dict):
        return {f"k{index}": quoted(item) for index, item in enumerate(value.values())}
    if isinstance(value, list):
        return [quoted(item) for item in value]
    return value if isinstance(value, str) else "x"


@given(DOCUMENTS, st.sampled_from([None, False, True]), st.sampled_from([2, 4, 7]), st.integers(20, 80))
def test_what_pyyaml_and_kubectl_agree_on_is_read_alike(
    value: object,
    flow: bool | None,  # noqa: FBT001 - hypothesis fills it
    indent: int,
    width: int,
) -> None:
    written = yaml.dump(value, default_flow_style=flow, indent=indent, width=width)
    assert only(written) == yaml.load(written, yaml.CSafeLoader)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(st.binary(max_size=60), st.text(alphabet="ab:-?[]{}&*!|>'\"#,%@ \n\t1.<~", max_size=40).map(str.encode))
)
def test_any_bytes_are_values_or_an_error(data: bytes) -> None:
    error = None
    try:
        for _, value in load_documents(data, LIMITS):
            json.dumps(value)
        parse_file("a.yaml", "blob", data, LIMITS)
    except ManifestError as raised:
        error = raised
    assert error is None or (error.reason in {"InvalidYAML", "InvalidManifest"} and error.line >= 1)


@given(DOCUMENTS.filter(lambda value: isinstance(value, dict | list) and bool(value)), st.sampled_from([False, True]))
def test_every_place_of_a_document_has_a_line(value: object, flow: bool) -> None:  # noqa: FBT001 - hypothesis fills it
    written = yaml.dump(value, default_flow_style=flow)
    lines = lines_at(written, 1, places(value, ()), 0)
    assert set(lines) == set(places(value, ()))
    assert all(1 <= line <= written.count("\n") for line in lines.values())


def places(value: object, where: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    found = [where]
    if isinstance(value, dict):
        found += [place for key, item in value.items() for place in places(item, (*where, key))]
    elif isinstance(value, list):
        found += [place for index, item in enumerate(value) for place in places(item, (*where, index))]
    return found
