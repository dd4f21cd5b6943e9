"""Fixtures that any test may ask for; each lives with the real thing it starts."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

pytest_plugins = ["tests.controlplane.fixtures", "tests.support.fixtures", "tests.forge.fixtures"]

# How long one example takes depends on what else the machine does, and is no property of the code. CI tries the same
# examples every time, so that it judges the change and nothing else; everybody else's runs look for new ones.
settings.register_profile("agentk", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("agentk")

# A shell starts what it runs in the background with Ctrl-C ignored, and every program started here would inherit that:
# those tests that interrupt one could never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
