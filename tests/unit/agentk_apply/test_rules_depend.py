from __future__ import annotations

import pytest

from agentk.apply.model import Ordering
from agentk.apply.rules.annotated import ordering_of_live, read_ordering
from agentk.apply.rules.depend import MOST, InvalidOrderError, find_cycles, read_depends_on
from agentlink.refs import ObjectRef

OWN = ObjectRef("apps", "Deployment", "web", "own")
POD = ObjectRef("", "Pod", "web", "a")
ROLE = ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "reader")
DEPENDS_ON = "config.kubernetes.io/depends-on"


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("/namespaces/web/Pod/a", (POD,)),
        ("rbac.authorization.k8s.io/ClusterRole/reader", (ROLE,)),
        ("/Namespace/web", (ObjectRef("", "Namespace", "", "web"),)),
        (" /namespaces/web/Pod/a ,\n rbac.authorization.k8s.io/ClusterRole/reader", (POD, ROLE)),
    ],
)
def test_it_is_read_as_cli_utils_writes_it(text: str, refs: tuple[ObjectRef, ...]) -> None:
    assert read_depends_on(text, OWN) == refs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither"),
        ("Pod/a", "neither"),
        ("/namespaces/web/Pod/", "neither"),
        ("/namespace/web/Pod/a", "neither"),
        ("/namespaces/web/Pod/a,", "neither"),
        ("/namespaces/web/Pod/a,/namespaces/web/Pod/a", "twice"),
        ("apps/namespaces/web/Deployment/own", "the object itself"),
        (",".join(f"/Namespace/n{i}" for i in range(MOST + 1)), "more than"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_entry(text: str, says: str) -> None:
    with pytest.raises(InvalidOrderError, match=says) as caught:
        read_depends_on(text, OWN)
    assert caught.value.reason == "InvalidDependency"
    assert DEPENDS_ON in str(caught.value)


@pytest.mark.parametrize(
    ("annotations", "wave"),
    [
        ({"agentk.io/wave": "-3"}, -3),
        ({"argocd.argoproj.io/sync-wave": "5"}, 5),
        ({"agentk.io/wave": "1", "argocd.argoproj.io/sync-wave": "5"}, 1),
    ],
)
def test_waves_are_integers_and_ours_goes_before_argo_cds(annotations: dict[str, str], wave: int) -> None:
    assert read_ordering(annotations, OWN) == Ordering(wave=wave)


@pytest.mark.parametrize(
    "annotations", [{}, {"agentk.io/wave": "0"}, {"argocd.argoproj.io/sync-wave": "soon"}, {"other": "1"}]
)
def test_nothing_said_is_nothing_kept(annotations: dict[str, str]) -> None:
    assert read_ordering(annotations, OWN) is None


@pytest.mark.parametrize("value", ["", "1.5", "first", "9999999999", "\u0661"])
def test_our_own_wave_must_be_an_integer(value: str) -> None:
    with pytest.raises(InvalidOrderError, match="no integer"):
        read_ordering({"agentk.io/wave": value}, OWN)


def test_a_live_objects_unreadable_annotations_say_nothing() -> None:
    assert ordering_of_live({"agentk.io/wave": "first"}, OWN) is None
    assert ordering_of_live({DEPENDS_ON: 7}, OWN) is None
    assert ordering_of_live({DEPENDS_ON: "/namespaces/web/Pod/a", "agentk.io/wave": "2"}, OWN) == Ordering((POD,), 2)


def test_each_object_of_a_cycle_is_told_a_way_through_itself() -> None:
    a, b, c, d = (ObjectRef("", "X", "", name) for name in "abcd")
    found = find_cycles({a: (b,), b: (c, d), c: (a,), d: ()})
    assert found.keys() == {a, b, c}
    assert "x/a → x/b → x/c → x/a" in found[a].message
    assert "x/c → x/a → x/b → x/c" in found[c].message
    assert found[a].reason == "DependencyCycle"


def test_a_cycle_of_thousands_is_found_and_not_listed_whole() -> None:
    refs = [ObjectRef("", "X", "", f"n{i}") for i in range(3000)]
    found = find_cycles({ref: (refs[(i + 1) % 3000],) for i, ref in enumerate(refs)})
    assert len(found) == 3000
    assert len(found[refs[0]].message) < 500
