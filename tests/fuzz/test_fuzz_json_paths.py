"""Whatever stands for a path or a pointer into an object: steps, or its own error; nothing else on the way."""

from __future__ import annotations

import copy

import orjson

from agentk.apply import pointers
from agentk.apply.jsonpath import PathError, get, parse, put
from agentk.apply.pointers import PointerError, covers
from tests.fuzz.inputs import fuzz, text

SECRET = "hunter2"
OBJECT: dict[str, object] = {
    "spec": {
        "containers": [{"name": "app", "env": [{"value": SECRET}], "n": 1, "t": True}, {"name": "b"}, 3, None, []]
    },
    "a": [{"b": {"c": -12}, "x": 1.0}, [[]]],
    "a.b": {'c"d': [1, [2]]},
    "": {"": 0},
}
TOKENS = (
    b"$", b".spec", b".containers", b"[0]", b"[-1]", b"[(@.length-1)]", b"[?(@.name=='app')]", b'["a.b"]',
    b"[?(@.n==1)]", b"[?(@.t==true)]", b"[?(@.b.c==-12)]", b"['", b"\\", b"']", b"..", b"[*]", b"[999999999]",
    b"[?(@", b"==", b"'app'", b"~1", b"~0", b"/[name=app]", b"/", b"=", b",",
)  # fmt: skip


@fuzz("json_paths", tokens=TOKENS)
def test_a_path_leads_to_one_value_or_to_its_error(data: bytes) -> None:
    path = text(data)
    for document in (OBJECT, [OBJECT], "text", None, 1):
        try:
            assert len(parse(path)) <= len(path)
            found = get(document, path)
        except PathError as error:
            assert SECRET in path or SECRET not in str(error)
            continue
        mine = copy.deepcopy(document)
        try:
            put(mine, path, "new")
        except PathError:
            assert path == "$"
        else:
            assert "?" in path or get(mine, path) == "new"  # what a filter looked at may be what was put
        assert get(document, path) == found


@fuzz("pointers", tokens=TOKENS)
def test_a_pointer_takes_out_what_it_names_and_nothing_else(data: bytes) -> None:
    try:
        steps = pointers.parse(text(data))
        assert covers(steps, steps)
        mine = copy.deepcopy(OBJECT)
        removed = pointers.remove(mine, steps)
    except PointerError:
        return
    assert removed == (mine != OBJECT)
    assert len(orjson.dumps(mine)) <= len(orjson.dumps(OBJECT))
    assert not pointers.remove(mine, steps)
