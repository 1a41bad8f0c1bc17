"""The recordings of a real cluster, line by line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer: `topic:number` is its place in the recordings, `sent` and `ended` are seconds."""

    topic: str
    number: int
    case: str
    caller: str
    request: Line
    response: Line
    sent: float
    ended: float

    @property
    def place(self) -> str:
        return f"{self.topic}:{self.number}"


def lines(folder: Path, topic: str) -> Iterator[Line]:
    """Every line of one recording, packed or not."""
    plain, packed = folder / f"{topic}.jsonl", folder / f"{topic}.jsonl.gz"
    text = plain.read_text() if plain.exists() else gzip.decompress(packed.read_bytes()).decode()
    for line in text.splitlines():
        yield json.loads(line)


def exchanges(folder: Path, topic: str) -> list[Exchange]:
    """The requests of one recording with their answers, as they were sent one after another."""
    return [exchange(topic, line) for line in lines(folder, topic) if line["kind"] == "exchange"]


def exchange(topic: str, line: Line) -> Exchange:
    """An exchange of a line of that kind."""
    sent, lasted = line["t_ns"] / 1e9, line["dur_ns"] / 1e9
    return Exchange(
        topic, line["n"], line["case"], line["as"], line["request"], line["response"], sent, sent + lasted,
    )
