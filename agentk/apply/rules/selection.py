"""What of the configuration decides which objects a project has, and which of that changed since they were applied.

Objects that leave because somebody edited ``config.yaml`` left no commit of the manifest project: nobody who reviewed
the manifests has seen them go.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from agentlink.selected import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentk.apply.model import ProjectSettings, Snapshot


def selection_of(snapshot: Snapshot, settings: ProjectSettings) -> Mapping[str, str]:
    """Return what selected the objects of a revision, by the key of ``config.yaml``, as texts to be compared."""
    return {
        **dict(snapshot.selected_by),
        "default_namespace": _digest(settings.default_namespace),
        "allowed_namespaces": _digest(",".join(sorted(settings.allowed_namespaces))),
    }


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def changed_keys(before: Mapping[str, str] | None, now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that say something else than before; those that were not known then do not count.

    Files that are left out count wherever they are not known to be the same: among them may be a manifest with a typo.
    """
    known = {} if before is None else before
    changed = {key for key in now if known.get(key, now[key]) != now[key]}
    if LEFT_OUT in now and known.get(LEFT_OUT) != now[LEFT_OUT]:
        changed.add(LEFT_OUT)
    return tuple(sorted(changed))


def told(changed: Sequence[str]) -> str:
    """Say what changed."""
    keys = [key for key in changed if key != LEFT_OUT]
    said = [f"{' and '.join(keys)} in config.yaml changed"] if keys else []
    if LEFT_OUT in changed:
        said.append("other files than before are left out because they are no manifests (`kas events` names them)")
    return ", and ".join(said)
