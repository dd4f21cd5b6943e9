"""Fixtures that any test may ask for; each lives with the real thing it starts."""

from __future__ import annotations

pytest_plugins = ["tests.controlplane.fixtures", "tests.support.fixtures", "tests.forge.fixtures"]
