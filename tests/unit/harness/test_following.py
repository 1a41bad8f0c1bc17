"""Following: a copy stays what the server told, a watch that breaks goes on where it was, and what was lost is said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drainproof import following as module
from drainproof.api import PODS, Cluster, Object, Objects, Resource
from drainproof.errors import ApiError
from drainproof.following import LONG_SECONDS, PROOF_SECONDS, WINDOW_SECONDS, Following, Interest, Listener
from drainproof.wait import Deadline, wait

Step = tuple[str, Object] | ApiError | float
"""An event of a watch, the error that ends it, or so many seconds that pass."""


def pod(name: str, version: int, **more: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version)}, **more}


def bookmark(version: int) -> Step:
    return "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}


@dataclass
class Script:
    """Answers each list and each watch with the next of what is written for it; the last watch stays open."""

    lists: list[Objects | ApiError]
    watches: list[list[Step]] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Of each watch, from which version and for how long it was asked."""
    now: float = 0.0
    listed: int = 0

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        assert (resource, namespace, labels, fields) == (PODS, "ns", "a=b", "")
        found = self.lists[min(self.listed, len(self.lists) - 1)]
        self.listed += 1
        if isinstance(found, ApiError):
            raise found
        return {"items": found, "metadata": {"resourceVersion": str(100 * self.listed)}}

    def watch(
        self, resource: Resource, namespace: str | None, version: str, seconds: int, *, labels: str, fields: str,
        opened: Callable[[Callable[[], None]], None],
    ) -> Iterator[tuple[str, Object]]:
        assert (resource, namespace, labels, fields) == (PODS, "ns", "a=b", "")
        over = threading.Event()
        opened(over.set)
        steps = self.watches.pop(0) if self.watches else None
        self.asked.append((version, seconds))
        for step in steps or ():
            if isinstance(step, ApiError):
                raise step
            if isinstance(step, float):
                self.now += step
            else:
                yield step
        if steps is None:
            over.wait(10)


