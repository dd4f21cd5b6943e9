from __future__ import annotations

import pytest

from agentlink.agent_token import TokenError, check_token

TOKEN = "glagent-" + "a1B2_c3-" * 7


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"  {TOKEN}\r\n\n", "an-old-token-of-gitlab-without-prefix"])
def test_whitespace_around_a_token_does_no_harm(text: str) -> None:
    assert check_token(text, source="x") == text.strip()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{TOKEN[:20]}\n{TOKEN[20:]}", "not pasted whole"),
        (f"{TOKEN} {TOKEN}", "not pasted whole"),
        ("glpat-" + "secretsecret", "personal access token of GitLab"),
        ("kasapi-" + "secretsecret", "kas' API"),
        ("Z2xhZ2VudC1hYWFhYWFh", "base64"),
        ("-----BEGIN CERTIFICATE-----", "certificate"),
        ("\ufeffglagent-secretsecret", "plain text"),
        ("glagent-secret\0secret", "plain text"),
    ],
)
def test_what_is_no_token_is_named_and_not_shown(text: str, hint: str) -> None:
    with pytest.raises(TokenError, match=hint) as refused:
        check_token(text, source="the token file /run/token")
    assert str(refused.value).startswith("the token file /run/token ")
    assert "secretsecret" not in str(refused.value)
    assert TOKEN[8:28] not in str(refused.value)
