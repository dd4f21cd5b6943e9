"""Commits as people write them on the command line. Pure."""

from __future__ import annotations

import re

import click

_DIGITS = re.compile(r"[0-9a-f]{4,64}")


class Commit(click.ParamType[str]):
    """The digits of a commit's id, or at least its first ``least``."""

    name = "commit"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read one, as click asks for it; a branch, tag or ``HEAD~1`` is refused, as it is another commit tomorrow."""
        text = str(value).lower()
        if not _DIGITS.fullmatch(text) or len(text) < self._least:
            self.fail(
                f"{value!r} is not a commit: {self._least} digits of its id or more, such as 844d9047; "
                "`kas history` lists those that a project had",
                param,
                ctx,
            )
        return text