class Told(Listener):
    """Keeps what it is told, in words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def listed(self, items: Objects, version: str, *, unchanged: bool) -> None:
        self.words.append(f"listed {len(items)}{' unchanged' if unchanged else ''}")

    def changed(self, event: str, item: Object) -> None:
        self.words.append(f"{event} {item['metadata']['name']}")

    def heard(self, version: str, how: str) -> None:
        self.words.append(f"heard {version} by {how}")

    def interrupted(self, reason: str) -> None:
        self.words.append("interrupted")

    def lost(self, reason: str) -> None:
        self.words.append("lost")


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script, int], tuple[Following, list[str]]]]:
    """A script followed until it has been asked for so many watches, without pauses between them."""
    monkeypatch.setattr(module, "FIRST_REST_SECONDS", 0.0)
    begun: list[Following] = []

    def start(script: Script, watches: int) -> tuple[Following, list[str]]:
        monkeypatch.setattr(module, "_now", lambda: script.now)
        told = Told()
        one = Following(cast(Cluster, script), Interest(PODS, "ns", "a=b"), told)
        begun.append(one)
        one.start()
        asked = wait(
            "the watches", lambda: len(script.asked), until=lambda n: n >= watches, deadline=Deadline(10), every=0.01
        )
        assert asked == watches
        return one, told.words

    yield start
    for one in begun:
        one.stop()


GONE = ApiError("watch", 410, "Expired", "too old resource version")
CUT = ApiError("watch", 0, "ProtocolError", "connection broken")


def test_the_copy_is_what_was_listed_and_then_told(follow: Any) -> None:
    """Added, changed and deleted objects; nothing else is asked for than one list and the watches."""
    changes: list[Step] = [("ADDED", pod("b", 101)), ("MODIFIED", pod("a", 102, new=1)), ("DELETED", pod("b", 103))]
    script = Script([[pod("a", 7)]], [[*changes, float(WINDOW_SECONDS)]])
    one, told = follow(script, 2)
    assert one.objects() == [pod("a", 102, new=1)]
    assert (one.find("a", "ns"), one.find("b", "ns"), one.current) == (pod("a", 102, new=1), None, True)
    assert told == ["listed 1", "ADDED b", "MODIFIED a", "DELETED b", "heard 103 by end"]
    assert (script.listed, script.asked[1][0]) == (1, "103")


def test_a_watch_is_long_only_where_bookmarks_come_by_themselves(follow: Any) -> None:
    """Those that a server sends because the watch is about to end show nothing of the time between."""
    script = Script([[]], [
        [WINDOW_SECONDS - 2.0, bookmark(101), 2.0], [60.0, bookmark(102), WINDOW_SECONDS - 60.0],
    ])
    _, told = follow(script, 3)
    assert [seconds for _, seconds in script.asked] == [WINDOW_SECONDS, WINDOW_SECONDS, LONG_SECONDS]
    assert told[1:] == ["heard 101 by bookmark", "heard 101 by end", "heard 102 by bookmark", "heard 102 by end"]


def test_a_watch_that_breaks_is_taken_up_where_it_was(follow: Any) -> None:
    """Nothing is lost by that, and nothing listed again."""
    script = Script([[pod("a", 7)]], [[("MODIFIED", pod("a", 101)), CUT], [("MODIFIED", pod("a", 102)), CUT]])
    one, told = follow(script, 3)
    assert told == ["listed 1", "MODIFIED a", "interrupted", "MODIFIED a", "interrupted"]
    assert ([version for version, _ in script.asked], script.listed) == (["100", "101", "102"], 1)
    assert one.current


def test_what_the_server_has_forgotten_is_lost_and_listed_anew(follow: Any) -> None:
    """And it is told whether anything of it had changed: another version, another object, or none any more."""
    a, b = pod("a", 7), pod("b", 8)
    script = Script([[a, b], [a, b], [a, pod("b", 9)], [a]], [[GONE], [GONE], [GONE]])
    one, told = follow(script, 4)
    assert told == ["listed 2", "lost", "listed 2 unchanged", "lost", "listed 2", "lost", "listed 1"]
    assert one.objects() == [a]


def test_a_list_that_fails_is_lost_until_it_succeeds(follow: Any) -> None:
    """There was no version to go on from."""
    _, told = follow(Script([CUT, CUT, []]), 1)
    assert told == ["lost", "lost", "listed 0"]


def test_a_watch_that_is_cut_short_proves_nothing(follow: Any) -> None:
    """A server may end one that it cannot feed fast enough, and drop what was on its way."""
    script = Script([[]], [[("ADDED", pod("a", 101)), 10.0]])
    _, told = follow(script, 2)
    assert told == ["listed 0", "ADDED a"]
    assert script.asked[1][0] == "101"


def test_garbage_is_lost_as_well(follow: Any) -> None:
    """What cannot be read may have been a change."""
    _, told = follow(Script([[]], [[("ADDED", {"kind": "?"})]]), 2)
    assert told == ["listed 0", "lost", "listed 0"]


def test_a_proof_comes_at_once_and_the_watch_goes_on(follow: Any) -> None:
    """The open watch is left for a short one, whose bookmark is the proof."""
    script = Script([[]])
    one, told = follow(script, 1)
    script.watches.append([bookmark(120)])
    assert one.prove()
    wait("the watch goes on", lambda: len(script.asked), until=lambda n: n == 3, deadline=Deadline(10), every=0.01)
    assert script.asked == [("100", WINDOW_SECONDS), ("100", PROOF_SECONDS), ("120", WINDOW_SECONDS)]
    assert told == ["listed 0", "heard 120 by bookmark"]


def test_the_end_is_proved_by_what_is_told_until_then(follow: Any) -> None:
    """A change on its way when it is stopped is still told, and nothing after the proof."""
    script = Script([[]])
    one, told = follow(script, 1)
    script.watches.append([("ADDED", pod("a", 101)), float(PROOF_SECONDS)])
    one.stop(prove=True)
    assert told == ["listed 0", "ADDED a", "heard 101 by end"]
    assert not one.current


def test_an_api_that_is_away_at_the_end_gives_no_proof(follow: Any) -> None:
    """Once is enough: who stops does not wait for it."""
    script = Script([[]])
    one, told = follow(script, 1)
    script.watches.append([CUT])
    one.stop(prove=True)
    assert (told, len(script.asked)) == (["listed 0"], 2)


def test_each_change_wakes_who_waits(follow: Any) -> None:
    """Also the first list; what is only heard changes nothing."""
    script = Script([[pod("a", 7)]], [[("MODIFIED", pod("a", 101)), bookmark(102), ("DELETED", pod("a", 103)), CUT]])
    one, _ = follow(script, 2)
    assert one.changes.count == 3
    one.changes.await_change(2, 60)
