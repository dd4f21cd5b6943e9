from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentlink.manifests.model import Limits
from agentlink.manifests.parse import load_documents
from kas.install.objects import objects
from kas.install.values import read_values
from kas.install.yaml_text import to_yaml

NEEDED = {"kasAddress": "wss://kas.example.com", "token": "glagent-0123456789"}

# What cannot stand in YAML at all, escaped or not.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


def read_back(text: str) -> list[object]:
    return [value for _, value in load_documents(text.encode(), Limits())]


# A busy machine is no failure.
patient = settings(deadline=None)


@patient
@given(JSON)
def test_whatever_is_written_kubectl_reads_as_it_was(value: object) -> None:
    assert read_back(to_yaml([{"value": value}])) == [{"value": value}]


@pytest.mark.parametrize(
    "word", ["y", "N", "on", "null", "1e3", "0o17", "017", "12:30", "2020-01-01", "~", "=", "<<", ""]
)
def test_words_that_readers_take_for_something_else_stay_text(word: str) -> None:
    assert read_back(to_yaml([{word: word}])) == [{word: word}]


@patient
@given(TEXT)
def test_no_value_gets_out_of_its_place(text: str) -> None:
    hostile = {"env": {"A": text}, "podAnnotations": {"a": text}, "podLabels": {"b": text}}
    made = list(objects(read_values({**NEEDED, **hostile}), "agents"))

    assert read_back(to_yaml(made)) == made


def test_the_same_values_give_the_same_text_and_no_anchors() -> None:
    values = read_values({**NEEDED, "env": {"B": "1", "A": "2"}})
    turned = read_values({**NEEDED, "env": {"A": "2", "B": "1"}})

    text = to_yaml(objects(values, "agents"))
    assert text == to_yaml(objects(turned, "agents"))
    assert "&id" not in text
