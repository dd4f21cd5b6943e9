"""What can go wrong in the store, as values that say what, where and what to do next.

Nothing of SQLAlchemy leaves this room: its errors are the causes of these.
"""

from __future__ import annotations


class StoreError(Exception):
    """Anything the store refuses or cannot do."""


class StoreUnavailable(StoreError):  # noqa: N818  # a state of the store, not a mistake
    """The database does not answer: locked, full disk, gone, damaged. Nothing was written; trying again may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the database is not available: {detail}")
        self.detail = detail


class ValueRefused(StoreError):  # noqa: N818  # as above
    """The database will never take a value of what was to be written. Nothing was written; trying again is no use."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the database refused a value: {detail}")
        self.detail = detail


class NewerDatabase(StoreError):  # noqa: N818  # as above
    """The database was written by a newer kas."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"the database has schema {found}, and this kas knows schemas up to {known}: "
            "start a kas at least as new as the one that wrote it, or restore a backup from before the upgrade",
        )
        self.found = found
        self.known = known


class UnsupportedDatabase(StoreError):  # noqa: N818  # as above
    """The database URL names a kind of database, or a driver, that is not there."""


class BackupError(StoreError):
    """A backup could not be made or restored; what was there is as it was."""


class NotFound(StoreError):  # noqa: N818  # reads as what it is: store.NotFound
    """What was asked for is not in the store."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"there is no {what} {key}")
        self.what = what
        self.key = key


class AgentExists(StoreError):  # noqa: N818  # as above
    """The project already has an agent of that name, or the pinned id is another agent's."""

    def __init__(self, project: str, name: str, detail: str = "") -> None:
        super().__init__(f"agent {name!r} of project {project!r} cannot be created: {detail or 'it already exists'}")
        self.project = project
        self.name = name


class TokenExists(StoreError):  # noqa: N818  # as above
    """The same secret is already registered."""

    def __init__(self, name: str) -> None:
        super().__init__(f"token {name!r} cannot be created: the same secret is already registered; make a new one")
        self.name = name


class ProjectPinned(StoreError):  # noqa: N818  # as above
    """A project's id cannot be the one asked for: it names inventories in clusters, of this project or another one."""

    def __init__(self, path: str, asked: int, detail: str) -> None:
        super().__init__(f"project {path!r} cannot have id {asked}: {detail}")
        self.path = path
        self.asked = asked
