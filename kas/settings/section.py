"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from kas.settings.values import Written

Count = Annotated[int, Field(ge=1), Written("number")]
"""A whole number from 1."""


class Section(BaseModel):
    """Settings that belong together: no others than those named, and each of its own type."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)
