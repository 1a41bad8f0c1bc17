"""Differences of the lab that are meant, as `lab/quirks.toml` lists them, and which of them are still to be found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.contract.fidelity.replay import Compared
from tests.contract.fidelity.shapes import Difference

FILE = Path(__file__).resolve().parents[3] / "lab" / "quirks.toml"


@dataclass(frozen=True)
class Quirk:
    """One difference that is meant: where it shows (`topic:number`, `topic:from-to`, `topic:*`) and in what.

    `points` are regular expressions, each of a whole point such as `status` or `body/items/.*`.
    """

    name: str
    reason: str
    open: bool
    moments: bool
    """Whether it depends on how fast controllers are, so that it need not show every time."""
    places: tuple[str, ...]
    points: tuple[str, ...]

    def explains(self, place: str, difference: Difference) -> bool:
        return any(within(place, one) for one in self.places) and any(
            re.fullmatch(point, difference.path) for point in self.points
        )


@dataclass(frozen=True)
class Verdict:
    """How many comparisons were alike, which differ as is meant, and what nobody has explained."""

    compared: int
    equal: int
    explained: int
    known: int
    """Differ in what is written down as a fault of the lab that is not mended yet."""
    unexplained: tuple[str, ...]
    idle: tuple[str, ...]
    """Parts of quirks that match nothing any more."""

    @property
    def unexplained_places(self) -> int:
        """How many comparisons have something that nobody has explained."""
        return self.compared - self.equal - self.explained - self.known


def load(file: Path = FILE) -> tuple[Quirk, ...]:
    """Every quirk of the table. Raises KeyError for one without a reason, a place or a point."""
    tables = tomllib.loads(file.read_text())
    return tuple(
        Quirk(
            name, table["reason"], table.get("open", False), table.get("moments", False), tuple(table["places"]),
            tuple(table["points"]),
        )
        for name, table in tables.items()
    )


def within(place: str, where: str) -> bool:
    """Whether a place of the recordings is one of those that are meant."""
    topic, _, number = place.partition(":")
    meant, _, numbers = where.partition(":")
    if topic != meant or numbers == "*":
        return topic == meant
    first, _, last = numbers.partition("-")
    ordered = number.isdigit() and first.isdigit()
    return number == numbers or (ordered and int(first) <= int(number) <= int(last or first))


def judge(compared: Iterable[Compared], quirks: tuple[Quirk, ...]) -> Verdict:
    """Sort what was compared; quirks of topics that were not compared are left alone."""
    all_of_it = list(compared)
    used: set[tuple[str, str]] = set()
    unexplained: list[str] = []
    equal, explained, known = 0, 0, 0
    for one in all_of_it:
        found = [(difference, _explaining(one.place, difference, quirks, used)) for difference in one.differences]
        missing = [difference for difference, quirk in found if quirk is None]
        unexplained.extend(f"{one.place} {one.case}: {difference}" for difference in missing)
        equal += not found
        open_ones = any(quirk is not None and quirk.open for _, quirk in found)
        known += not missing and open_ones
        explained += bool(found) and not missing and not open_ones
    topics = {one.place.partition(":")[0] for one in all_of_it}
    return Verdict(len(all_of_it), equal, explained, known, tuple(unexplained), tuple(_idle(quirks, used, topics)))


def _explaining(
    place: str, difference: Difference, quirks: tuple[Quirk, ...], used: set[tuple[str, str]]
) -> Quirk | None:
    found = [quirk for quirk in quirks if quirk.explains(place, difference)]
    for quirk in found:
        used.update((quirk.name, where) for where in quirk.places if within(place, where))
        used.update((quirk.name, point) for point in quirk.points if re.fullmatch(point, difference.path))
    return found[0] if found else None


def _idle(quirks: tuple[Quirk, ...], used: set[tuple[str, str]], topics: set[str]) -> Iterable[str]:
    """Places of the topics that were compared, and points of quirks that are about these topics only."""
    for quirk in quirks:
        if quirk.moments:
            continue
        places = [where for where in quirk.places if where.partition(":")[0] in topics]
        yield from (f"{quirk.name}: {where}" for where in places if (quirk.name, where) not in used)
        if len(places) == len(quirk.places):
            yield from (f"{quirk.name}: {point}" for point in quirk.points if (quirk.name, point) not in used)
