"""What a project of a configuration follows and selects. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from agentlink.selected import LEFT_OUT
from kas.git.refs import GitRef, RefKind
from kas.gitops.snapshots import Wanted

if TYPE_CHECKING:
    from kas.desired.agent_config import ManifestProjectConfig
    from kas.desired.model import Snapshot


def ref_of(config: ManifestProjectConfig) -> GitRef:
    """Return what a project of a configuration follows."""
    return GitRef(RefKind(config.ref.kind), config.ref.name)


def wanted_of(config: ManifestProjectConfig) -> Wanted:
    """Return what a project of a configuration selects."""
    return Wanted(config.project, config.globs, config.default_namespace)


def selected_by(config: ManifestProjectConfig, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Return what selects a project's objects, each with a text that differs where what it says does."""
    said = {"paths": "\n".join(sorted(config.globs)), "ref": str(ref_of(config))}
    if snapshot.left_out:
        said[LEFT_OUT] = "\n".join(one.path for one in snapshot.left_out)
    return tuple((key, blake2b(text.encode(), digest_size=8).hexdigest()) for key, text in said.items())
