"""Label and field selectors of the lab's API."""

from __future__ import annotations

import pytest

from lab.api.errors import StatusError
from lab.api.label_selector import matches
from lab.api.selectors import parse
from lab.kinds import CONFIG_MAP, NODE, POD, VIRTUAL_MACHINE, Kind


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=b", {"a": "b"}, True), ("a==b", {"a": "c"}, False), ("a!=b", {}, True), ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False), ("a in (b, c)", {"a": "c"}, True), ("a notin (b)", {}, True),
        ("a in (b),c", {"a": "b"}, False), ("n>3", {"n": "4"}, True), ("n<3", {"n": "x"}, False),
        ("a=", {"a": ""}, True),
        ("app.kubernetes.io/name=x,!b", {"app.kubernetes.io/name": "x"}, True), ("", {}, True),
    ],
)
def test_label_selectors(text: str, labels: dict[str, str], expected: bool) -> None:
    """Every operator of the label syntax."""
    assert parse(CONFIG_MAP, text, "").matches({"metadata": {"labels": labels}}) is expected


@pytest.mark.parametrize("text", ["a b", "=x", "a=1,", "-x=1", "a in b"])
def test_unreadable_label_selectors(text: str) -> None:
    """Text that is no selector is 400."""
    with pytest.raises(StatusError) as error:
        parse(CONFIG_MAP, text, "")
    assert error.value.code == 400


def test_field_selectors() -> None:
    """Equality and inequality on the fields that a kind publishes."""
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    assert parse(POD, "", "spec.nodeName=n,status.phase!=Failed").matches(pod)
    assert not parse(POD, "", "spec.nodeName!=n").matches(pod)
    assert parse(POD, "", "status.podIP=").matches(pod)
    assert parse(NODE, "", "spec.unschedulable=false").matches({"metadata": {}})


@pytest.mark.parametrize("kind", [VIRTUAL_MACHINE, POD, CONFIG_MAP])
def test_unknown_fields(kind: Kind) -> None:
    """A field that the kind cannot be selected by is 400."""
    with pytest.raises(StatusError, match="400"):
        parse(kind, "", "spec.nosuch=1")


def test_label_selector_objects() -> None:
    """metav1.LabelSelector: nothing for none, everything for an empty one, all expressions together."""
    assert not matches(None, {})
    assert matches({}, {"a": "b"})
    expressions = [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "c", "operator": "DoesNotExist"}]
    assert matches({"matchExpressions": expressions}, {"a": "b"})
    assert not matches({"matchExpressions": expressions}, {"a": "b", "c": ""})
