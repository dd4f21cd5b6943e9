"""How a protective key of config.yaml gets lost, and that the file is refused then: a table of ways."""

from __future__ import annotations

import pytest

from agentlink.manifests.model import Limits
from kas.desired.agent_config import ConfigError, parse_agent_config
from kas.desired.agent_schema import ManifestProject
from kas.desired.protective import OWN, PROTECTIVE, meant

LOOSENING = frozenset(
    {
        "mutation_from_secrets",
        "reconcile_timeout",
        "prune_timeout",
        "inventory_policy",
        "force_conflicts",
        "recreate",
        "health",
    }
)
"""Keys of an entry without which no more happens than with them: a misspelt one leaves the careful default."""


def findings(text: str) -> list[str]:
    """Return the errors of a file, each as ``line key: message``; none where it can be used."""
    try:
        parse_agent_config(text.encode(), path="config.yaml", own_project="group/config", limits=Limits())
    except ConfigError as error:
        return [f"{one.line} {one.key}: {one.message}" for one in error.findings]
    return []


def entry(*lines: str) -> str:
    """Return a file with one entry of these lines."""
    return "\n".join(["gitops:", "  manifest_projects:", "  - id: group/app", *(f"    {line}" for line in lines), ""])


def test_of_every_key_of_an_entry_it_is_decided_whether_it_protects() -> None:
    assert set(ManifestProject.model_fields) == PROTECTIVE | LOOSENING, "add the key to one of the two"
    assert not PROTECTIVE & LOOSENING


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("allowed_namespace", "allowed_namespaces"),
        ("alowed_namespaces", "allowed_namespaces"),
        ("Allowed_Namespaces", "allowed_namespaces"),
        ("ALLOWED_NAMESPACES", "allowed_namespaces"),
        ("allowed-namespaces", "allowed_namespaces"),
        ("allowedNamespaces", "allowed_namespaces"),
        ("allow_namespaces", "allowed_namespaces"),
        ("namespaces", "allowed_namespaces"),
        ("impersonation", "impersonate"),
        ("impersonate_user", "impersonate"),
        ("suspended", "suspend"),
        ("Suspend", "suspend"),
        ("paused", "suspend"),
        ("prune_confirmations", "prune_confirmation"),
        ("confirm_prune", "prune_confirmation"),
        ("prune_large_percentage", "prune_large_percent"),
        ("drift_policy", "drift"),
        ("drifts", "drift"),
        ("ignores", "ignore"),
        ("purne", "prune"),
        ("pruned", "prune"),
        ("refs", "ref"),
        ("path", "paths"),
        ("dryRunStrategy", "dry_run_strategy"),
        ("default_namespaces", "default_namespace"),
        ("prune_propagation", "prune_propagation_policy"),
        ("starboard", None),
        ("resource_inclusions", None),
        ("x", None),
        ("", None),
    ],
)
def test_what_a_key_may_mean(key: str, name: str | None) -> None:
    assert meant(key, PROTECTIVE) == name


