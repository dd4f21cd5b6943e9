"""Sealed words find a project's inventory; its number does where nothing is said; another's words never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentk.apply.identity import Claim, Identity, annotations_of, claim_of
from agentk.apply.model import Refusal
from agentk.apply.rules.whose import choose, refuse_words
from agentk.apply.seal import Seal

ME = Identity("group/app", "group/config", "prod")
OTHER_PROJECT = Identity("group/other", "group/config", "prod")
OTHER_AGENT = Identity("group/app", "group/config", "staging")
KEY = b"k" * 32


def says(inventory_id: str, words: Identity | None = None, *, genuine: bool = True) -> Claim:
    return Claim(inventory_id, words, genuine and words is not None)


@pytest.mark.parametrize(
    ("claims", "chosen"),
    [
        ([], "9-9"),
        ([says("9-9")], "9-9"),
        ([says("9-9", ME)], "9-9"),
        ([says("9-9", ME, genuine=False)], "9-9"),
        ([says("1-1", ME)], "1-1"),
        ([says("1-1", ME), says("9-9")], "1-1"),
        ([says("1-1", ME), says("9-9", OTHER_PROJECT)], "1-1"),
        ([says("1-1", ME), says("9-9", ME)], "9-9"),
        ([says("1-1", ME, genuine=False)], "9-9"),
        ([says("1-1", OTHER_AGENT)], "9-9"),
        ([says("1-1", OTHER_PROJECT), says("1-2")], "9-9"),
        ([says("9-9", OTHER_AGENT)], "9-9"),
        ([says("9-9", OTHER_PROJECT)], "InventoryOfAnother"),
        ([says("9-9", OTHER_PROJECT, genuine=False)], "InventoryOfAnother"),
        ([says("1-1", ME), says("1-2", ME)], "InventoryAmbiguous"),
    ],
)
def test_a_project_goes_on_with_the_inventory_that_is_its_own(claims: list[Claim], chosen: str) -> None:
    found = choose(claims, "9-9", ME)
    assert (found.reason if isinstance(found, Refusal) else found) == chosen
    assert choose(reversed(claims), "9-9", ME) == found


def test_an_inventory_of_an_earlier_path_is_the_projects_unless_one_says_the_present_path() -> None:
    renamed = replace(ME, former=("group/first", "Group/App"))
    before = says("1-1", replace(ME, project="Group/App"))
    assert choose([before], "9-9", renamed) == "1-1"
    assert choose([before], "1-1", renamed) == "1-1"
    assert isinstance(choose([before], "1-1", ME), Refusal), "nobody has said that it is a rename"
    assert choose([before, says("1-2", ME)], "1-1", renamed) == "1-2"
    assert choose([says("1-1", replace(OTHER_AGENT, project="Group/App"))], "9-9", renamed) == "9-9"


def test_a_project_in_the_place_of_one_that_was_renamed_does_not_get_its_inventory() -> None:
    assert choose([says("1-1", ME)], "9-9", replace(ME, ceded=("1-1",))) == "9-9"
    assert choose([says("1-1", ME), says("9-9", ME)], "9-9", replace(ME, ceded=("1-1",))) == "9-9"


def test_a_refusal_names_both_and_does_not_suggest_to_take_what_is_anothers() -> None:
    refusal = refuse_words(says("9-9", OTHER_PROJECT), ME)
    assert refusal is not None
    assert "9-9 says that it is of project group/other of agent group/config:prod, not of project group/app" in (
        refusal.message
    )
    assert "`kas project rename group/other group/app`" in refusal.message
    assert "adopt" not in refusal.message


def test_words_are_genuine_for_the_inventory_place_and_key_that_they_were_written_for() -> None:
    seal = Seal(KEY, "1-1")
    written = {name: word for name, word in annotations_of(ME, "web", seal).items() if word is not None}
    assert claim_of("1-1", "web", written, seal) == Claim("1-1", ME, genuine=True)
    assert claim_of("1-1", "web", written, None) == Claim("1-1", ME)
    assert claim_of("1-1", "elsewhere", written, seal) == Claim("1-1", ME)
    assert claim_of("1-2", "web", written, Seal(KEY, "1-2")) == Claim("1-2", ME)
    assert claim_of("1-1", "web", written, Seal(b"o" * 32, "1-1")) == Claim("1-1", ME)
    forged = written | {"agentk.io/project": "group/other"}
    assert claim_of("1-1", "web", forged, seal) == Claim("1-1", OTHER_PROJECT)
    unsealed = {name: word for name, word in annotations_of(ME, "web", None).items() if word is not None}
    assert claim_of("1-1", "web", unsealed, seal) == Claim("1-1", ME)
    assert claim_of("1-1", "web", {"agentk.io/identity": "ä"}, seal) == Claim("1-1")
    assert not claim_of("1-1", "web", written | {"agentk.io/identity": "ä\ud800"}, seal).genuine
