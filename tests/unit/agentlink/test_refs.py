"""The digest of a set of objects."""

from __future__ import annotations

from agentlink.refs import ObjectRef, digest_of


def test_the_order_does_not_matter_and_every_part_of_a_name_does() -> None:
    one, other = ObjectRef("apps", "Deployment", "a", "x"), ObjectRef("", "Secret", "b", "y")
    assert digest_of([one, other]) == digest_of([other, one])
    assert (
        len(
            {
                digest_of(refs)
                for refs in ([], [one], [other], [one, other], [ObjectRef("apps", "Deployment", "x", "a")])
            }
        )
        == 5
    )
