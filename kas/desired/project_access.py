"""Which projects the author of an agent's config.yaml may have read. Pure.

kas has credentials for many teams' projects, and whoever may push to one configuration project decides what its agents
are sent. So a configuration leads no further than its own top-level group, unless kas' operator says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kas.desired.agent_config import AgentConfig, ManifestProjectConfig

NOT_ALLOWED: Final = "ProjectNotAllowed"
"""The reason of a project that a configuration names and may not read."""

EVERYTHING: Final = "*"
"""In the place of a path: every project."""


@dataclass(frozen=True, slots=True)
class ProjectAccess:
    """What configuration projects may read besides their own top-level group.

    ``more`` has paths of projects and groups, by the path of a configuration project or of a group of such.
    """

    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def allows(self, own_project: str, project: str) -> bool:
        """Tell whether a config.yaml of ``own_project`` may name ``project``. Capitals are alike, as in GitLab."""
        if project.lower() == own_project.lower():
            return True
        group, below, _ = own_project.partition("/")
        if below and _covers(group, project):
            return True
        return any(
            _covers(readable, project)
            for reader, allowed in self.more.items()
            if _covers(reader, own_project)
            for readable in allowed
        )


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """A project that is left out of a configuration: where it stands and why, and who can allow it and how."""

    config: ManifestProjectConfig
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return all of it, for people."""
        return f"{self.message}. {self.remedy}"


OWN_GROUP: Final = ProjectAccess()


def held_to(
    access: ProjectAccess, config: AgentConfig, *, own_project: str, path: str
) -> tuple[AgentConfig, tuple[NotAllowed, ...]]:
    """Return a configuration without the projects that it may not read, and these.

    Args:
        access: what kas.yaml says.
        config: as its file has it.
        own_project: the configuration project.
        path: of the file.
    """
    refused = tuple(
        NotAllowed(
            one,
            f"{path}:{one.line}: gitops.manifest_projects[{index}].id: {own_project} may not read {one.project}, which "
            f"is outside {_reach(own_project)}; nothing of it is fetched for this agent or sent to it",
            _remedy(own_project, one.project),
        )
        for index, one in enumerate(config.projects)
        if not access.allows(own_project, one.project)
    )
    if not refused:
        return config, ()
    allowed = tuple(one for one in config.projects if access.allows(own_project, one.project))
    return replace(config, projects=allowed), refused


def _remedy(own_project: str, project: str) -> str:
    return (
        "If it may be read, kas' operator writes into kas.yaml, and starts kas again: "
        f"project_access: {{{own_project}: [{project}]}}"
    )


def _reach(own_project: str) -> str:
    group, below, _ = own_project.partition("/")
    return f"its top-level group {group}" if below else "itself: it is in no group"


def _covers(path: str, project: str) -> bool:
    """Tell whether a path is everything, the project, or a group that it is in. Whole segments count."""
    path, project = path.lower(), project.lower()
    return path in {EVERYTHING, project} or project.startswith(f"{path}/")
