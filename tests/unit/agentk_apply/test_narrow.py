"""Looking at what changed alone gives what looking at everything gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.model import Desired, Kind, Live, ProjectSettings, Recorded, Result, Snapshot
from agentk.apply.narrow import Narrowed, narrow
from agentk.apply.plan import plan
from agentk.apply.resolve import Resolved, resolve

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
    return Recorded(one.ref, one.digest, "print", f"uid-{one.ref.name}")


def by_name(resolved: Resolved) -> dict[ObjectRef, Desired]:
    return {one.ref: one for one in resolved.desired}


def narrowed(files: dict[str, tuple[bytes, ...]], base: dict[str, tuple[bytes, ...]] | None = None) -> Narrowed | None:
    before = resolve(snapshot(base or BASE), SETTINGS, Served(), 7)
    return narrow(snapshot(files), SETTINGS, Served(), 7, previous=before, desired=by_name(before))


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
    part = narrow(snapshot(files), SETTINGS, Served(), 7, previous=before, desired=by_name(before))
    whole = resolve(snapshot(files), SETTINGS, Served(), 7, before)
    if part is None:
        return
    assert by_name(part.whole) == by_name(whole) == by_name(before) | by_name(part.changed)
    assert (part.whole.basis, part.whole.sources) == (whole.basis, whole.sources)
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


def test_one_changed_file_among_many_is_all_that_is_looked_at() -> None:
    part = narrowed(many(f3=(source("of-f3", "2"),)))
    assert part is not None
    assert [one.ref.name for one in part.changed.desired] == ["of-f3"]
    assert len(part.whole.desired) == FILES


def test_a_revision_that_changes_nothing_needs_no_look() -> None:
    part = narrowed(dict(BASE))
    assert part is not None
    assert (part.changed.desired, len(part.whole.desired)) == ((), FILES)


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


def test_everything_is_looked_at_when_settings_changed() -> None:
    before = resolve(snapshot(BASE), replace(SETTINGS, default_namespace="other"), Served(), 7)
    files = many(f3=(source("of-f3", "2"),))
    assert narrow(snapshot(files), SETTINGS, Served(), 7, previous=before, desired=by_name(before)) is None
