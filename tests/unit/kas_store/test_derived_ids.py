"""A project's number follows from its path, and is none that GitLab has given to anything."""

from __future__ import annotations

from kas.store.derived import FIRST_ID, LAST_ID, derived_id

PATHS = [f"group-{one}/{two}" for one in range(100) for two in "abcdefghij"]


def test_ids_lie_above_all_of_gitlab_and_below_what_javascript_cannot_read() -> None:
    ids = {derived_id(path, attempt) for path in PATHS for attempt in range(3)}
    assert len(ids) == 3 * len(PATHS)
    assert min(ids) >= FIRST_ID == 10**12
    assert max(ids) < LAST_ID == 2**53


def test_an_id_is_the_same_in_every_version_since_inventories_are_named_by_it() -> None:
    assert derived_id("group/project") == 4713357037936421
    assert derived_id("group/project", 1) == 5057614952477206
    assert derived_id("Group/project") == 4256745416242805
