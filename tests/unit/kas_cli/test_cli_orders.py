"""How suspensions, pins, histories, differences and durations read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import click
import pytest

from kas.cli import views
from kas.cli.diff_view import Mark, object_lines, summary
from kas.cli.durations import Duration, Moment
from kas.cli.history_view import history_lines
from kas.cli.text import inert_line
from kas.cli.views_orders import pinned_words, suspended_words
from kas.web.hold_payloads import Hold
from kas.web.operation_payloads import FieldDiff, HistoryEntry, ObjectDiff

if TYPE_CHECKING:
    from kas.web.payloads import Counts, Sync

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
AT = "2026-11-21T11:59:00.000Z"
COUNTS: Counts = {
    "total": 3,
    "created": 1,
    "configured": 0,
    "unchanged": 2,
    "pruned": 0,
    "skipped": 0,
    "failed": 0,
}


def hold(**given: object) -> Hold:
    base = Hold(
        kind="suspension",
        scope="project",
        by="alice",
        reason="",
        at=AT,
        until=None,
        commit="",
        available="",
        ended_at=None,
        ended_by="",
        in_force=True,
    )
    return {**base, **given}  # type: ignore[typeddict-item]


PIN = hold(kind="pin", commit="a" * 40, available="b" * 40, reason="errors")


def sync(**given: object) -> Sync:
    base: dict[str, object] = {
        "id": "s1",
        "kind": "revision",
        "agent": {"id": 1, "name": "my-agent", "project": "g/c", "status": "connected", "last_seen_at": None},
        "project_id": 2,
        "project": "group/app",
        "ref": "branch main",
        "commit": "c" * 40,
        "state": "healthy",
        "reason": "",
        "message": "",
        "counts": COUNTS,
        "received_at": AT,
        "applied_at": AT,
        "finished_at": AT,
        "updated_at": AT,
        "suspension": None,
        "pin": None,
    }
    return cast("Sync", {**base, **given})


def cells(value: Any) -> dict[str, str]:  # noqa: ANN401 -- any table
    return {name: cell.text for name, cell in zip(value.columns, value.rows[0], strict=True)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (hold(), "suspended by alice"),
        (hold(until=AT, reason="freeze"), f"suspended by alice until {AT}: freeze"),
    ],
)
def test_a_suspension_says_who_until_when_and_why(given: Hold, expected: str) -> None:
    assert suspended_words(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PIN, "pinned to aaaaaaaa by alice (newest is bbbbbbbb): errors"),
        (hold(kind="pin", commit="a" * 40), "pinned to aaaaaaaa by alice"),
        (hold(kind="pin", commit="a" * 40, available="a" * 40), "pinned to aaaaaaaa by alice"),
    ],
)
def test_a_pin_says_what_could_be_had_instead(given: Hold, expected: str) -> None:
    assert pinned_words(given) == expected


@pytest.mark.parametrize(
    ("value", "state", "message"),
    [
        (sync(), "healthy", ""),
        (sync(suspension=hold()), "healthy,suspended", "suspended by alice"),
        (
            sync(suspension=hold(), reason="Suspended", message="suspended by alice; Progressing"),
            "healthy,suspended",
            "suspended by alice; Progressing",
        ),
        (
            sync(reason="Suspended", message="suspended by config.yaml (suspend: true)"),
            "healthy,suspended",
            "suspended by config.yaml (suspend: true)",
        ),
        (sync(state="superseded", reason="Suspended", message="over"), "superseded", "over"),
        (sync(pin=PIN, message="own"), "healthy,pinned", f"{pinned_words(PIN)}; own"),
        (sync(suspension=hold(), pin=PIN), "healthy,suspended,pinned", f"suspended by alice; {pinned_words(PIN)}"),
        ({key: value for key, value in sync().items() if key not in {"suspension", "pin"}}, "healthy", ""),
    ],
)
def test_a_sync_shows_what_holds_beside_its_state(value: Sync, state: str, message: str) -> None:
    shown = cells(views.syncs([value], NOW))
    assert (shown["STATE"], shown["MESSAGE"]) == (state, message)


def test_a_history_has_revisions_with_their_commit_and_orders_with_their_end() -> None:
    of_sync: HistoryEntry = {
        "type": "sync",
        "at": AT,
        "sync": sync(),
        "commit": {"author": "Dev", "subject": "Raise it", "at": None},
        "hold": None,
    }
    over = hold(scope="agent", reason="freeze", ended_at=AT, ended_by="bob", in_force=False)
    of_hold: HistoryEntry = {"type": "suspension", "at": AT, "sync": None, "commit": None, "hold": over}

    revision = cells(history_lines([of_sync], NOW))
    of_sync["sync"] = sync(reason="Suspended", message="suspended by alice")
    later = cells(history_lines([of_sync], NOW))
    assert later["STATE"] == "healthy", "what an agent said of a suspension then says nothing of now"
    order = cells(history_lines([of_hold], NOW))

    assert (revision["COMMIT"], revision["STATE"], revision["AUTHOR"]) == ("cccccccc", "healthy", "Dev")
    assert (revision["OBJECTS"], revision["SUBJECT"], revision["AGE"]) == ("3 (1 created)", "Raise it", "60s")
    assert (order["STATE"], order["AUTHOR"]) == ("suspended", "alice")
    assert order["SUBJECT"] == f"freeze; ended by bob at {AT}; the whole agent"


def differing(*fields: FieldDiff, result: str = "configured", message: str = "") -> list[str]:
    value = ObjectDiff(
        project="group/app",
        object={"group": "apps", "kind": "Deployment", "namespace": "demo", "name": "web"},
        result=result,
        reason="Word",
        message=message,
        path="web.yaml",
        fields=list(fields),
    )
    return [text for _, text in object_lines(value)]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (FieldDiff(path="/a", before="2", after="5"), ["  @ /a", "  - 2", "  + 5"]),
        (FieldDiff(path="/a", before="", after='"x"'), ["  @ /a", '  + "x"']),
        (FieldDiff(path="/a", before="[1,2]", after="[1,3]"), ["  @ /a", "    - 1", "  - - 2", "  + - 3"]),
        (FieldDiff(path="/a", before='"--x\\n-y"', after='"--x\\n-z"'), ["  @ /a", "    --x", "  - -y", "  + -z"]),
        (FieldDiff(path="", before="", after='{"b":{"a":null}}'), ["  + b:", "  +   a: null"]),
        (FieldDiff(path="/a", before="not json", after="{"), ["  @ /a", "  - not json", "  + {"]),
    ],
)
def test_a_field_is_shown_as_people_write_it_line_by_line(field: FieldDiff, expected: list[str]) -> None:
    assert differing(field) == ["configured demo/deployment.apps/web  web.yaml", "  Word", *expected]


def test_a_value_that_could_act_on_a_terminal_is_written_out_with_its_indentation_kept() -> None:
    lines = differing(FieldDiff(path="/a", before="", after='"a\\n  \\u001b[31mred\\u202e\\rb"'), message="no")
    assert [inert_line(line) for line in lines][-1] == r"  +   \x1b[31mred\u202e\x0db"
    assert lines[1] == "  no"


def test_what_failed_stands_out() -> None:
    value = ObjectDiff(
        project="p",
        object={"group": "", "kind": "ConfigMap", "namespace": "", "name": "a"},
        result="failed",
        reason="Forbidden",
        message="",
        path="",
        fields=[],
    )
    assert list(object_lines(value)) == [(Mark.BAD, "failed configmap/a"), (Mark.BAD, "  Forbidden")]


def test_counts_are_summed_up_without_what_is_not_there() -> None:
    assert summary(COUNTS) == "1 created, 2 unchanged"
    assert summary({**COUNTS, "created": 0, "unchanged": 0}) == "no objects"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h30m", 9000), ("7d", 604800), ("1.5h", 5400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "2 h", "h", "-3m", "1w", "0s", "2h x"])
def test_what_is_no_duration_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_a_time_needs_its_offset() -> None:
    assert Moment().convert("2026-12-01T00:00Z", None, None) == "2026-12-01T00:00:00+00:00"
    assert Moment().convert("2026-12-01T02:00+02:00", None, None) == "2026-12-01T00:00:00+00:00"
    for text in ("2026-12-01", "2026-12-01T00:00", "tomorrow"):
        with pytest.raises(click.BadParameter):
            Moment().convert(text, None, None)
