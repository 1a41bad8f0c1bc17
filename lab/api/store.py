"""The in-memory store: objects by kind, one resourceVersion for all, and a bounded history for watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lab.api.errors import Object
from lab.api.stored import Stored
from lab.grouping import Groups, Index
from lab.kinds import Kind

HISTORY = 500
"""Changes kept per kind for a watch that resumes; older ones answer 410."""
FIRST_VERSION = 1000


@dataclass(frozen=True, eq=False)
class Change:
    """One committed write: `old` is None for ADDED, and for DELETED `new` is the last state with its own version."""

    type: str
    old: Stored | None
    new: Stored

    @property
    def version(self) -> int:
        return self.new.version


Listener = Callable[[Change], None]


class Store:
    """Objects and their history. Single-threaded: every method finishes without yielding to the event loop."""

    def __init__(self, history: int = HISTORY) -> None:
        self.version = FIRST_VERSION
        self._history_length = history
        self._objects: dict[Kind, dict[tuple[str, str], Stored]] = {}
        self._groups: dict[Kind, dict[Index, Groups]] = {}
        self._history: dict[Kind, deque[Change]] = {}
        self._floor: dict[Kind, int] = {}
        self._listeners: dict[Kind, dict[int, Listener]] = {}
        self._next_listener = 0
        self.creators: dict[str, str] = {}
        """The field manager that created an object, by uid; only of users, for whoever applies the object later."""

    def get(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def list(self, kind: Kind, namespace: str = "") -> list[Stored]:
        """Every object of the kind, ordered by namespace and name."""
        objects = self._objects.get(kind, {})
        return [objects[key] for key in sorted(objects) if not namespace or key[0] == namespace]

    def among(self, index: Index, value: str) -> Iterable[Object]:
        """The bodies of the objects that an index files under a value; kept current from the first time it is asked."""
        groups = self._groups.setdefault(index.kind, {})
        if index not in groups:
            groups[index] = Groups(index)
            for stored in self._objects.get(index.kind, {}).values():
                groups[index].put(_filed(stored), stored.body)
        return groups[index].under(value).values()

    def last_change(self, kind: Kind) -> int:
        """The version of the kind's newest change that is still remembered, else the history's floor."""
        history = self._history.get(kind)
        return history[-1].version if history else self.floor(kind)

    def floor(self, kind: Kind) -> int:
        """The oldest version from which every later change of the kind is still known."""
        return self._floor.get(kind, FIRST_VERSION)

    def since(self, kind: Kind, version: int) -> Sequence[Change]:
        """The changes after `version`; the caller has compared it with floor()."""
        return [change for change in self._history.get(kind, ()) if change.version > version]

    def put(self, kind: Kind, body: Object) -> Stored:
        """Commit a new state of the object; its resourceVersion is set here."""
        new = self._next(kind, body)
        objects = self._objects.setdefault(kind, {})
        old = objects.get(new.key)
        objects[new.key] = new
        self._commit(Change("MODIFIED" if old else "ADDED", old, new))
        return new

    def remove(self, old: Stored, body: Object) -> Stored:
        """Commit the deletion of `old`; `body` is the last state that watchers see."""
        new = self._next(old.kind, body)
        del self._objects[old.kind][old.key]
        self.creators.pop(old.body["metadata"].get("uid", ""), None)
        self._commit(Change("DELETED", old, new))
        return new

    def listen(self, kind: Kind, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each later change of the kind; the returned function ends that."""
        listeners = self._listeners.setdefault(kind, {})
        self._next_listener += 1
        number = self._next_listener
        listeners[number] = listener
        return lambda: listeners.pop(number, None) and None

    def _next(self, kind: Kind, body: Object) -> Stored:
        self.version += 1
        return Stored(kind, {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})

    def _commit(self, change: Change) -> None:
        kind = change.new.kind
        for groups in self._groups.get(kind, {}).values():
            if change.type == "DELETED":
                groups.drop(_filed(change.new))
            else:
                groups.put(_filed(change.new), change.new.body)
        history = self._history.setdefault(kind, deque())
        if len(history) >= self._history_length:
            self._floor[kind] = history.popleft().version
        history.append(change)
        for listener in list(self._listeners.get(kind, {}).values()):
            listener(change)


def _filed(stored: Stored) -> str:
    return "/".join(stored.key)