@pytest.mark.parametrize("key", sorted(PROTECTIVE))
def test_every_protective_key_is_missed_with_one_letter_too_many(key: str) -> None:
    assert meant(f"{key}x", PROTECTIVE) == key or len(key) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (entry("allowed_namespaces: []"), "4 {}.allowed_namespaces: names no namespace; name at least one, or leave"),
        (entry("allowed_namespaces:"), "4 {}.allowed_namespaces: says nothing; give it a value, or leave the key out"),
        (entry("allowed_namespaces: null"), "4 {}.allowed_namespaces: says nothing"),
        (entry("allowed_namespaces: team-a"), "4 {}.allowed_namespaces: expected a list"),
        (entry("allowed_namespaces: {team-a: true}"), "4 {}.allowed_namespaces: expected a list"),
        (entry("allowed_namespaces: ['*']"), "4 {}.allowed_namespaces[0]: expected a namespace"),
        (entry("allowed_namespaces: [null]"), "4 {}.allowed_namespaces[0]: expected a string"),
        (entry("allowed_namespace: [a]"), "4 {}.allowed_namespace: unknown key; did you mean allowed_namespaces?"),
        (entry("namespaces: [a]"), "4 {}.namespaces: unknown key; did you mean allowed_namespaces?"),
        (entry("impersonation: {service_account: a/b}"), "4 {}.impersonation: unknown key; did you mean impersonate?"),
        (entry("impersonate:"), "4 {}.impersonate: says nothing"),
        (entry("impersonate: {serviceAccount: a/b}"), "4 {}.impersonate.service_account: is missing"),
        (entry("service_account: a/b"), "4 {}.service_account: means nothing here; put it into impersonate"),
        (entry("suspended: true"), "4 {}.suspended: unknown key; did you mean suspend?"),
        (entry("suspend:"), "4 {}.suspend: says nothing"),
        (entry("suspend: 'true'"), "4 {}.suspend: expected true or false"),
        (
            entry("prune_confirmations: always"),
            "4 {}.prune_confirmations: unknown key; did you mean prune_confirmation?",
        ),
        (entry("pruning: false", "purne: false"), "5 {}.purne: unknown key; did you mean prune?"),
        (entry("reff: {tag: v1}"), "4 {}.reff: unknown key; did you mean ref?"),
        (entry("ref: {tags: v1}"), "4 {}.ref.tags: unknown key; did you mean tag?"),
        (entry("tag: v1"), "4 {}.tag: means nothing here; put it into ref"),
        (entry("glob: '/team-a/*.yaml'"), "4 {}.glob: means nothing here; put it into paths"),
        (entry("path: [{glob: a}]"), "4 {}.path: unknown key; did you mean paths?"),
        (
            entry("ignore: [{Kind: Deployment, fields: [/spec/replicas]}]"),
            "4 {}.ignore[0].Kind: unknown key; did you mean kind?",
        ),
        (entry("ignore: [{kind: , fields: [/spec/replicas]}]"), "4 {}.ignore[0].kind: says nothing"),
        (entry("health: [{kind: Widget, current: 'true', Failed: 'self.bad'}]"), "4 {}.health[0].Failed: unknown key"),
        # In the wrong place.
        (
            entry("paths:", "- glob: a", "  allowed_namespaces: [a]"),
            "6 {}.paths[0].allowed_namespaces: means nothing here; put allowed_namespaces into the entry itself",
        ),
        (
            entry("paths: [{glob: a, prune: false}]"),
            "4 {}.paths[0].prune: means nothing here; put prune into the entry",
        ),
        (
            entry("policy: {limits: {allowed_namespaces: [a]}}"),
            "4 {}.policy.limits.allowed_namespaces: means nothing here; put it into the entry itself, beside policy",
        ),
        (
            "gitops:\n  allowed_namespaces: [a]\n  manifest_projects: [{}]\n",
            "2 gitops.allowed_namespaces: means nothing here; put allowed_namespaces into an entry of gitops.manifest",
        ),
        (
            "gitops:\n  defaults: {suspend: true}\n  manifest_projects: [{}]\n",
            "2 gitops.defaults.suspend: means nothing here; put it into an entry of gitops.manifest_projects",
        ),
        (
            "allowed_namespaces: [a]\ngitops: {manifest_projects: [{}]}\n",
            "1 allowed_namespaces: means nothing here; put allowed_namespaces into an entry of gitops",
        ),
        ("prune: false\ngitops: {manifest_projects: [{}]}\n", "1 prune: means nothing here; put prune into an entry"),
        ("GitOps: {manifest_projects: [{}]}\n", "1 GitOps: unknown key; did you mean gitops?"),
        (
            "gitops: {manifest_project: [{}]}\n",
            "1 gitops.manifest_project: unknown key; did you mean manifest_projects?",
        ),
        ("gitops: {projects: [{}]}\n", "1 gitops.projects: unknown key; did you mean manifest_projects?"),
        # Twice, or merged over.
        (
            entry("allowed_namespaces: [a]", "allowed_namespaces: [a, b]"),
            "5 {}.allowed_namespaces: is set twice; keep one of them",
        ),
        (entry("ignore: [{kind: A, kind: B, fields: [/a]}]"), "4 {}.ignore[0].kind: is set twice"),
        (
            "gitops: {manifest_projects: [{suspend: true}]}\ngitops: {manifest_projects: [{}]}\n",
            "2 gitops: is set twice",
        ),
        (
            "x: &x {allowed_namespaces: [a, b]}\n" + entry("allowed_namespaces: [a]", "<<: *x"),
            "5 {}.allowed_namespaces: stands before '<<', whose keys replace those before it; put '<<' first",
        ),
        ('{"gitops": {"manifest_projects": [{"suspend": true, "suspend": false}]}}', "1 {}.suspend: is set twice"),
    ],
)
def test_a_lost_protection_is_an_error_with_line_and_remedy(text: str, found: str) -> None:
    (first, *others) = findings(text)
    assert first.startswith(found.format("gitops.manifest_projects[0]"))
    assert not others or "is set twice" in first


@pytest.mark.parametrize(
    "text",
    [
        entry(
            "allowed_namespaces: [a]",
            "suspend: false",
            "ignore: []",
            "drift: report",
            "impersonate: {service_account: a/b}",
        ),
        "x: &x {allowed_namespaces: [a]}\n" + entry("<<: *x", "suspend: true"),
        "gitops:\n  defaults: &d {allowed_namespaces: [a]}\n  manifest_projects:\n  - <<: *d\n",
        # Files as GitLab takes them, with what it ignores.
        entry("paths:", "ref:", "prune:", "dry_run_strategy:", "default_namespace:"),
        entry("paths: []", "ref: {}"),
        entry("pathes: []", "paths: [{glob: a}]"),
        entry("ref: {head: x}", "paths: [{glob: a, recurse: true}]"),
        entry("resource_inclusions: [{api_groups: ['*'], kinds: ['*']}]"),
        "gitops: {charts: [{release_name: a, namespace: b, source: {project: {id: a/b, path: c}}}]}\n",
        "remote_development: {enabled: true, network_policy: {egress: []}, namespaces: [a]}\n",
        "ci_access: {projects: [{id: a/b, default_namespace: c, access_as: {impersonate: {username: u}}}]}\n",
        "user_access: {access_as: {user: {}}, projects: [{id: a/b}]}\nstarboard: {}\n",
        "container_scanning: {namespaces: [a], resource_requirements: {}}\n",
    ],
)
def test_what_gitlab_takes_and_what_is_right_is_taken(text: str) -> None:
    assert findings(text) == []


def test_other_unknown_keys_are_warnings_that_suggest_what_is_near() -> None:
    _, warnings = parse_agent_config(
        entry("reconcile_timout: 5s").encode(), path="config.yaml", own_project="g/c", limits=Limits()
    )
    assert [str(one) for one in warnings] == [
        "line 4: gitops.manifest_projects[0].reconcile_timout: unknown key, ignored; did you mean reconcile_timeout?"
    ]
    assert "reconcile_timeout" not in OWN
