"""The real Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helm.binary import find_helm
from tests.helm.charts import Helm
from tests.support.go_build import GoBuildError

if TYPE_CHECKING:
    from pathlib import Path


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a cold build takes minutes, and a fixture's time counts against one test's limit."""
    wanted = any("helm" in item.fixturenames for item in session.items if isinstance(item, pytest.Function))
    try:
        if wanted and not session.config.option.collectonly:
            find_helm()
    except GoBuildError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    return Helm(find_helm(), tmp_path)
