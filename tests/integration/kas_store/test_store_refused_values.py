"""A value that a database will never take is told apart from a database that is away, and never shown."""

from __future__ import annotations

import random

import pytest

from agentlink.refs import ObjectRef
from kas.store.batches import Batch
from kas.store.errors import ValueRefused
from kas.store.records import ObjectRecord
from kas.store.store import Store
from kas.store.times import utc_now


def names_of_four_bytes_a_character(length: int = 253) -> ObjectRef:
    """Return a name as long as kas lets in, that no compression makes shorter: 4 kB in a key of the table."""
    chance = random.Random(1)  # noqa: S311 - any names will do
    return ObjectRef(*("".join(chr(chance.randrange(0x20000, 0x2A000)) for _ in range(length)) for _ in range(4)))


def outcome(agent_id: int, ref: ObjectRef, message: str = "") -> ObjectRecord:
    return ObjectRecord(agent_id, 1, ref, "created", "current", "", message, "a.yaml", "s", utc_now())


async def test_names_too_long_for_an_index_are_refused_by_postgresql_and_no_reason_to_call_it_away(
    postgres_url: str,
) -> None:
    store = await Store.open(postgres_url)
    await store.projects.pin("g/p", 1)
    agent = await store.agents.create("g/p", "prod")
    with pytest.raises(ValueRefused, match="index row size") as refused:
        await store.batches.write(
            Batch(agent.id, objects=(outcome(agent.id, names_of_four_bytes_a_character()),)),
        )
    assert "pk_objects" in str(refused.value)
    await store.ping()
    await store.close()


@pytest.mark.parametrize("text", ["hunter2\0", "hunter2\ud800"], ids=["NUL", "a lone surrogate"])
async def test_a_text_that_postgresql_does_not_take_is_refused_without_showing_it(postgres_url: str, text: str) -> None:
    store = await Store.open(postgres_url)
    with pytest.raises(ValueRefused) as refused:
        await store.projects.id_of(text)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert await store.projects.list() == ()
    await store.close()


async def test_a_text_longer_than_its_column_is_refused_by_postgresql(postgres_url: str) -> None:
    store = await Store.open(postgres_url)
    with pytest.raises(ValueRefused, match="too long"):
        await store.projects.id_of("a" * 3000)
    await store.close()


async def test_a_number_and_a_text_that_fit_nowhere_are_refused_by_both(store: Store) -> None:
    await store.projects.pin("g/p", 1)
    agent = await store.agents.create("g/p", "prod")
    ref = ObjectRef("", "ConfigMap", "n", "a")
    for batch in (
        Batch(agent.id, objects=(outcome(agent.id, ref, message="\ud800"),)),
        Batch(agent.id, objects=(ObjectRecord(agent.id, 2**63, ref, "", "", "", "", "", "s", utc_now()),)),
    ):
        with pytest.raises(ValueRefused):
            await store.batches.write(batch)
    assert await store.objects.list(agent.id) == ()
