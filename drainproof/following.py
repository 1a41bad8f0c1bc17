"""Following: a copy of the objects of one kind, kept current by one long watch, so that looking at them asks nothing.

List once, then watch from the list's resourceVersion on, again and again: a watch tells every change after the version
that it begins at, in order. One that breaks is taken up again at the last version that was told, and nothing is missed;
only when the server no longer remembers that version (410) is all listed anew, and what happened meanwhile is lost.

Servers send bookmarks about once a minute, and before a watch's `timeoutSeconds` are over, but promise neither
(Kubernetes, "API concepts", watch bookmarks). So the first watch is short, and those after it are long only where a
bookmark has come by itself: either way something is heard every WINDOW_SECONDS, unless nothing can be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from drainproof.api import Cluster, Object, Objects, Resource
from drainproof.clock import SystemClock
from drainproof.errors import ApiError

WINDOW_SECONDS = 75
"""How long a watch lasts where no bookmarks are known to come: its own end is then what is heard."""
LONG_SECONDS = 600
"""How long it lasts where bookmarks come by themselves."""
PROOF_SECONDS = 3
"""How long a watch lasts that has to show quickly that all was told; its bookmark, or its end, does."""
BOOKMARK_MARGIN_SECONDS = 10
"""A bookmark that comes so long before a watch's end does not come because of that end."""
END_MARGIN_SECONDS = 0.5
"""A watch that ends sooner than that before its time was cut short: what was on its way may not have come."""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 5.0
"""The pause before a watch that broke is taken up again, doubled each time that nothing comes of it."""
STOP_SECONDS = 3.0 * PROOF_SECONDS
EXPIRED = 410
BOOKMARK, END = "bookmark", "end"

Key = tuple[str, str]
"""Namespace (empty for what has none) and name."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What is followed; an empty namespace means all, empty selectors any."""

    resource: Resource
    namespace: str = ""
    labels: str = ""
    fields: str = ""


class Listener:
    """Is told what a watch tells, in order and by one thread; must not block. Each method may be left as it is."""

    def listed(self, items: Objects, version: str, *, unchanged: bool) -> None:
        """All there is at a version; `unchanged`: all of it is as it was told last, nothing has come and none gone."""

    def changed(self, event: str, item: Object) -> None:
        """ADDED, MODIFIED or DELETED."""

    def heard(self, version: str, how: str) -> None:
        """All changes until now have been told, as a BOOKMARK or the END of a watch shows."""

    def interrupted(self, reason: str) -> None:
        """The watch broke; it will be taken up where it was, or be lost."""

    def lost(self, reason: str) -> None:
        """The watch cannot be taken up where it was: what changes until all is listed anew goes unseen."""


