"""Looking at what changed alone gives what looking at everything gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.model import Desired, Kind, Live, ProjectSettings, Recorded, Result, Snapshot
from agentk.apply.names import WAVE
from agentk.apply.narrow import Narrowed, narrow
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved, resolve
from agentk.apply.wanted import Wanted

if TYPE_CHECKING:
    from agentlink.refs import ObjectRef

SETTINGS = ProjectSettings(1, "p", "7-1", "web")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", namespaced=True)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", namespaced=True)
FILES = 30

Object = tuple[str, str]
"""Name and value of a ConfigMap."""


class Served:
    def find(self, group: str, kind: str, version: str) -> Kind | None:  # noqa: ARG002 - the lookup's shape
        return {"ConfigMap": CONFIG_MAP, "Deployment": DEPLOYMENT}.get(kind)

    def verbs(self, kind: Kind) -> frozenset[str]:  # noqa: ARG002 - the lookup's shape
        return frozenset({"patch", "create"})


def source(name: str, value: str, **more: object) -> bytes:
    manifest: dict[str, object] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return orjson.dumps(manifest | {"data": {"v": value}} | more)


def snapshot(files: dict[str, tuple[bytes, ...]]) -> Snapshot:
    return Snapshot(1, "c0ffee", "sync", b"", files)


def many(**changes: tuple[bytes, ...]) -> dict[str, tuple[bytes, ...]]:
    """Return files with an object each, and some changed; of what did not change the very same bytes."""
    return {**BASE, **changes}


BASE: dict[str, tuple[bytes, ...]] = {f"f{number}": (source(f"of-f{number}", "1"),) for number in range(FILES)}


def live(one: Desired) -> Live:
    return Live(one.ref, f"uid-{one.ref.name}", "5", "print", "7-1", labelled=True)


def recorded(one: Desired) -> Recorded:
    return Recorded(one.ref, one.digest.hex(), "print", f"uid-{one.ref.name}")


def by_name(resolved: Resolved) -> dict[ObjectRef, Desired]:
    return {one.ref: one for one in resolved.desired}


def wanted(files: dict[str, tuple[bytes, ...]], settings: ProjectSettings = SETTINGS) -> Wanted:
    """Return what Git wants by a revision that was resolved whole."""
    resolved, found = resolve(snapshot(files), settings, Served(), 7), Wanted()
    found.resolve(resolved)
    found.hold(resolved.desired)
    return found


def narrowed(files: dict[str, tuple[bytes, ...]], base: dict[str, tuple[bytes, ...]] | None = None) -> Narrowed | None:
    return narrow(snapshot(files), SETTINGS, Served(), 7, previous=wanted(base or BASE))


objects = st.tuples(st.sampled_from("abcdef"), st.sampled_from("12"))
changes = st.dictionaries(st.sampled_from(["f0", "f1", "f2", "new"]), st.lists(objects, max_size=3), max_size=3)


@given(first=changes, second=changes)
def test_the_plan_for_what_changed_is_the_plan_for_everything(
    first: dict[str, list[Object]], second: dict[str, list[Object]]
) -> None:
    base = many(**{path: tuple(source(*one) for one in ones) for path, ones in first.items()})
    files = {**base, **{path: tuple(source(*one) for one in ones) for path, ones in second.items()}}
    before = resolve(snapshot(base), SETTINGS, Served(), 7)
    if before.blocked is not None:
        return
    records, lives = {o.ref: recorded(o) for o in before.desired}, {o.ref: live(o) for o in before.desired}
    part = narrow(snapshot(files), SETTINGS, Served(), 7, previous=wanted(base))
    whole = resolve(snapshot(files), SETTINGS, Served(), 7, before)
    if part is None:
        return
    assert by_name(whole) == by_name(before) | by_name(part.changed)
    refs = by_name(part.changed).keys()
    here = {ref: records[ref] for ref in refs if ref in records}
    small = plan(part.changed, here, {ref: lives[ref] for ref in refs if ref in lives}, SETTINGS, kinds=Served())
    large = plan(whole, records, lives, SETTINGS, kinds=Served())
    assert {a.desired.ref: a for s in small.stages for a in s.applies} == {
        a.desired.ref: a for s in large.stages for a in s.applies
    }
    assert [len(s.applies) for s in small.stages] == [len(s.applies) for s in large.stages]
    assert (small.prunes, small.forget, small.blocked) == (large.prunes, large.forget, large.blocked) == ((), (), None)
    rest = {o.ref: o for o in large.decided if o.ref not in refs}
    assert {o.ref: o for o in small.decided} | rest == {o.ref: o for o in large.decided}
    assert {outcome.result for outcome in rest.values()} <= {Result.UNCHANGED}
    assert set(small.record or here) | records.keys() == set(large.record or records)


@given(base=changes, revisions=st.lists(changes, max_size=6), asked=st.lists(st.booleans(), min_size=6, max_size=6))
def test_revision_after_revision_what_is_wanted_is_what_resolving_everything_gives(
    base: dict[str, list[Object]], revisions: list[dict[str, list[Object]]], asked: list[bool]
) -> None:
    def texts(change: dict[str, list[Object]]) -> dict[str, tuple[bytes, ...]]:
        return {path: tuple(source(*one) for one in ones) for path, ones in change.items()}

    held = many(**texts(base))
    now = wanted(held)
    for change, is_asked in zip(revisions, asked, strict=False):
        files = held | texts(change)
        part = narrow(snapshot(files), SETTINGS, Served(), 7, previous=now)
        if part is None:
            continue
        held = files
        now.amend(part.changed, part.files)
        whole = resolve(snapshot(files), SETTINGS, Served(), 7)
        assert whole.blocked is None
        assert now.by_ref == by_name(whole)
        if is_asked:
            assert now.resolved is not None
            assert by_name(now.resolved) == by_name(whole)
            assert (now.resolved.basis, now.resolved.sources) == (whole.basis, whole.sources)
            again = resolve(snapshot(files), SETTINGS, Served(), 7, now.resolved)
            assert (by_name(again), len(again.desired)) == (by_name(whole), len(whole.desired))
            bodies = whole.body_of
            assert all(now.resolved.body_of(one) == bodies(one) for one in now.resolved.desired)


def test_one_changed_file_among_many_is_all_that_is_looked_at() -> None:
    part = narrowed(many(f3=(source("of-f3", "2"),)))
    assert part is not None
    assert [one.ref.name for one in part.changed.desired] == ["of-f3"]


def test_a_revision_that_changes_nothing_needs_no_look() -> None:
    part = narrowed(dict(BASE))
    assert part is not None
    assert part.changed.desired == ()


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(dict(list(BASE.items())[1:]), id="a file left"),
        pytest.param(many(f3=()), id="an object left"),
        pytest.param(many(f3=(source("of-f3", "1"), source("of-f4", "1"))), id="an object stands twice"),
        pytest.param(many(f3=(b'{"kind": "ConfigMap"}',)), id="an object is no object"),
        pytest.param(many(f3=(source("of-f3", "2", kind="Widget"),)), id="a kind is unknown"),
        pytest.param(many(f3=(source("of-f3", "2", spec={"replicas": 2}),)), id="an autoscaler may set its replicas"),
        pytest.param(
            many(
                f3=(
                    source(
                        "of-f3",
                        "2",
                        metadata={
                            "name": "of-f3",
                            "annotations": {"config.kubernetes.io/depends-on": "/namespaces/web/ConfigMap/of-f1"},
                        },
                    ),
                )
            ),
            id="it depends on another",
        ),
        pytest.param(many(**{path: (source(f"of-{path}", "2"),) for path in BASE}), id="everything changed"),
    ],
)
def test_everything_is_looked_at_where(files: dict[str, tuple[bytes, ...]]) -> None:
    assert narrowed(files) is None


def test_everything_is_looked_at_while_something_was_refused() -> None:
    base = many(f5=(source("of-f5", "1", kind="Widget"),))
    files = base | many(f3=(source("of-f3", "2"),))
    assert narrowed(files | {"f5": base["f5"]}, base) is None


def test_everything_is_looked_at_while_an_object_that_did_not_change_has_to_do_with_all_others() -> None:
    early = source("of-f5", "1", metadata={"name": "of-f5", "annotations": {WAVE: "-1"}})
    base = many(f5=(early,))
    assert narrowed({**base, "f3": (source("of-f3", "2"),)}, base) is None


def test_everything_is_looked_at_when_settings_changed() -> None:
    before = wanted(BASE, replace(SETTINGS, default_namespace="other"))
    assert narrow(snapshot(many(f3=(source("of-f3", "2"),))), SETTINGS, Served(), 7, previous=before) is None
