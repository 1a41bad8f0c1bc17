"""What a spool holds, as plain tuples that a test can compare."""

from __future__ import annotations

from drainproof.record.spool import Spool


def rows_of(spool: Spool, first: int = 0) -> list[tuple[int, ...]]:
    """Stream, intended, start, end, outcome and, where there is one, key of every row from a slot on."""
    rows = spool.rows(first, spool.written)
    columns = [rows["stream"], rows["start"] - rows["late"], rows["start"], rows["end"], rows["outcome"]]
    if spool.keyed:
        columns.append(rows["key"])
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
