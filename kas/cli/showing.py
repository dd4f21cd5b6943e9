"""Gets values from kas and writes them: once, or as they change; as a table, JSON or YAML."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import click

from kas.cli.render import Screen, TableWriter, tree_lines
from kas.cli.text import json_text, yaml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from kas.cli.options import Output
    from kas.cli.views import Node, Table
    from kas.client import Client

Query: TypeAlias = "Mapping[str, str | int | None]"

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of value: where it is, how its rows look, and what to say when there is none."""

    path: str
    view: Callable[[Sequence[Any], datetime], Table]
    nothing: str


def show(client: Client, listing: Listing, query: Query, *, output: Output, headers: bool, watch: bool) -> None:
    """Write a list to standard output; with ``watch`` its changes too, until interrupted."""
    if watch:
        _until_interrupted(lambda: _watch(client, listing, query, output=output, headers=headers))
        return
    answer = client.get(listing.path, **query)
    if output in {"json", "yaml"}:
        click.echo(document(answer, output), nl=False)
        return
    items = answer["items"] if isinstance(answer, dict) else []
    if not items:
        click.echo(listing.nothing, err=True)
        return
    _write(_writer(output, headers=headers).lines(listing.view(items, client.now())))


def _watch(client: Client, listing: Listing, query: Query, *, output: Output, headers: bool) -> None:
    writer = _writer(output, headers=headers)
    initial: list[object] | None = []
    for line in client.watch(listing.path, **query):
        if output in {"json", "yaml"}:
            emit(line, output)
            continue
        match line["type"]:
            case "BOOKMARK" if initial is not None:
                # All at once, so that the columns fit.
                _write(writer.lines(listing.view(initial, client.now())))
                initial = None
            case "ADDED" | "MODIFIED" if initial is None:
                _write(writer.lines(listing.view([line["object"]], client.now())))
            case "ADDED" if initial is not None:
                initial.append(line["object"])
            case _:
                pass


def show_tree(
    client: Client,
    query: Query,
    view: Callable[[Any, datetime], Node],
    *,
    output: Output,
    headers: bool,
    watch: bool,
) -> None:
    """Write the tree of an agent; with ``watch`` whole again after each change."""
    if not watch:
        answer = whole_tree(client, query)
        if output in {"json", "yaml"}:
            click.echo(document(answer, output), nl=False)
        else:
            _write(tree_lines(view(answer, client.now()), headers=headers, screen=Screen.of_stdout()))
        return

    def redraw() -> None:
        for line in client.watch("tree", **query):
            if output in {"json", "yaml"}:
                emit(line, output)
            elif line["type"] in {"ADDED", "MODIFIED"}:
                click.clear()  # does nothing unless a person looks
                _write(tree_lines(view(line["object"], client.now()), headers=headers, screen=Screen.of_stdout()))

    _until_interrupted(redraw)


def whole_tree(client: Client, query: Query) -> dict[str, Any]:
    """Return the tree of an agent, put together from its pages."""
    tree = cast("dict[str, Any]", client.get("tree", **query))
    while cursor := tree.pop("next", None):
        page = cast("dict[str, Any]", client.get("tree", **query, cursor=cursor))
        known = {_place(project): project for project in tree["projects"]}
        for project in page["projects"]:
            before = known.get(_place(project))
            if before is None:
                tree["projects"].append(project)
            else:
                before["objects"] += project["objects"]
        tree["next"] = page["next"]
    return tree


def _place(project: dict[str, Any]) -> tuple[int, bool]:
    """Return what tells a project in a tree from the others: a configuration in error stands beside its project."""
    sync = project["sync"]
    return project["project_id"], sync is not None and sync["kind"] == "configuration"


def _until_interrupted(work: Callable[[], None]) -> None:
    try:
        work()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _writer(output: Output, *, headers: bool) -> TableWriter:
    return TableWriter(wide=output == "wide", headers=headers, screen=Screen.of_stdout())


def _write(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def document(value: object, output: Output) -> str:
    """Write a value as JSON or YAML, with the end of its last line."""
    return yaml_text(value) if output == "yaml" else json_text(value) + "\n"


def emit(line: dict[str, object], output: Output) -> None:
    """Write one JSON line or one YAML document a change, so that a reader of the stream can tell them apart."""
    if line["type"] != "BOOKMARK":
        click.echo(json_text(line, indent=None) if output == "json" else f"---\n{yaml_text(line).rstrip()}")
