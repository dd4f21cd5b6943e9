"""Whatever stands in ``managedFields``: a set of fields, however deep, and none where it is no set."""

from __future__ import annotations

import orjson

from agentk.apply import fieldsets, managers, pointers
from agentk.apply.names import FIELD_MANAGER
from tests.fuzz.seeds import fuzz

OTHER: fieldsets.Fields = {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}, "f:a": {}}
STEPS = tuple(map(pointers.parse, ("/spec/containers/[name=app]/image", "/metadata/labels", "/x/x/x", "/a")))
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
