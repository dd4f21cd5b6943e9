"""Who may do what: the whole table."""

from __future__ import annotations

import pytest

from kas.web.authorization import EVERYWHERE, Action, Grant, Role, allowed, grant_of, mistake_in

INSIDE = ("group", "group/config", "group/sub/config")
OUTSIDE = ("group2", "group-2/config", "other", "other/group/config", "grou", "Group/config", EVERYWHERE)


@pytest.mark.parametrize("project", [*INSIDE, *OUTSIDE])
@pytest.mark.parametrize("action", list(Action))
def test_an_admin_may_everything_everywhere(action: Action, project: str) -> None:
    assert allowed(Grant(Role.ADMIN), action, project)


@pytest.mark.parametrize("project", INSIDE)
@pytest.mark.parametrize(
    ("role", "actions"),
    [(Role.MAINTAINER, {Action.READ, Action.REGISTER, Action.AUDIT, Action.OPERATE}), (Role.READ, {Action.READ})],
)
def test_a_bound_token_may_what_its_role_says_in_its_group(role: Role, actions: set[Action], project: str) -> None:
    grant = Grant(role, "group")

    assert {action for action in Action if allowed(grant, action, project)} == actions


@pytest.mark.parametrize("project", OUTSIDE)
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", [Role.MAINTAINER, Role.READ])
def test_a_bound_token_may_nothing_outside_of_its_group(role: Role, action: Action, project: str) -> None:
    assert not allowed(Grant(role, "group"), action, project)


@pytest.mark.parametrize("project", [*INSIDE, *OUTSIDE])
def test_a_reader_that_is_not_bound_sees_everything_and_changes_nothing(project: str) -> None:
    grant = Grant(Role.READ)

    assert {action for action in Action if allowed(grant, action, project)} == {Action.READ}


@pytest.mark.parametrize(
    ("role", "project", "right"),
    [
        ("admin", "", True),
        ("admin", "group", False),
        ("maintainer", "group", True),
        ("maintainer", "", False),
        ("read", "", True),
        ("read", "group", True),
    ],
)
def test_which_tokens_can_be_made(role: str, project: str, right: bool) -> None:  # noqa: FBT001 -- a column of a table
    assert (mistake_in(Grant(Role(role), project)) is None) is right
    assert (grant_of(role, project) is not None) is right


@pytest.mark.parametrize("role", ["", "root", "Admin", "reader"])
def test_a_role_that_nobody_knows_opens_nothing(role: str) -> None:
    assert grant_of(role, "") is None
