"""The behaviours of cli-utils' end-to-end suite, one file each by its name there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.kube import ApiError
from tests.support.synced import Gates
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kube import Kube


@pytest.fixture(scope="session")
def gates(kube: Kube) -> Iterator[Gates]:
    """A kind of custom resource whose health the tests decide, served."""
    found = Gates(kube)
    kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", found.definition)
    wait_until(lambda: _is_served(kube, found), what="gates are served")
    yield found
    kube.delete(found.definition_path)


def _is_served(kube: Kube, gates: Gates) -> bool:
    try:
        return kube.find(f"/apis/{gates.group}/v1/gates") is not None
    except ApiError as error:
        if error.status == 429:  # "storage is (re)initializing"
            return False
        raise
