"""The certificate tells how often the run asked the Kubernetes API."""

from __future__ import annotations

from pathlib import Path

from reports import environment, request_count
from reports.evidence import Evidence
from tests.unit.reports.records import Record
from tests.unit.reports.timeline import END, drain_begin

TITLE = "Requests to the Kubernetes API"


def told(record: Record, directory: Path) -> dict[str, str]:
    return dict(request_count.told(Evidence.of(record.write(directory / "run"))))


def test_it_tells_of_each_machine_each_drain_and_the_case(record: Record, tmp_path: Path) -> None:
    """A drain of several machines counts for each of them; the rarest kinds are counted together."""
    kinds = {f"get {letter}": 1 for letter in "abcdef"}
    for number, (made, machines, renewals) in enumerate(((12, 1, 0), (22, 3, 4))):
        by = {"list pods": made - renewals, **({"update leases": renewals} if renewals else {})}
        facts = {"requests": made, "repeats": 0, "vms": machines, "by": by}
        record.event(drain_begin(number) + 4.1, "drain", "requests", f"node-{number}", **facts)
    record.event(END + 9, "run", "requests", requests=108, repeats=4, by={"watch pods": 100, **kinds, "get g": 2})
    assert told(record, tmp_path) == {
        "for each drained virtual machine": "7.5, beside 1.0 to keep the nodes claimed",
        "drain 1": "12 for 1 virtual machine: 12 list pods",
        "drain 2": "22 for 3 virtual machines: 18 list pods, 4 update leases",
        "the whole case":
            "108, of which 4 repeats: 100 watch pods, 2 get g, 1 get a, 1 get b, 1 get c, 1 get d, 2 others",
    }


def test_a_record_of_before_tells_nothing(record: Record, tmp_path: Path) -> None:
    """And the certificate says so."""
    assert told(record, tmp_path / "told") == {}
    sections = environment.of_case(Evidence.of(record.write(tmp_path / "run")))
    (section,) = [one for one in sections if one.title == TITLE]
    assert (section.pairs, section.missing) == ((), "the record does not tell")


def test_counts_that_are_none_are_said_to_be_so(record: Record, tmp_path: Path) -> None:
    """What somebody has written into the record must not keep the certificate from being drawn."""
    record.event(END + 9, "run", "requests", requests="many", repeats=0, by={})
    sections = environment.of_case(Evidence.of(record.write(tmp_path / "run")))
    (section,) = [one for one in sections if one.title == TITLE]
    assert section.missing.startswith("cannot be told")
