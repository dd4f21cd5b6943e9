"""A work tree in which a test or the demo plays the developer: write, commit, push, and all that goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIT_ENVIRONMENT = {
    # Whatever the person or machine has configured must change neither a test nor the demo.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Dev",
    "GIT_AUTHOR_EMAIL": "dev@example.com",
    "GIT_COMMITTER_NAME": "Dev",
    "GIT_COMMITTER_EMAIL": "dev@example.com",
    "LC_ALL": "C",
}


class GitCommandError(AssertionError):
    """A git command of a test failed; the text carries git's own words."""


def git(*args: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run one git command, untouched by the user's own configuration, and return what it printed."""
    answer = subprocess.run(
        ["git", *args],
        cwd=cwd,
        env={**os.environ, **GIT_ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise GitCommandError(f"git {args[0]} failed with {answer.returncode}: {answer.stderr.strip()}")
    return answer.stdout.strip()


def fast_import(bare: Path, stream: bytes) -> str:
    """Commit to main what a stream for ``git fast-import`` says, without a work tree; return the newest commit."""
    subprocess.run(["git", "fast-import", "--quiet"], cwd=bare, input=stream, check=True)
    return git("rev-parse", "main", cwd=bare)


class GitRepository:
    """A work tree on branch ``main`` with one remote. Methods return commit ids, 40 hexadecimal digits.

    Attributes:
        path: the work tree.
        url: the remote, without credentials.
    """

    def __init__(self, path: Path, url: str, *, username: str = "", password: str = "") -> None:
        self.path = path
        self.url = url
        # By the environment: arguments are for everybody on the machine to read, and .git/config outlives the test.
        self._environment: dict[str, str] = {}
        if password:
            parts = urlsplit(url)
            login = f"{quote(username, safe='')}:{quote(password, safe='')}@{parts.netloc}"
            self._environment = {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.{urlunsplit(parts._replace(netloc=login))}.insteadOf",
                "GIT_CONFIG_VALUE_0": url,
            }
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", url)

    def git(self, *args: str) -> str:
        """Run any git command in the work tree and return what it printed."""
        return git(*args, cwd=self.path, environment=self._environment)

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files by their path from the root, without committing."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def remove(self, *names: str) -> None:
        """Delete files or directories, without committing."""
        for name in names:
            target = self.path / name
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()

    def commit(self, message: str = "Change") -> str:
        """Commit everything in the work tree, even if nothing changed."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head()

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def push(self, *refs: str, force: bool = False) -> None:
        """Push refs, the current branch if none is named."""
        self.git("push", "--quiet", *(["--force"] if force else []), "origin", *(refs or ["HEAD"]))

    def push_files(self, files: Mapping[str, str | bytes], message: str = "Change") -> str:
        """Write, commit and push in one go; return the commit."""
        self.write(files)
        commit = self.commit(message)
        self.push()
        return commit

    def push_removal(self, *names: str, message: str = "Remove") -> str:
        """Delete, commit and push in one go; return the commit."""
        self.remove(*names)
        commit = self.commit(message)
        self.push()
        return commit

    def rewrite(self, files: Mapping[str, str | bytes], message: str = "Rewritten") -> str:
        """Put another commit in the place of the last one and force-push it."""
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--amend", "--allow-empty", "--message", message)
        self.push(force=True)
        return self.head()

    def branch(self, name: str) -> None:
        """Create and check out a branch at the current commit."""
        self.git("checkout", "--quiet", "-B", name)

    def checkout(self, name: str) -> None:
        """Check out an existing branch, tag or commit."""
        self.git("checkout", "--quiet", name)

    def tag(self, name: str, *, annotated: bool = False) -> None:
        """Tag the current commit, moving the tag if it exists, and push it."""
        self.git("tag", "--force", *(["--annotate", "--message", name] if annotated else []), name)
        self.push(f"refs/tags/{name}", force=True)

    def delete_remote(self, ref: str) -> None:
        """Delete a branch or tag at the remote."""
        self.git("push", "--quiet", "origin", "--delete", ref)
