"""Loading what a program is made of. A server of ours is thousands of modules' objects, which stay until its end."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loading() -> Iterator[None]:
    """Import within this: nothing is looked for garbage meanwhile, nor ever after what was loaded.

    Looking through the same growing heap again and again is more than a quarter of the time that importing kas takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
