"""Whatever stands in ``managedFields``: a set of fields, however deep, and none where it is no set."""

from __future__ import annotations

import contextlib

import orjson

from agentk.apply import fieldsets, managers, pointers
from agentk.apply.names import FIELD_MANAGER
from agentk.apply.rules import blame, ignore, migrate
from tests.fuzz.inputs import fuzz

OTHER: fieldsets.Fields = {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}, "f:a": {}}
OURS: managers.Entry = {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsV1": OTHER}
STEPS = tuple(map(pointers.parse, ("/spec/containers/[name=app]/image", "/metadata/labels", "/x/x/x", "/a")))
ENTRIES_TOKENS = (
    b'"manager":', b'"kubectl"', b'"agentk"', b'"operation":', b'"Apply"', b'"Update"', b'"fieldsV1":', b'"time":',
    b'"subresource":', b"null", b"{}", b"[]", b"1", b",", b"{", b"}",
)  # fmt: skip
TOKENS = (
    b'"f:a":',
    b'".":{}',
    b'"k:{\\"name\\":\\"app\\"}":',
    b'"v:1":',
    b"{}",
    b"{",
    b"}",
    b"null",
    b"1",
    b"[]",
    b",",
    b'"k:[":',
    b'"":',
)


@fuzz("managed_fields", tokens=TOKENS)
def test_sets_are_joined_parted_and_written_whatever_they_hold(data: bytes) -> None:
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    for managed in (fields, [fields], [{"fieldsV1": fields, "manager": FIELD_MANAGER, "operation": "Apply"}]):
        for entry in managers.entries(managed):
            tree = managers.fields_of(entry)
            holders = fieldsets.with_holders(tree)
            assert fieldsets.minus(tree, tree) == {}
            for other in (OTHER, tree, holders, {}):
                union = fieldsets.union(tree, other)
                assert fieldsets.minus(tree, union) == {}
                assert fieldsets.minus(fieldsets.minus(union, other), tree) == {}
                assert fieldsets.minus(fieldsets.common(tree, other), tree) == {}
            for steps in STEPS:
                assert fieldsets.minus(fieldsets.take(tree, steps), tree) == {}
                assert fieldsets.ends_above(tree, steps) in {True, False}
            # A way for each field, and each names what it lies in: as deep as it is long.
            assert sum(map(len, fieldsets.paths(tree))) <= (len(data) + 10) ** 2
        managers.ours(managers.entries(managed))


@fuzz("managed_fields_entries", tokens=ENTRIES_TOKENS)
def test_entries_are_compared_handed_over_and_taken_over_whatever_they_hold(data: bytes) -> None:
    try:
        managed = managers.entries(orjson.loads(data))
    except orjson.JSONDecodeError:
        return
    before = orjson.dumps(managed)
    assert all(isinstance(one.manager, str) for one in blame.changes(managed, [*managed, OURS]))
    assert len(blame.told(blame.changes(managed, [OURS]))) <= 20 * len(data) + 1000
    assert migrate.is_due(managed) in {True, False}
    assert migrate.take_over(managed, "v1")
    with contextlib.suppress(pointers.PointerError):
        assert ignore.hand_over(managed, ["/spec/replicas"]) is not managed
    assert orjson.dumps(managed) == before
