"""What an agent has to be able to do before it is sent a project: a table of protections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentlink.capabilities import CAPABILITIES, Capability, able_of
from kas.desired.agent_config import IgnoreRule, ManifestProjectConfig
from kas.gitops.protections import withheld

PLAIN = ManifestProjectConfig("group/app")
USED = [
    (replace(PLAIN, allowed_namespaces=("a",)), {Capability.ALLOWED_NAMESPACES, Capability.CONFINED_SOURCES}),
    (replace(PLAIN, drift="report"), {Capability.DRIFT}),
    (replace(PLAIN, drift="ignore"), {Capability.DRIFT}),
    (replace(PLAIN, dry_run_strategy="client"), {Capability.DRY_RUN}),
    (replace(PLAIN, dry_run_strategy="server"), {Capability.DRY_RUN}),
    (replace(PLAIN, ignore=(IgnoreRule(("/spec",)),)), {Capability.IGNORE}),
    (replace(PLAIN, impersonate_user="system:serviceaccount:a:b"), {Capability.IMPERSONATE}),
    (replace(PLAIN, prune=False), {Capability.PRUNE}),
    (replace(PLAIN, prune_confirmation="always"), {Capability.PRUNE_CONFIRMATION}),
    (replace(PLAIN, prune_large_percent=49), {Capability.PRUNE_CONFIRMATION}),
    (replace(PLAIN, prune_propagation_policy="orphan"), {Capability.PRUNE_PROPAGATION}),
    (replace(PLAIN, suspend=True), {Capability.SUSPEND}),
]
UNUSED = [
    PLAIN,
    replace(PLAIN, prune_confirmation="never"),
    replace(PLAIN, prune_large_percent=100),
    replace(PLAIN, prune_propagation_policy="background"),
    replace(PLAIN, inventory_policy="adopt_all", force_conflicts=True, recreate=True),
]


@pytest.mark.parametrize(("config", "needed"), USED)
def test_a_protection_needs_exactly_what_enforces_it(config: ManifestProjectConfig, needed: set[Capability]) -> None:
    assert withheld(config, suspended_by=None, able=needed, version="1") is None
    for one in needed:
        why = withheld(config, suspended_by=None, able=set(CAPABILITIES) - {one}, version="0.9")
        assert why is not None
        assert why.startswith("agentk 0.9 would ignore a protection of this project, so the project is not sent to it")
        assert f"needs {one}" in why


@pytest.mark.parametrize("config", UNUSED)
def test_what_protects_nothing_needs_nothing(config: ManifestProjectConfig) -> None:
    assert withheld(config, suspended_by=None, able=(), version="") is None


@pytest.mark.parametrize("by", ["anna", ""])
def test_a_suspension_by_a_command_needs_an_agent_that_knows_suspensions(by: str) -> None:
    assert withheld(PLAIN, suspended_by=by, able=[Capability.SUSPEND], version="1") is None
    why = withheld(PLAIN, suspended_by=by, able=set(CAPABILITIES) - {Capability.SUSPEND}, version="1")
    assert why is not None
    assert f"the suspension by {by or 'nobody in particular'} needs suspend" in why


def test_all_that_is_lacking_is_named() -> None:
    config = replace(PLAIN, allowed_namespaces=("a",), prune=False)
    why = withheld(config, suspended_by=None, able=(), version="")
    assert why is not None
    assert "agentk of an unknown version" in why
    assert "allowed_namespaces in config.yaml needs allowed_namespaces and confined_sources" in why
    assert "prune: false in config.yaml needs prune" in why


def test_every_capability_is_needed_by_something() -> None:
    needed = set().union(*(needed for _, needed in USED), {Capability.INSTALLATION})  # by streams
    assert set(CAPABILITIES) == set(Capability) == needed


def test_what_a_newer_agent_says_more_is_left_out_and_agents_that_say_the_same_share_it() -> None:
    able = able_of(["suspend", "from_the_future", "prune"])
    assert able == {Capability.SUSPEND, Capability.PRUNE}
    assert able_of(["prune", "suspend"]) is able
