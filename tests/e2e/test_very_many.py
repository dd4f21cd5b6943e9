"""Sixty Deployments and twenty namespaces at once; ``make chaos`` has a thousand of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.many import many
from tests.support.driven import Driven

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def test_very_many_deployments_and_namespaces_are_created_changed_and_deleted(
    installation: Installation, kube: Kube, namespace: str
) -> None:
    driven = Driven(installation.kas, "many", "own/many", installation.git.create("own/many"), kube, namespace)
    many(installation, driven, deployments=60, namespaces=20)
