"""What an agent must be able to hold to before it is sent a project, and what is said where it is not. Pure.

A protection that an agent does not know would be ignored by it. So the project is left out of what the agent is told,
whatever it had before: it drives the project no more, and what is in the cluster stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentlink.capabilities import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kas.desired.agent_config import ManifestProjectConfig

TOO_OLD: Final = "AgentTooOld"
"""The reason of a project that is not sent."""

_HALF: Final = 50
"""A share of a project that is large is this where nothing is said; a smaller one protects more."""

_VERSION: Final = 40

_PROTECTIONS: Final[tuple[tuple[str, Callable[[ManifestProjectConfig], bool], tuple[Capability, ...]], ...]] = (
    (
        "allowed_namespaces",
        lambda config: bool(config.allowed_namespaces),
        (Capability.ALLOWED_NAMESPACES, Capability.CONFINED_SOURCES),
    ),
    ("drift", lambda config: config.drift != "correct", (Capability.DRIFT,)),
    ("dry_run_strategy", lambda config: config.dry_run_strategy != "none", (Capability.DRY_RUN,)),
    ("ignore", lambda config: bool(config.ignore), (Capability.IGNORE,)),
    ("impersonate", lambda config: bool(config.impersonate_user), (Capability.IMPERSONATE,)),
    ("prune: false", lambda config: not config.prune, (Capability.PRUNE,)),
    ("prune_confirmation", lambda config: config.prune_confirmation == "always", (Capability.PRUNE_CONFIRMATION,)),
    ("prune_large_percent", lambda config: config.prune_large_percent < _HALF, (Capability.PRUNE_CONFIRMATION,)),
    (
        "prune_propagation_policy",
        lambda config: config.prune_propagation_policy == "orphan",
        (Capability.PRUNE_PROPAGATION,),
    ),
    ("suspend", lambda config: config.suspend, (Capability.SUSPEND,)),
)
"""Each protection of config.yaml, when a project uses it, and what an agent needs for it.

What a project does not say is as the agent that it runs on has it: defaults ask for nothing.
"""


def withheld(
    config: ManifestProjectConfig, *, suspended_by: str | None, able: Collection[Capability], version: str
) -> str | None:
    """Return why a project must not be sent to an agent, for people; None where it may be.

    Args:
        config: the project.
        suspended_by: who has suspended it by a command; None for nobody.
        able: the capabilities that the agent has said.
        version: what the agent says of its version.
    """
    lacking = [
        (key, [one for one in needed if one not in able])
        for key, is_used, needed in _PROTECTIONS
        if is_used(config) and not set(needed) <= set(able)
    ]
    suspended = suspended_by is not None and Capability.SUSPEND not in able
    if not lacking and not suspended:
        return None
    said = [f"{key} in config.yaml needs {' and '.join(missing)}" for key, missing in lacking]
    if suspended:
        said.append(f"the suspension by {suspended_by or 'nobody in particular'} needs {Capability.SUSPEND}")
    return (
        f"agentk {version[:_VERSION] or 'of an unknown version'} would ignore a protection of this project, so the "
        f"project is not sent to it and what is in the cluster stays as it is: {'; '.join(said)}. Update agentk; this "
        "ends when it connects anew"
    )
