"""What an agent's token may look like: checked where it is used and where it is put into manifests.

Whether a token is good is for kas to say; this finds the mistakes of pasting, before anything is sent anywhere.
"""

from __future__ import annotations

_OTHERS = {
    "kasapi-": "a token for kas' API, which people use",
    "glpat-": "a personal access token of GitLab",
    "gldt-": "a deploy token of GitLab",
    "glrt-": "a runner's token",
    "-----BEGIN": "a certificate or a key",
    "Z2xhZ2VudC": "a token still in base64, as Kubernetes shows Secrets: decode it once",
}


class TokenError(Exception):
    """There is no usable token. The text says what to do and never quotes what was found."""


def check_token(text: str, *, source: str) -> str:
    """Return the token in ``text`` without whitespace around it, which files and Secrets often have.

    Raises:
        TokenError: it is none; ``source`` says in the error where it came from.
    """
    token = text.strip()
    if not token:
        raise TokenError(f"{source} is empty: put the line in that `kas token create` printed")
    for prefix, what in _OTHERS.items():
        if token.startswith(prefix):
            raise TokenError(f"{source} holds {what}; agents need the line that `kas token create` printed")
    if len(token.split()) > 1:
        raise TokenError(
            f"{source} has whitespace or a line break inside the token: it was not pasted whole, in one line"
        )
    if not token.isascii() or not token.isprintable():
        raise TokenError(
            f"{source} holds characters that no token has: save it as plain text without a byte order mark"
        )
    return token
