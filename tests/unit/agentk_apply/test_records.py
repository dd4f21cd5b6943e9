"""Whatever is recorded of an object comes back as it was, packed or not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from agentk.apply.model import Recorded
from agentk.apply.records import Records
from agentlink.refs import ObjectRef

REF = ObjectRef("", "ConfigMap", "shop", "settings")
OTHER = REF._replace(name="other")
FULL = Recorded(REF, "0123456789abcdef", "fedcba9876543210", "8a5f8f4e-1111-2222-3333-444455556666")
NOUGHT = Recorded(REF, "0" * 16, "0" * 16, "00000000-0000-0000-0000-000000000000")

DIGESTS = st.just("") | st.text("0123456789abcdef", min_size=15, max_size=17) | st.text(max_size=16)
UIDS = st.just("") | st.uuids().map(str) | st.uuids().map(lambda uid: str(uid).upper()) | st.text(max_size=36)
RECORDS = st.builds(Recorded, ref=st.just(REF), digest=DIGESTS, fingerprint=DIGESTS, uid=UIDS)


@given(RECORDS, RECORDS)
@example(FULL, Recorded(REF))
@example(FULL, replace(FULL, digest=FULL.digest[:15], fingerprint=f"{FULL.digest[15]}{FULL.fingerprint}"))
@example(FULL, replace(FULL, uid=f"{FULL.uid}\n"))
@example(FULL, replace(FULL, digest="0" * 16))
@example(NOUGHT, Recorded(REF))
def test_a_record_comes_back_as_it_was_and_only_another_one_is_news(first: Recorded, second: Recorded) -> None:
    records = Records()
    assert (records.put(first), records.put(first), records[REF]) == (True, False, first)
    assert records.put(second) is (first != second)
    assert records == {REF: second}
    del records[REF]
    assert (len(records), REF in records, records.get(REF)) == (0, False, None)


def test_of_two_records_of_one_object_the_last_one_counts() -> None:
    assert Records.of([FULL, Recorded(OTHER), Recorded(REF)]) == {REF: Recorded(REF), OTHER: Recorded(OTHER)}


def test_some_of_them_stay_as_they_were_while_others_change() -> None:
    records = Records.of([FULL, Recorded(OTHER)])
    some = records.some([REF, REF._replace(name="unknown")])
    records.put(replace(FULL, digest="a" * 16))
    del records[OTHER]
    assert some == {REF: FULL}
