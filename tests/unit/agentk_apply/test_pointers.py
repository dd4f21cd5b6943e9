from __future__ import annotations

from typing import Any

import pytest

from agentk.apply.pointers import PointerError, Step, parse, remove


def document() -> dict[str, Any]:
    return {
        "metadata": {"annotations": {"example.com/a~b": "1", "other": "2"}},
        "spec": {
            "replicas": 3,
            "containers": [{"name": "app", "image": "a"}, {"name": "side", "image": "b"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}],
        },
    }


@pytest.mark.parametrize(
    ("pointer", "steps"),
    [
        ("/spec/replicas", ("spec", "replicas")),
        ("/metadata/annotations/example.com~1a~0b", ("metadata", "annotations", "example.com/a~b")),
        ("/spec/containers/[name=app]/image", ("spec", "containers", (("name", "app"),), "image")),
        ("/ports/[containerPort=80,protocol=TCP]", ("ports", (("containerPort", "80"), ("protocol", "TCP")))),
        ("/items/[path=~1healthz]", ("items", (("path", "/healthz"),))),
    ],
)
def test_a_pointer_is_read_step_by_step(pointer: str, steps: tuple[Step, ...]) -> None:
    assert parse(pointer) == steps


@pytest.mark.parametrize("pointer", ["", "/", "spec/replicas", "/spec//replicas", "/spec/", "/a/[name]", "/a/[=x]"])
def test_what_names_no_field_is_refused(pointer: str) -> None:
    with pytest.raises(PointerError):
        parse(pointer)


@pytest.mark.parametrize(
    ("pointer", "left"),
    [
        ("/spec/replicas", {"replicas": None}),
        ("/spec/containers/[name=app]/image", {"containers": [{"name": "app"}, {"name": "side", "image": "b"}]}),
        ("/spec/containers/[name=side]", {"containers": [{"name": "app", "image": "a"}]}),
        ("/spec/ports/[containerPort=80,protocol=UDP]", {"ports": [{"containerPort": 80, "protocol": "TCP"}]}),
        ("/spec/ports/[containerPort=80]", {"ports": []}),
    ],
)
def test_a_field_is_taken_out(pointer: str, left: dict[str, Any]) -> None:
    changed = document()
    assert remove(changed, parse(pointer))
    expected = document()["spec"] | left
    assert changed["spec"] == {key: value for key, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    "pointer", ["/spec/absent", "/nothing/at/all", "/spec/containers/[name=no]/image", "/spec/[a=b]/c"]
)
def test_what_is_not_there_is_left_alone(pointer: str) -> None:
    changed = document()
    assert not remove(changed, parse(pointer))
    assert changed == document()


@pytest.mark.parametrize("pointer", ["/spec/containers/0/image", "/spec/containers/[name=app]/name"])
def test_a_position_and_the_key_of_an_element_are_refused(pointer: str) -> None:
    with pytest.raises(PointerError):
        remove(document(), parse(pointer))
