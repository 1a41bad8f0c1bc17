"""Samples that cannot be true, or cannot be read, leave claims unknown with the reason, and never give a number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.judge import conclude
from reports.verdict import Verdict
from tests.unit.reports.records import Record

HOUR_NS = 3600 * 10**9
OUTAGES = ("outage.udp", "outage.heartbeat", "outage.tcp-kept", "outage.tcp-new", "instrument.control")
Columns = dict[str, npt.NDArray[Any]]


def rewrite(path: Path, stream: str, change: Callable[[Columns], object]) -> None:
    """Write the file again with other numbers in one stream."""
    source = pq.ParquetFile(path)
    groups = [source.read_row_group(group) for group in range(source.num_row_groups)]
    with pq.ParquetWriter(path, source.schema_arrow) as writer:
        for group in groups:
            if group["stream"][0].as_py() == stream:
                columns = {name: group[name].to_numpy().copy() for name in ("intended_ns", "start_ns", "end_ns")}
                change(columns)
                for name, values in columns.items():
                    place = group.schema.get_field_index(name)
                    group = group.set_column(place, group.schema.field(place), pa.array(values))
            writer.write_table(group)


def swap(columns: Columns) -> None:
    for values in columns.values():
        values[[300, 1300]] = values[[1300, 300]]


def jump_back(columns: Columns) -> None:
    for values in columns.values():
        values[1500:] -= HOUR_NS // 1000


def jump_ahead(columns: Columns) -> None:
    for values in columns.values():
        values[1500:] += HOUR_NS


def answer_before(columns: Columns) -> None:
    columns["end_ns"][1500] = columns["start_ns"][1500] - 1


DAMAGES: list[tuple[Callable[[Columns], object], str]] = [
    (swap, "samples.parquet: stream udp/portal-a: row 301: start_ns lies before that of the row before it"),
    (jump_back, "samples.parquet: stream udp/portal-a: row 1500: start_ns lies before that of the row before it"),
    (answer_before, "samples.parquet: stream udp/portal-a: row 1500: end_ns lies before start_ns"),
    (jump_ahead, "udp/portal-a: for 18."),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_times_that_cannot_be_true(
    record: Record, tmp_path: Path, damage: Callable[[Columns], object], reason: str
) -> None:
    """Rows out of order and a clock that jumps are no evidence, neither of an outage nor of none."""
    case = record.write(tmp_path / "run-1")
    rewrite(case / "samples.parquet", "udp/portal-a", damage)
    claims = {claim.id: claim for claim in conclude(case).claims}
    assert (claims["outage.udp"].verdict, claims["outage.udp"].reason[: len(reason)]) == (Verdict.UNKNOWN, reason)
    assert claims["outage.udp"].measured is None or damage is jump_ahead
    assert claims["record.intact"].verdict is Verdict.UNKNOWN
    assert claims["outage.heartbeat"].verdict is Verdict.PASS


@pytest.mark.parametrize("left", [0, 4, 40_000, -40])
def test_a_truncated_file_is_no_evidence(record: Record, tmp_path: Path, left: int) -> None:
    """Whatever is left of the file, every claim of the stopwatch is unknown and says of which file."""
    case = record.write(tmp_path / "run-1")
    samples = case / "samples.parquet"
    samples.write_bytes(samples.read_bytes()[:left])
    claims = {claim.id: claim for claim in conclude(case).claims}
    for name in (*OUTAGES, "downtime.phases", "prometheus.load"):
        assert (claims[name].verdict, claims[name].measured) == (Verdict.UNKNOWN, None)
        assert "samples.parquet" in claims[name].reason


def test_a_flipped_bit_is_noticed(record: Record, tmp_path: Path) -> None:
    """The pages carry checksums: a number that changed on disk is not read as another."""
    case = record.write(tmp_path / "run-1")
    samples = case / "samples.parquet"
    content = bytearray(samples.read_bytes())
    chance = np.random.default_rng(3)
    content[int(chance.integers(len(content) // 4, len(content) // 2))] ^= 16
    samples.write_bytes(content)
    claims = {claim.id: claim for claim in conclude(case).claims}
    assert claims["record.intact"].verdict is Verdict.UNKNOWN
    assert any("cannot be read" in claim.reason for claim in claims.values())
    assert not [claim for claim in claims.values() if claim.verdict is Verdict.FAIL]
