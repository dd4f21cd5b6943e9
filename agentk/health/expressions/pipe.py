"""What ``evaluator.py`` and the process of ``worker.py`` agree on."""

from __future__ import annotations

import struct
from typing import Final

LENGTH: Final = struct.Struct(">I")
"""In front of every message, in both directions. A request is two messages: an expression, and an object as JSON."""

CPU_SECONDS: Final = 0.5
"""Processor time for one expression and one object. Ordinary ones take ten microseconds."""
