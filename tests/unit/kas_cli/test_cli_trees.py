"""A tree of several pages becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kas.cli.showing import whole_tree

if TYPE_CHECKING:
    from kas.client import Client


class Pages:
    """A kas that answers with these pages, one after another."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[object] = []

    def get(self, path: str, **query: object) -> object:
        assert path == "tree"
        self.asked.append(query.get("cursor"))
        return self.pages.pop(0)


def page(following: str | None, **objects: list[str]) -> dict[str, Any]:
    projects = [
        {"project_id": ord(name), "project": name, "sync": {"kind": "revision"}, "objects": some}
        for name, some in objects.items()
    ]
    return {"agent": {"name": "a"}, "projects": projects, "next": following}


def objects_of(tree: dict[str, Any]) -> dict[str, list[str]]:
    return {project["project"]: project["objects"] for project in tree["projects"]}


def test_pages_are_followed_to_the_last_and_put_together() -> None:
    pages = Pages(page("2", a=["x"], b=[]), page("3", a=["y"], b=["z"]), page(None, a=[], b=["w"], c=["v"]))
    tree = whole_tree(cast("Client", pages), {"agent": "a"})
    assert objects_of(tree) == {"a": ["x", "y"], "b": ["z", "w"], "c": ["v"]}
    assert pages.asked == [None, "2", "3"]
    assert "next" not in tree


def test_a_kas_without_pages_gives_all_at_once() -> None:
    answer = page(None, a=["x"])
    del answer["next"]
    assert objects_of(whole_tree(cast("Client", Pages(answer)), {"agent": "a"})) == {"a": ["x"]}


def test_a_configuration_in_error_stands_beside_its_project() -> None:
    first, second = page("2", a=["x"]), page(None, a=["y"])
    for one in (first, second):
        configuration = {"project_id": ord("a"), "project": "a", "sync": {"kind": "configuration"}, "objects": []}
        one["projects"].insert(0, configuration)
    tree = whole_tree(cast("Client", Pages(first, second)), {"agent": "a"})
    assert [(one["sync"]["kind"], one["objects"]) for one in tree["projects"]] == [
        ("configuration", []),
        ("revision", ["x", "y"]),
    ]
