"""What is written about the command lines is so: in docs/, README.md and the examples of --help itself."""

from __future__ import annotations

import re
import shlex
from itertools import chain
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from agentk.cli import main as agentk
from kas.cli.main import main as kas
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {"kas": kas, "agentk": agentk}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("manifests/examples/**/*.md")])
CODE = re.compile(r"`((?:kas|agentk) [^`:]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SHELL = {"", "console", "sh", "bash"}
HELP_OPTIONS = {"-h", "--help", "--version"}


def commands(program: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its words; groups as well."""
    yield path, program
    if isinstance(program, click.Group):
        for name, command in program.commands.items():
            yield from commands(command, *path, name)


ALL = dict(chain.from_iterable(commands(program, name) for name, program in PROGRAMS.items()))


def typed(block: str) -> Iterator[str]:
    """Yield the commands of a block, each program of a pipe on its own; what is printed is left out where it shows."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"\|\n\s*", "| ", block))
    found = [line.strip() for line in joined.splitlines()]
    prompts = any(line.startswith("$ ") for line in found)
    for line in found:
        if line.startswith("$ ") or not prompts:
            yield from re.split(r"\||<\(|\$\(|&&|;", line.removeprefix("$ ").partition("  #")[0])


def lines(text: str) -> Iterator[str]:
    """Yield what is to be typed in a document, in blocks and within sentences."""
    for language, block in FENCE.findall(text):
        if language in SHELL:
            yield from typed(block)
    yield from CODE.findall(FENCE.sub("", text))


def mistake_in(line: str) -> str | None:
    """Say what is wrong with a command line, None if it is none of ours or nothing is."""
    try:
        words = shlex.split(line.strip().replace("…", "").replace("\\|", "|"), comments=True)
    except ValueError:
        return None
    while words and "=" in words[0] and not words[0].startswith("-"):
        words = words[1:]  # an environment before the command
    if not words or words[0] not in PROGRAMS:
        return None
    path: tuple[str, ...] = (words[0],)
    while isinstance(ALL[path], click.Group) and len(path) < len(words) and (*path, words[len(path)]) in ALL:
        path = (*path, words[len(path)])
    command, rest = ALL[path], words[len(path) :]
    if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]+", rest[0]):
        return f"there is no command {' '.join(path)} {rest[0]}"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        name = word.strip("[]").partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", name) and name not in known | HELP_OPTIONS:
            return f"{' '.join(path)} has no option {name}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_in_a_document_exists(document: Path) -> None:
    said = [(line, mistake) for line in lines(document.read_text()) if (mistake := mistake_in(line))]
    assert said == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_examples_that_exist_and_says_what_its_exit_codes_mean(path: tuple[str, ...]) -> None:
    command = ALL[path]
    if isinstance(command, click.Group) and not command.epilog:
        return
    assert command.epilog is not None, "no examples"
    shown, _, codes = command.epilog.partition("Examples:\n")[2].partition("\n\n")
    assert f" {path[-1]}" in shown
    assert "Exit codes: 0 " in codes
    assert [mistake for line in typed(shown) if (mistake := mistake_in(line))] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(PROGRAMS[path[0]], [*path[1:], "--help"], prog_name=path[0])
    assert ran.exit_code == 0
    assert ran.output.startswith(f"Usage: {' '.join(path)} ")
    assert len(ran.output.splitlines()[2].strip()) > 10


@pytest.mark.parametrize("path", [path for path in ALL if path[0] == "kas"], ids=" ".join)
def test_every_command_of_kas_is_in_its_guide(path: tuple[str, ...]) -> None:
    if isinstance(ALL[path], click.Group):
        return
    text = (ROOT / "docs" / "cli.md").read_text() + (ROOT / "docs" / "operations.md").read_text()
    assert f"`{' '.join(path)}" in text or f"$ {' '.join(path)}" in text


def test_what_is_wrong_is_noticed() -> None:
    assert mistake_in("kas get nothing") == "there is no command kas get nothing"
    assert mistake_in("kas tree --agnet x") == "kas tree has no option --agnet"
    assert mistake_in("KAS_ADDRESS=x kas wait group/app --comit 1") == "kas wait has no option --comit"
    assert mistake_in("kas agent create --project group/config --name my-agent") is None
    assert mistake_in("kubectl get nothing --whatever") is None


HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of headings, as GitLab makes them."""
    without_code = FENCE.sub("", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(without_code)}


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, *sorted(ROOT.glob("docs/decisions/*.md"))], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(FENCE.sub("", document.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text()), target
