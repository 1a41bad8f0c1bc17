"""The record of a run: the only thing that those who disturb, observe and judge exchange.

`runs/<run-id>/run.json` describes the run; every case has a directory of its own with events, samples, table contents,
metrics and the verdict. All instants are monotonic nanoseconds of the harness host; run.json anchors them to wall time.
"""

from drainproof.record.case import Case, CaseReader
from drainproof.record.events import Event, EventLog, read_events
from drainproof.record.history import Act, History, Operation, Step
from drainproof.record.history_shards import HistoryWriter
from drainproof.record.merging import merge_shards
from drainproof.record.run import Run, RunInfo
from drainproof.record.samples import Outcome, SampleFile, Samples, read_samples

__all__ = [
    "Act", "Case", "CaseReader", "Event", "EventLog", "History", "HistoryWriter", "Operation", "Outcome", "Run",
    "RunInfo", "SampleFile", "Samples", "Step", "merge_shards", "read_events", "read_samples",
]
