"""Bodies in Kubernetes' protobuf form become what JSON would have said."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.api import protobuf
from lab.api.errors import StatusError
from lab.api.negotiate import decode_body, load_yaml


def varint(value: int) -> bytes:
    head, rest = value & 0x7F, value >> 7
    return bytes((head,)) if not rest else bytes((head | 0x80,)) + varint(rest)


def field(number: int, value: Any) -> bytes:
    """One field: an int, a text, or the bytes of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(kind: str, version: str, *fields: bytes) -> bytes:
    head = field(1, version) + field(2, kind)
    return b"k8s\x00" + field(1, head) + field(2, b"".join(fields)) + field(3, "") + field(4, "")


META = field(1, field(1, "x") + field(2, "") + field(3, "demo") + field(7, 0) + field(8, b"")
             + field(11, field(1, "a") + field(2, "b")))


@pytest.mark.parametrize(("data", "wanted"), [
    (body("Eviction", "policy/v1", META, field(2, field(1, 0) + field(2, field(1, "u")) + field(5, "All"))), {
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "x", "namespace": "demo", "labels": {"a": "b"}},
        "deleteOptions": {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "dryRun": ["All"]},
    }),
    (body("Secret", "v1", field(2, field(1, "k") + field(2, b"\x00\x01")), field(5, 1)), {
        "apiVersion": "v1", "kind": "Secret", "data": {"k": "AAE="}, "immutable": True,
    }),
    (body("TokenRequest", "authentication.k8s.io/v1", field(2, field(1, "a") + field(1, "b") + field(4, 660))), {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["a", "b"], "expirationSeconds": 660},
    }),
    (body("Role", "rbac.authorization.k8s.io/v1", field(2, field(1, "get") + field(2, "") + field(3, "pods"))), {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
    }),
])
def test_known_kinds_are_read(data: bytes, wanted: Any) -> None:
    """Texts that are not set are left out; numbers, maps, bytes and repeated fields as JSON has them."""
    assert decode_body(data, protobuf.MEDIA_TYPE, "x") == wanted


def test_an_unknown_kind_is_refused() -> None:
    """415, as the server answers what it cannot read."""
    with pytest.raises(StatusError) as refused:
        decode_body(body("Pod", "v1"), protobuf.MEDIA_TYPE, "Pod")
    assert refused.value.code == 415


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, enveloped: bool) -> None:
    """Whatever a client sends is an object, none, or a ValueError, which becomes 400."""
    with contextlib.suppress(ValueError):
        protobuf.decode(body("Secret", "v1", data) if enveloped else b"k8s\x00" + data)


@pytest.mark.parametrize("lost", [5, 12, 20])
def test_a_cut_off_body_is_400(lost: int) -> None:
    """Where it ends within a field; a field that is not there at all is only not set."""
    with pytest.raises(StatusError) as refused:
        decode_body(body("Namespace", "v1", META)[:-lost], protobuf.MEDIA_TYPE, "Namespace")
    assert refused.value.code == 400


def test_times_in_yaml_stay_texts() -> None:
    assert load_yaml(b"renewTime: 2026-01-01T00:00:10Z\nn: 1\n") == {"renewTime": "2026-01-01T00:00:10Z", "n": 1}
