"""Whatever the annotations about order hold: what they mean, or ``InvalidOrderError``; and filling is bounded.

A source stays as it is, however its parts are put into an object: other objects are filled from it as well.
"""

from __future__ import annotations

import copy

import orjson

from agentk.apply.rules.depend import InvalidOrderError, read_depends_on
from agentk.apply.rules.mutate import MAX_BODY, MOST, MutationError, read_mutations, substitute
from agentlink.refs import ObjectRef
from tests.fuzz.inputs import fuzz, text

OWN = ObjectRef("", "ConfigMap", "shop", "own")
SECRET = "hunter2"
SOURCE = {
    "metadata": {"name": "from"},
    "data": {"port": 80, "secret": SECRET, "list": [1, {"a": "b"}], **{f"d{n}": {"v": "x"} for n in range(26)}},
}
TOKENS = (
    b"- ", b"sourceRef: ", b"{kind: ConfigMap, name: from}", b"sourcePath: ", b"targetPath: ", b"token: ", b"$.data",
    b"$.data.x", b"$", b"${port}", b"namespace: ", b"apiVersion: ", b"[1]", b"null", b"$.metadata.name", b"*a",
    b"&a ", b"\n", b'"',
)  # fmt: skip


@fuzz("mutations", tokens=TOKENS)
def test_substitutions_are_read_and_fill_an_object_within_bounds(data: bytes) -> None:
    try:
        mutations = read_mutations(data.decode(errors="replace"), OWN)
    except InvalidOrderError as error:
        assert error.reason == "InvalidMutation"
        assert len(str(error)) < 5000
        return
    assert 1 <= len(mutations) <= MOST
    document = {"metadata": {"name": "own"}, "data": {"url": "http://x:${port}/${port}", "x": {}}}
    sources = {one.source: copy.deepcopy(SOURCE) for one in mutations}
    before = orjson.dumps([[str(ref), source] for ref, source in sources.items()])
    try:
        filled = substitute(document, mutations, sources)
    except MutationError as error:
        assert SECRET not in str(error) or SECRET.encode() in data
    else:
        assert len(orjson.dumps(filled)) <= MAX_BODY
        assert filled["metadata"] == {"name": "own"}
    assert orjson.dumps([[str(ref), source] for ref, source in sources.items()]) == before


@fuzz(
    "depends_on",
    tokens=(b"/", b",", b"namespaces", b" ", b"apps/namespaces/shop/Deployment/db", b"/namespaces/shop/ConfigMap/own"),
)
def test_dependencies_are_read_and_none_is_the_object_itself(data: bytes) -> None:
    given = text(data)
    try:
        refs = read_depends_on(given, OWN)
    except InvalidOrderError as error:
        assert error.reason == "InvalidDependency"
        assert len(str(error)) <= 8 * len(given) + 400
        return
    assert OWN not in refs
    assert len(refs) == len(set(refs)) == given.count(",") + 1
    assert all(ref.kind and ref.name for ref in refs)
