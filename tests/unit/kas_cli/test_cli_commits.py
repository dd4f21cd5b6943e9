"""How commits are named on the command line."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kas.cli.commits import Commit
from kas.cli.main import main


def test_a_commit_is_named_by_its_digits_and_by_nothing_that_moves() -> None:
    assert Commit(least=7).convert("844D9047", None, None) == "844d9047"
    assert Commit(least=4).convert("844d", None, None) == "844d"
    for wrong in ("main", "HEAD", "HEAD~1", "844d90", "844d904g", ""):
        with pytest.raises(click.BadParameter, match="is not a commit"):
            Commit(least=7).convert(wrong, None, None)


@pytest.mark.parametrize(("command", "option"), [("rollback", "--to"), ("wait", "--commit")])
def test_what_is_no_commit_is_refused_in_words_of_the_command_line(command: str, option: str) -> None:
    done = CliRunner().invoke(main, [command, "group/app", "--agent", "my-agent", option, "HEAD~1"])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output
    assert "`kas history` lists" in done.output
