"""When a failed sync is tried again."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from agentk.apply.inventory import InventoryError

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 300.0
"""As often as GitLab's agent looks at everything anew."""

SOON_SECONDS = 1.0
SOON_LONGEST_SECONDS = 15.0
"""While the API server cannot be reached, asking costs nothing and people wait for it to be back."""


class RetryClock:
    """Doubles the time between attempts, with jitter so that many projects do not come back at once."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._at: float | None = None

    @property
    def pending(self) -> bool:
        """Tell whether the last attempt failed and another one will be made."""
        return self._at is not None

    @property
    def remaining(self) -> float | None:
        """Return the seconds until the next attempt, None when none is pending."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def due(self) -> bool:
        """Tell whether to try now."""
        return self.remaining == 0.0

    def reset(self) -> None:
        """Forget past failures."""
        self._pause = 0.0
        self._at = None

    def later(self) -> None:
        """Try again after a growing time."""
        self._schedule(FIRST_SECONDS, LONGEST_SECONDS)

    def after(self, error: KubeError | InventoryError) -> str:
        """Try again as soon as it makes sense after a failure to ask the cluster; return the word for the failure."""
        if isinstance(error, KubeError) and error.status == 0:
            self.soon()
            return f"ApiServer{error.reason}"
        self.later()
        return error.reason

    def soon(self) -> None:
        """Try again after a time that grows little: the cause lies outside the project and passes by itself."""
        self._schedule(SOON_SECONDS, SOON_LONGEST_SECONDS)

    def _schedule(self, first: float, longest: float) -> None:
        self._pause = min(longest, self._pause * 2 or first)
        self._at = time.monotonic() + self._pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
