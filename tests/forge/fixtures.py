"""pytest fixture for tests on a real forge; mark such tests with ``forge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.forge.binary import find_gitea
from tests.forge.server import running_gitea
from tests.support.go_build import GoBuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.forge.client import Gitea


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a cold build takes minutes, and a fixture's time counts against one test's limit."""
    wanted = any("gitea" in item.fixturenames for item in session.items if isinstance(item, pytest.Function))
    try:
        if wanted and not session.config.option.collectonly:
            find_gitea()
    except GoBuildError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def gitea() -> Iterator[Gitea]:
    """The Gitea of this worker, started when the first test asks; take project names of your own."""
    with running_gitea(find_gitea()) as forge:
        yield forge
