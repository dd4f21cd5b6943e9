from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.names import APPLY_TIME_MUTATION
from agentk.apply.rules.string_data import fold, folded_pointer, is_filled_later


def secret(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of any kind, that is what is tried
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **fields}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (secret(stringData={"a": "new", "b": "zwei ü"}), secret(data={"a": "bmV3", "b": "endlaSDDvA=="})),
        (secret(data={"a": "b2xk", "c": "Yw=="}, stringData={"a": "new"}), secret(data={"a": "bmV3", "c": "Yw=="})),
        (secret(data=None, stringData={"a": ""}), secret(data={"a": ""})),
        (secret(data={"c": "Yw=="}, stringData={}), secret(data={"c": "Yw=="})),
        (secret(data={"c": "Yw=="}, stringData=None), secret(data={"c": "Yw=="})),
        (secret(stringData=None), secret()),
        (secret(data={"c": "Yw=="}), secret(data={"c": "Yw=="})),
    ],
)
def test_it_goes_into_data_and_wins_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    fold(before)
    assert before == after


@pytest.mark.parametrize(
    "wrong",
    [
        secret(stringData={"a": 1}),
        secret(stringData={"a": None}),
        secret(stringData=["a"]),
        secret(stringData="a"),
        secret(data="a", stringData={"a": "b"}),
        {"apiVersion": "v1", "kind": "ConfigMap", "stringData": {"a": "b"}},
        {"apiVersion": "example.com/v1", "kind": "Secret", "stringData": {"a": "b"}},
    ],
)
def test_what_is_not_as_it_should_be_stays_for_the_server_to_refuse(wrong: dict[str, Any]) -> None:
    before = {**wrong}
    fold(wrong)
    assert wrong == before


def test_what_is_filled_at_apply_time_is_folded_after_that() -> None:
    assert is_filled_later({APPLY_TIME_MUTATION: "- targetPath: $.stringData.password"})
    assert not is_filled_later({APPLY_TIME_MUTATION: "- targetPath: $.data.password"})
    assert not is_filled_later({})


@pytest.mark.parametrize(
    ("pointer", "folded"),
    [
        ("/stringData/a", "/data/a"),
        ("/stringData", "/data"),
        ("/stringDatas/a", "/stringDatas/a"),
        ("/data/a", "/data/a"),
        ("/metadata/annotations", "/metadata/annotations"),
    ],
)
def test_fields_that_are_left_to_others_are_meant_where_they_end_up(pointer: str, folded: str) -> None:
    assert folded_pointer(pointer) == folded
