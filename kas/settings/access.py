"""The setting ``project_access``: which projects the configurations of agents may name. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from kas.desired.project_access import EVERYTHING
from kas.desired.references import checked_project
from kas.settings.values import Written


def _path(text: str) -> str:
    try:
        return text if text == EVERYTHING else checked_project(text)
    except ValueError:
        raise ValueError("expected the path of a project or group, such as group/project, or '*' for all") from None


_Path = Annotated[str, AfterValidator(_path)]
_Paths = Annotated[tuple[_Path, ...], Field(strict=False)]

Access = Annotated[dict[_Path, _Paths], Written("lists of paths, by path")]
