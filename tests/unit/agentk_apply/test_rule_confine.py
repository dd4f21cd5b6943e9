"""A project that is confined to namespaces."""

from __future__ import annotations

import pytest

from agentk.apply.rules.confine import refuse_place
from agentlink.refs import ObjectRef


@pytest.mark.parametrize(
    ("namespace", "allowed", "refused"),
    [
        ("team", (), False),
        ("", (), False),
        ("team", ("team", "other"), False),
        ("elsewhere", ("team", "other"), True),
        ("", ("team",), True),
    ],
)
def test_an_object_must_be_in_one_of_the_allowed_namespaces(
    namespace: str,
    allowed: tuple[str, ...],
    refused: bool,  # noqa: FBT001 - a case
) -> None:
    refusal = refuse_place(ObjectRef("", "ConfigMap", namespace, "a"), allowed)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.reason == "OutsideAllowedNamespaces"
