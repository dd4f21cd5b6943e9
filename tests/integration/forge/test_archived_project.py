"""A project that a real forge keeps for reading only: kas reads it, as before and for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kas.git.mirrors import Mirrors
from kas.git.refs import DEFAULT_BRANCH, GitRef, RefKind
from kas.git.remotes import CredentialKind, CredentialSettings, GitSettings
from kas.git.runner import GitRunner
from tests.support.git_repository import GitCommandError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.forge.client import Gitea

pytestmark = pytest.mark.forge


async def test_an_archived_project_is_read_and_changes_again_when_it_is_brought_back(
    gitea: Gitea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without git's own fetch, which would hide that kas' client does not get on with this server.
    monkeypatch.delattr(GitRunner, "network")
    repository = gitea.create_project("archive/old")
    first = repository.push_files({"a.yaml": "a: 1\n"})
    token = tmp_path / "token"
    token.write_text(gitea.admin.password)
    credential = CredentialSettings(CredentialKind.BASIC, token, gitea.admin.username)
    settings = GitSettings(url_template=gitea.template, credential=credential, allow_http=True)
    before, after = Mirrors(settings, tmp_path / "before"), Mirrors(settings, tmp_path / "after")
    refs = [DEFAULT_BRANCH, GitRef(RefKind.BRANCH, "main")]
    assert await before.mirror("archive/old").look(refs) == dict.fromkeys(refs, first)

    gitea.request("PATCH", "/repos/archive/old", {"archived": True})
    with pytest.raises(GitCommandError):
        repository.push_files({"a.yaml": "a: 2\n"})
    for mirrors in (before, after):  # one that knows it, and one that has never seen it
        mirror = mirrors.mirror("archive/old")
        assert await mirror.look(refs) == dict.fromkeys(refs, first)
        (entry,) = await mirror.tree(first)
        assert await mirror.blobs([entry.blob_id]) == {entry.blob_id: b"a: 1\n"}

    gitea.request("PATCH", "/repos/archive/old", {"archived": False})
    repository.push()
    second = repository.head()
    assert second != first
    for mirrors in (before, after):
        assert await mirrors.mirror("archive/old").look(refs) == dict.fromkeys(refs, second)
        await mirrors.close()
