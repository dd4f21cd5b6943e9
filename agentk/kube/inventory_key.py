"""The key that inventories are sealed with, in a Secret: found, or made where there is none.

It lies where agentk runs, so that whoever may write ConfigMaps elsewhere can read and forge nothing. All inventories of
all agents in that namespace have it in common; what it is used for is bound to one of them (``agentk.apply.seal``).

An agentk that may not read or make it goes on: then nothing but names is written into inventories and believed of
them, and every object is applied anew at the start.
"""

from __future__ import annotations

import asyncio
import binascii
import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.model import Kind
from agentk.apply.names import FIELD_MANAGER, INVENTORY_KEY
from agentk.apply.seal import KEY_BYTES
from agentk.kube.errors import KubeError
from agentk.kube.failures import read_document
from agentk.kube.paths import collection_path, object_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender
from agentlink import logs
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from agentk.kube.client import KubeClient

SECRET: Final = Kind("", "v1", "Secret", "secrets", namespaced=True)

REMEDY: Final = (
    f"allow to get the Secret {INVENTORY_KEY} and to create Secrets there, as the Role gitlab-agent-leader-election of"
    " `kas generate` and the Helm chart does"
)

_KEY: Final = "key"
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409

log = logs.get_logger("inventory")


class InventoryKey:
    """The key; asked for once, and again whenever it could not be had."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        """Describe where it is; nothing is sent.

        Args:
            client: The connection, as agentk itself.
            namespace: Where the Secret is.
        """
        self.ref = ObjectRef("", "Secret", namespace, INVENTORY_KEY)
        self._sender = Sender(client, RetryPolicy())
        self._asking = asyncio.Lock()
        self._key: bytes | None = None
        self._refused = ""
        self._told = False

    @property
    def refused(self) -> str:
        """Return why there is no key to be had, empty while that is not known to be so."""
        return self._refused

    async def find(self) -> bytes | None:
        """Return the key, None where there is none or it may not be read; nothing is written.

        Raises:
            KubeError: The API server does not answer.
        """
        async with self._asking:
            return await self._find()

    async def get(self) -> bytes | None:
        """Return the key, made if there is none; None where that may not be, as the log says once.

        Raises:
            KubeError: The API server does not answer.
        """
        async with self._asking:
            if self._key is None and not self._refused and await self._find() is None and not self._refused:
                await self._make()
            if self._refused and not self._told:
                self._told = True
                log.warning(
                    "Inventories remember names only, and every object is applied anew at the start", why=self._refused
                )
            return self._key

    async def _find(self) -> bytes | None:
        if self._key is not None:
            return self._key
        self._refused = ""
        try:
            response = await self._sender.send("GET", object_path(SECRET, self.ref))
        except KubeError as error:
            if error.status == _FORBIDDEN:
                self._refuse(f"may not be read ({error.message}); {REMEDY}")
            elif error.status != _NOT_FOUND:
                raise
            return None
        self._key = _key_in(read_document(response.body))
        if self._key is None:
            self._refuse("holds no key; delete it, and agentk makes another when it is started anew")
        return self._key

    async def _make(self) -> None:
        """Make the key; of several replicas that do so at once one succeeds, and its key is everybody's."""
        key = secrets.token_bytes(KEY_BYTES)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.ref.name, "namespace": self.ref.namespace},
            "immutable": True,
            "data": {_KEY: b64encode(key).decode()},
        }
        path = f"{collection_path(SECRET, self.ref.namespace)}?fieldManager={FIELD_MANAGER}"
        try:
            await self._sender.send("POST", path, orjson.dumps(body))
        except KubeError as error:
            if error.status == _CONFLICT:
                await self._find()
            elif error.status in {_FORBIDDEN, _NOT_FOUND}:
                self._refuse(f"may not be made ({error.message}); {REMEDY}")
            else:
                raise
            return
        self._key = key

    def _refuse(self, why: str) -> None:
        self._refused = f"the Secret {self.ref.namespace}/{self.ref.name} {why}"


def _key_in(secret: dict[str, object]) -> bytes | None:
    data = secret.get("data")
    text = data.get(_KEY) if isinstance(data, dict) else None
    try:
        key = b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None
