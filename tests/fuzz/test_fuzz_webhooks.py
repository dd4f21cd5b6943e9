"""Whatever is sent to a webhook: a plain project path, nothing, or an answer of 400; and no proof that is none."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import strategies as st

from kas.web.errors import ApiError
from kas.web.queries import is_project_path
from kas.web.webhook_senders import SENDERS
from tests.fuzz.inputs import fuzz, text

SECRET = b"a secret of those who may send"
EVENTS = ("", "push", "create", "delete", "pull_request", "\udcff")
TOKENS = (
    b'"project":', b'"path_with_namespace":', b'"repository":', b'"full_name":', b'"object_kind":', b'"event_name":',
    b'"push"', b"null", b"{", b"}", b"[" * 50, b",", b'"../../etc"', b'"a/./b"', b'"' + b"a/" * 40 + b'"', b"1e999",
    b"\\u0000", b"\\ud800",
)  # fmt: skip


@fuzz("webhooks", tokens=TOKENS, made=st.binary(max_size=8).map(lambda inner: b'{"project": "g/' + inner + b'"}'))
def test_a_body_names_a_project_nothing_or_is_refused(data: bytes) -> None:
    for sender in SENDERS:
        for event in EVENTS:
            try:
                project = sender.pushed_project(event, data)
            except ApiError as error:
                assert error.status == 400
            else:
                assert project is None or is_project_path(project)
                assert project is None or not {"", ".", ".."} & set(project.split("/"))


@fuzz("webhooks", tokens=TOKENS)
def test_only_the_proof_by_the_secret_is_taken(data: bytes) -> None:
    for sender in SENDERS:
        proof = SECRET.decode()
        if sender.signed:
            proof = sender.proof_prefix + hmac.new(SECRET, data, hashlib.sha256).hexdigest()
        assert sender.is_genuine(SECRET, proof, data)
        assert not sender.is_genuine(b"", "" if not sender.signed else proof, data)
        for wrong in (text(data), proof + "0", proof[:-1], proof.swapcase(), "sha1=" + proof):
            assert not sender.is_genuine(SECRET, wrong, data)
        if sender.signed:
            assert not sender.is_genuine(SECRET, proof, data + b" ")
