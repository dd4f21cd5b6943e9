from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentk.apply.rules.blame import Change, changes, told

if TYPE_CHECKING:
    from agentk.apply.managers import Entry


def entry(manager: str, operation: str, *fields: str, **more: str) -> Entry:
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:data": {f"f:{one}": {} for one in fields}},
        **more,
    }


WANTED = [entry("agentk", "Apply", "a", "b", "c")]


def test_each_manager_is_named_with_what_it_took_the_latest_first() -> None:
    found = [
        entry("agentk", "Apply", "c"),
        entry("kubectl-edit", "Update", "a", "theirs", time="2026-11-21T10:00:00Z"),
        entry("flux", "Apply", "b", time="2026-11-21T11:00:00Z"),
    ]
    assert changes(found, WANTED) == (
        Change("flux", (".data.b",), "Apply", "", "2026-11-21T11:00:00Z"),
        Change("kubectl-edit", (".data.a",), "Update", "", "2026-11-21T10:00:00Z"),
    )
    assert told(changes(found, WANTED)) == (
        "'flux' applied .data.b at 2026-11-21T11:00:00Z; 'kubectl-edit' set .data.a at 2026-11-21T10:00:00Z"
    )


def test_a_field_that_nobody_holds_was_removed_by_nobody_knows_whom() -> None:
    assert changes([entry("agentk", "Apply", "a", "b")], WANTED) == (Change("", (".data.c",)),)
    assert told(changes([entry("agentk", "Apply", "a", "b")], WANTED)) == ".data.c removed"


def test_others_that_share_what_is_still_ours_did_nothing() -> None:
    assert changes([*WANTED, entry("helm", "Update", "a", "b")], WANTED) == ()
    assert told(()) == ""


def test_the_way_in_is_named_and_at_most_five_fields() -> None:
    found: list[Entry] = [entry("kubectl", "Update", *"abcdefg", subresource="scale")]
    wanted: list[dict[str, Any]] = [entry("agentk", "Apply", *"abcdefg")]
    said = told(changes(found, wanted))
    assert said.endswith(".data.e and 2 more through scale")
