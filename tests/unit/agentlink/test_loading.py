from __future__ import annotations

import gc

import pytest

from agentlink.loading import loading


def test_garbage_is_looked_for_again_when_all_is_loaded_and_not_among_what_was() -> None:
    gc.unfreeze()
    with loading():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(100)]
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() >= len(kept)
        assert not any(found is kept[0] for found in gc.get_objects())
    finally:
        gc.unfreeze()


def test_so_it_is_when_something_cannot_be_loaded() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError("no such module")
    gc.unfreeze()
    assert gc.isenabled()
