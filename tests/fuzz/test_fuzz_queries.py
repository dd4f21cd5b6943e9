"""Whatever parameters and bodies the API is called with: a query within bounds, or an answer of 400."""

from __future__ import annotations

from kas.web.errors import ApiError
from kas.web.queries import MAX_LIMIT, read_id, read_new_agent, read_object, read_query
from tests.fuzz.inputs import fuzz, text

NAMES = frozenset({"agent", "project", "commit", "state", "type", "all", "limit", "cursor", "watch"})
TOKENS = (
    *tuple(f"\n{name}=".encode() for name in sorted(NAMES)),
    b"W10",
    b"bnVsbA",
    b"=",
    b"-1",
    b"\xd9\xa1",
    b"1_0",
    b"+1",
)


@fuzz("queries", tokens=TOKENS)
def test_parameters_are_a_query_within_bounds_or_refused(data: bytes) -> None:
    given = dict(line.partition("=")[::2] for line in text(data).split("\n"))
    try:
        query = read_query(given, NAMES)
    except ApiError as error:
        assert error.status == 400
        return
    assert query.limit is None or 1 <= query.limit <= MAX_LIMIT
    assert query.after is None or abs(query.after.project_id) < 2**63


@fuzz("queries", tokens=(b'"name":', b'"project":', b"null", b"[" * 1500, b"\\u0000", b"1e400"))
def test_bodies_and_ids_are_read_or_refused(data: bytes) -> None:
    for read in (
        lambda: read_object(data, frozenset({"name"})),
        lambda: read_new_agent(data),
        lambda: read_id(text(data)),
    ):
        try:
            read()
        except ApiError as error:
            assert error.status in {400, 404}
