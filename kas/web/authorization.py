"""Who may do what: the one place that decides. Pure; everything that answers people asks it.

A role says which actions, the project that a token is bound to says where: itself and everything below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kas.store.records import Actor


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    """Everything, everywhere; never bound to a project."""
    MAINTAINER = "maintainer"
    """Registers, operates and removes the agents of one project or group, and their tokens."""
    READ = "read"
    """Sees what runs, everywhere or in one project or group."""


class Action(StrEnum):
    """What somebody asks to do."""

    READ = "read"
    REGISTER = "register"
    """Create and remove agents, create and revoke their tokens."""
    OPERATE = "operate"
    """Suspend, resume, pin, reconcile, confirm prunes, and ask agents what a revision would change."""
    SEE_ANY_COMMIT = "see-any-commit"
    """Be shown what a commit would change that no branch or tag of its project has, such as one of a fork."""
    AUDIT = "audit"
    """Read the audit log."""
    ADMINISTER = "administer"
    """Create, list and revoke API tokens."""


_MAY: Final = {
    Role.ADMIN: frozenset(Action),
    Role.MAINTAINER: frozenset({Action.READ, Action.REGISTER, Action.OPERATE, Action.AUDIT}),
    Role.READ: frozenset({Action.READ}),
}

EVERYWHERE: Final = ""
"""In the place of a project: what a token that is not bound may touch, and what concerns no single project."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token allows. ``project`` is the path of a project or group, or ``EVERYWHERE``."""

    role: Role
    project: str = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    grant: Grant
    actor: Actor

    def may(self, action: Action, project: str) -> bool:
        """See ``allowed``."""
        return allowed(self.grant, action, project)

    def sees(self, project: str) -> bool:
        """Tell whether agents of that configuration project exist for this caller."""
        return allowed(self.grant, Action.READ, project)


def grant_of(role: str, project: str) -> Grant | None:
    """Read what is stored of a token; None where it means nothing, and then it opens nothing."""
    try:
        grant = Grant(Role(role), project)
    except ValueError:
        return None
    return grant if mistake_in(grant) is None else None


def mistake_in(grant: Grant) -> str | None:
    """Say why a token cannot be made so; None where it can."""
    if grant.role is Role.ADMIN and grant.project:
        return "an admin token cannot be bound to a project: use the role maintainer"
    if grant.role is Role.MAINTAINER and not grant.project:
        return "a maintainer token must be bound to a project or group"
    return None


def allowed(grant: Grant, action: Action, project: str) -> bool:
    """Decide.

    Args:
        grant: what the token allows.
        action: what is asked.
        project: the configuration project that it concerns, or ``EVERYWHERE``.
    """
    return action in _MAY[grant.role] and covers(grant.project, project)


def covers(bound: str, project: str) -> bool:
    """Tell whether a project is ``bound`` or below it. Whole path segments count: group covers group/a, not group2."""
    return bound in {EVERYWHERE, project} or project.startswith(f"{bound}/")
