"""The description of a run: versions, target, settings, clock anchor and the command that repeats it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from drainproof.clock import Anchor
from drainproof.errors import RecordError

RUN_FILE = "run.json"
FORMAT = 1


@dataclass(frozen=True)
class RunInfo:
    """What run.json holds; no secret ever enters it."""

    run_id: str
    started: str
    """Wall time, RFC 3339 in UTC."""
    anchor: Anchor
    command: str
    seed: int
    target: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    format: int = FORMAT
    notes: tuple[str, ...] = field(default=())
    """What limits the meaning of the run, such as software emulation, in sentences."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Host, nodes, migration limits and storage class; empty in older records."""

    @classmethod
    def read(cls, directory: Path) -> RunInfo:
        """Raises RecordError when run.json is missing, damaged or of another format."""
        path = directory / RUN_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise RecordError(f"{path}: format {data['format']} is not the format {FORMAT} that this version reads")
            data["anchor"] = Anchor(**data["anchor"])
            data["notes"] = tuple(data["notes"])
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path}: cannot be read as the description of a run: {error}") from error


@dataclass(frozen=True)
class Run:
    """The directory of a run."""

    directory: Path

    def describe(self, info: RunInfo) -> None:
        """Write run.json."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / RUN_FILE
        temporary = path.with_name(RUN_FILE + ".tmp")
        temporary.write_text(json.dumps(asdict(info), indent=1, default=str) + "\n", encoding="utf-8")
        temporary.replace(path)

    def cases(self) -> list[Path]:
        """The directories of the cases, by name."""
        return sorted(path for path in self.directory.iterdir() if (path / "events.jsonl").exists())
