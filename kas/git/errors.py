"""The one exception that leaves this room. What git's own words mean is in ``explain.py``."""

from __future__ import annotations


class GitError(Exception):
    """A Git operation failed. ``str()`` of it is for people: project, what happened, what to do; never a credential.

    ``reason`` is CamelCase for programs: RepositoryNotFound, AccessDenied, RefNotFound, CommitNotFound, Unreachable,
    Timeout, TooLarge, Redirected, Refused (by our own rules), MirrorCorrupt, StorageFailed, Interrupted, or Internal
    (a defect). ``retryable`` says that time alone may cure it; everything else needs somebody to change something.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable
