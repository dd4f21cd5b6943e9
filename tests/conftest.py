"""Fixtures that any test may ask for; each lives with the real thing it starts."""

from __future__ import annotations

import signal

from hypothesis import settings

pytest_plugins = ["tests.controlplane.fixtures", "tests.support.fixtures", "tests.forge.fixtures"]

# How long one example takes depends on what else the machine does, and is no property of the code.
settings.register_profile("agentk", deadline=None)
settings.load_profile("agentk")

# A shell starts what it runs in the background with Ctrl-C ignored, and every program started here would inherit that:
# those tests that interrupt one could never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
