"""What a snapshot's objects were selected by, as ``SnapshotHeader.selected_by`` says it."""

from __future__ import annotations

from typing import Final

LEFT_OUT: Final = "left_out"
"""Which selected files were left out because they are no manifests. The other names are keys of ``config.yaml``."""
