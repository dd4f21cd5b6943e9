"""Asks the API server what we may do there. Access reviews are answered and never stored.

A role that names everything (``*``) is recognised by one question a verb; only what that leaves open is asked kind by
kind, some hundreds of small requests.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agentk.apply.model import Kind
    from agentk.check.rights import Right
    from agentk.kube.client import KubeClient

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_MYSELF: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

_AT_ONCE: Final = 16

Key = TypeVar("Key")


async def who_am_i(client: KubeClient) -> str:
    """Return the name that the API server knows us by.

    Raises:
        KubeError: it does not tell, such as one before 1.28.
    """
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = orjson.loads(await client.request("POST", _MYSELF, body=orjson.dumps(body)))
    return str(answer["status"]["userInfo"].get("username", ""))


async def missing_rights(client: KubeClient, asked: Sequence[Right], kinds: Mapping[str, Kind]) -> set[Right]:
    """Return those of the rights that we have not.

    Args:
        client: the connection.
        asked: what to ask for.
        kinds: every kind in ``asked``, by its resource.

    Raises:
        KubeError: the API server does not answer.
    """
    everything = {(right.namespace, right.verb) for right in asked}
    unlimited = await _granted(client, {key: (*key, "*", "*") for key in everything})
    left = [right for right in asked if (right.namespace, right.verb) not in unlimited]
    questions = {
        right: (right.namespace, right.verb, kinds[right.resource].group, kinds[right.resource].plural)
        for right in left
    }
    granted = await _granted(client, questions)
    return {right for right in left if right not in granted}


async def _granted(client: KubeClient, questions: Mapping[Key, tuple[str, str, str, str]]) -> Collection[Key]:
    """Ask each question (namespace, verb, group, plural), some at once; return the keys of those that are allowed."""
    granted: set[Key] = set()
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(key: Key, question: tuple[str, str, str, str]) -> None:
        async with turns:
            if await _allowed(client, *question):
                granted.add(key)

    async with asyncio.TaskGroup() as group:
        for key, question in questions.items():
            group.create_task(ask(key, question))
    return granted


async def _allowed(client: KubeClient, namespace: str, verb: str, group: str, plural: str) -> bool:
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": plural}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = orjson.loads(await client.request("POST", _REVIEWS, body=orjson.dumps(body), timeout=30.0))
    return bool(answer["status"].get("allowed"))
