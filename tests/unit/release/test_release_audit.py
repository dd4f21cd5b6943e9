"""What is said of a pin, from the page of its project in the package index."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.release.audit import Pinned, findings_of, read_pins

PIN = Pinned("click", "8.1", frozenset({"a" * 64, "b" * 64}))
FILE = {"filename": "click-8.1.whl", "hashes": {"sha256": "a" * 64}, "yanked": False}


def test_pins_are_read_with_all_their_hashes() -> None:
    text = f"click==8.1 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\nrich==15.0 ; x \\\n"

    assert list(read_pins(text)) == [PIN, Pinned("rich", "15.0", frozenset())]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"files": [FILE]}, None),
        ({"files": [{**FILE, "yanked": "broken"}]}, "click-8.1.whl was withdrawn: broken"),
        ({"files": [{**FILE, "hashes": {"sha256": "c" * 64}}]}, "has none of the files that are pinned"),
        ({}, "has none of the files that are pinned"),
        ({"files": [FILE], "project-status": {"status": "quarantined"}}, "is quarantined"),
        ({"files": [FILE], "meta": {"project-status": {"status": "archived", "reason": "done"}}}, "archived (done)"),
    ],
)
def test_what_the_index_says_of_a_pin_is_told(page: dict[str, Any], said: str | None) -> None:
    found = findings_of(PIN, page)

    assert found == [] if said is None else any(said in one for one in found)
