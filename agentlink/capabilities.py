"""What an agent is able to hold to, beyond what every agent does. An agent says it in Hello, and kas asks by it.

Capabilities, not versions: an agent that ignores a protection must not be sent what is to be protected.
"""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection


class Capability(StrEnum):
    """One thing that kas may rely on, such as a protection that a project asks for. The value travels and is read."""

    ALLOWED_NAMESPACES = "allowed_namespaces"
    """Objects outside the namespaces of a project are refused."""
    CONFINED_SOURCES = "confined_sources"
    """What a project reads of others, to fill its objects, is held to its namespaces, too."""
    DRIFT = "drift"
    """What is not to be corrected is left alone."""
    DRY_RUN = "dry_run_strategy"
    """What is only to be tried is not done."""
    IGNORE = "ignore"
    """Fields that are left to others are not written."""
    INSTALLATION = "installation"
    """What another installation of kas sent is dropped, and it is told which one that was."""
    IMPERSONATE = "impersonate"
    """A project is read and written on behalf of its account, never with the agent's own rights."""
    PRUNE = "prune"
    """What left Git stays where pruning is off."""
    PRUNE_CONFIRMATION = "prune_confirmation"
    """A prune waits for a confirmation where one is asked for."""
    PRUNE_PROPAGATION = "prune_propagation_policy"
    """What depends on a pruned object stays where it is to be orphaned."""
    SUSPEND = "suspend"
    """Nothing is done for a suspended project."""


def able_of(said: Collection[str]) -> frozenset[Capability]:
    """Return what an agent is able to do of what it has said; of thousands of agents nearly all say the same."""
    return _shared(frozenset(one for one in Capability if one in said))


@functools.cache
def _shared(able: frozenset[Capability]) -> frozenset[Capability]:
    return able


CAPABILITIES: Final = tuple(sorted(Capability))
"""All of them: what an agentk of this version says."""
