"""Where a release came from, as an in-toto statement with SLSA's provenance predicate, version 1. Pure.

https://slsa.dev/spec/v1.0/provenance; the statement is signed in a DSSE envelope (``signing``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

BUILD_TYPE = "https://agentk.io/make-release/v1"
"""Names what the parameters mean: ``docs/release.md`` describes it."""


@dataclass(frozen=True, slots=True)
class Build:
    """One run of ``make release``.

    ``builder`` says who ran it: the URL of a CI runner, or ``local``. ``materials`` are what went in, by URI, each with
    its digest as algorithm and hex digits.
    """

    version: str
    repository: str
    commit: str
    builder: str
    invocation: str
    started: datetime
    finished: datetime
    materials: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def statement(build: Build, subjects: Mapping[str, str]) -> dict[str, Any]:
    """Say that ``build`` made ``subjects``, names with their SHA-256 as hex digits."""
    materials = {f"git+{build.repository}": ("gitCommit", build.commit), **build.materials}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": build.version},
                "resolvedDependencies": [
                    {"uri": uri, "digest": {algorithm: digest}} for uri, (algorithm, digest) in materials.items()
                ],
            },
            "runDetails": {
                "builder": {"id": build.builder},
                "metadata": {
                    "invocationId": build.invocation,
                    "startedOn": build.started.isoformat(),
                    "finishedOn": build.finished.isoformat(),
                },
            },
        },
    }