class Changes:
    """Counts what has changed in one or several copies, and wakes who waits for it."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def await_change(self, after: int, seconds: float) -> None:
        with self.condition:
            self.condition.wait_for(lambda: self._count != after, seconds)

    def tell(self) -> None:
        """Something has changed; the caller holds the condition."""
        self._count += 1
        self.condition.notify_all()


class Following:
    """Follows one interest in a thread of its own, from `start` to `stop`; several may share their `changes`."""

    def __init__(
        self, cluster: Cluster, interest: Interest, listener: Listener | None = None, changes: Changes | None = None
    ) -> None:
        self.interest = interest
        self.changes = changes or Changes()
        self._cluster, self._listener = cluster, listener or Listener()
        self._objects: dict[Key, Object] = {}
        self._keys: dict[str, Key] = {}
        self._version = ""
        self._current, self._bookmarked, self._wants_proof = False, False, False
        self._ending = self._over = False
        self._proofs = self._troubles = 0
        self._hang_up: Callable[[], None] | None = None
        name = f"following-{interest.resource.plural}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, *, prove: bool = False) -> None:
        """End within 9 s; with `prove` it is shown once more, if it can be, that nothing was missed until now."""
        self._ask(ending=True, wants_proof=prove)
        self._thread.join(STOP_SECONDS)

    def prove(self, seconds: float = STOP_SECONDS) -> bool:
        """Have it shown that everything until now has been told; False when that does not succeed in time."""
        before = self._proofs
        self._ask(ending=False, wants_proof=True)
        with self.changes.condition:
            return self.changes.condition.wait_for(lambda: self._proofs > before, seconds)

    @property
    def current(self) -> bool:
        """Whether the copy is what the server has told until now; False before the first list and while cut off."""
        return self._current

    def await_current(self, seconds: float) -> bool:
        """Whether the copy is current, within so many seconds."""
        with self.changes.condition:
            return self.changes.condition.wait_for(lambda: self._current, seconds)

    def find(self, name: str, namespace: str = "") -> Object | None:
        """The object as told last, not to be changed; None when there is none."""
        with self.changes.condition:
            return self._objects.get((namespace, name))

    def of_uid(self, uid: str) -> Object | None:
        """The object with that uid as told last, not to be changed; None when there is none."""
        with self.changes.condition:
            key = self._keys.get(uid)
            return self._objects.get(key) if key else None

    def objects(self) -> Objects:
        """All objects as told last, not to be changed."""
        with self.changes.condition:
            return list(self._objects.values())

    def _run(self) -> None:
        try:
            while not self._over:
                self._step()
        finally:
            self._current = False

    def _step(self) -> None:
        """One watch, after a list where there is none to begin at, and what becomes of it."""
        ending, wants_proof = self._ending, self._wants_proof
        try:
            if wants_proof or not ending:
                if not self._version:
                    self._list()
                self._watch(quickly=wants_proof)
        except (ApiError, KeyError, TypeError, ValueError) as error:
            if not self._ending:
                self._trouble(error)
        self._over = ending

    def _list(self) -> None:
        of = self.interest
        content = self._cluster.list(of.resource, of.namespace or None, labels=of.labels, fields=of.fields)
        items, version = content["items"], str(content["metadata"]["resourceVersion"])
        found = {_key(item): item for item in items}
        unchanged = bool(self._objects) and _versions(found) == _versions(self._objects)
        self._listener.listed(items, version, unchanged=unchanged)
        with self.changes.condition:
            self._objects, self._version, self._current = found, version, True
            self._keys = {str(item["metadata"]["uid"]): key for key, item in found.items()}
            self.changes.tell()

    def _watch(self, *, quickly: bool) -> None:
        """Follow until the watch ends, is hung up on, or has shown what it was opened to show."""
        seconds = PROOF_SECONDS if quickly else LONG_SECONDS if self._bookmarked else WINDOW_SECONDS
        of, begun, hung_up = self.interest, _now(), threading.Event()
        events = self._cluster.watch(
            of.resource, of.namespace or None, self._version, seconds, labels=of.labels, fields=of.fields,
            opened=lambda close: self._opened(close, hung_up, quickly=quickly),
        )
        try:
            for event, item in events:
                if event != "BOOKMARK":
                    self._change(event, item)
                    continue
                self._hear(str(item["metadata"]["resourceVersion"]), BOOKMARK)
                if quickly:
                    return
                self._bookmarked = self._bookmarked or _now() - begun < seconds - BOOKMARK_MARGIN_SECONDS
        except (ApiError, KeyError, TypeError, ValueError):
            if not hung_up.is_set():
                raise
        finally:
            self._hang_up = None
        if not hung_up.is_set():
            self._ended(_now() - begun >= seconds - END_MARGIN_SECONDS)

    def _opened(self, close: Callable[[], None], hung_up: threading.Event, *, quickly: bool) -> None:
        def hang_up() -> None:
            hung_up.set()
            close()

        with self.changes.condition:
            self._hang_up, self._current = hang_up, True
            self.changes.condition.notify_all()
            late = (self._ending or self._wants_proof) and not quickly
        if late:
            hang_up()

    def _ask(self, *, ending: bool, wants_proof: bool) -> None:
        with self.changes.condition:
            self._wants_proof = wants_proof
            self._ending = self._ending or ending
            hang_up = self._hang_up
            self.changes.condition.notify_all()
        if hang_up:
            hang_up()

    def _change(self, event: str, item: Object) -> None:
        self._listener.changed(event, item)
        with self.changes.condition:
            if event == "DELETED":
                self._objects.pop(_key(item), None)
                self._keys.pop(str(item["metadata"]["uid"]), None)
            else:
                self._objects[_key(item)] = item
                self._keys[str(item["metadata"]["uid"])] = _key(item)
            self._version, self._troubles = str(item["metadata"]["resourceVersion"]), 0
            self.changes.tell()

    def _hear(self, version: str, how: str) -> None:
        self._listener.heard(version, how)
        with self.changes.condition:
            self._version, self._troubles, self._wants_proof = version, 0, False
            self._proofs += 1
            self.changes.condition.notify_all()

    def _ended(self, in_time: bool) -> None:
        if in_time:
            self._hear(self._version, END)
        else:
            self._rest()

    def _trouble(self, error: Exception) -> None:
        """Tell of it, once where it can go on, and rest, longer each time."""
        if not self._version or not isinstance(error, ApiError) or error.code == EXPIRED:
            self._listener.lost(str(error))
            self._version = ""
        elif self._current:
            self._listener.interrupted(str(error))
        self._current = False
        self._rest()

    def _rest(self) -> None:
        seconds = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2**self._troubles)
        self._troubles = min(self._troubles + 1, 10)
        with self.changes.condition:
            self.changes.condition.wait_for(lambda: self._ending, seconds)


def _key(item: Object) -> Key:
    meta = item["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])


def _versions(objects: dict[Key, Object]) -> dict[Key, tuple[str, str]]:
    found = ((key, item["metadata"]) for key, item in objects.items())
    return {key: (str(meta["uid"]), str(meta["resourceVersion"])) for key, meta in found}


def _now() -> float:
    return SystemClock().monotonic_ns() / 1e9
