"""The command of the gate: its options, its exit codes, and what is told when it cannot answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from drainproof.errors import CannotRunError, DrainproofError
from drainproof.record.case import write_json
from reports.gate.decision import decide
from reports.gate.rendering import show
from reports.text import clean

COULD_NOT_RUN = 3
INTERRUPTED = 130


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--policy", required=True, type=click.Path(path_type=Path), help="TOML file, see docs/gate.md")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="write the answer with every reason")
@click.option("--now", default="", help="the moment to answer for, ISO 8601  [default: this one]")
def gate(runs: Sequence[Path], policy: Path, json_file: Path | None, now: str) -> int:
    """Hold runs, or directories of runs, against a policy.

    Every record is verified and judged again from its evidence; a stored verdict is not believed.
    Exit codes: 0 GO, 1 NO-GO, 2 UNKNOWN (evidence is missing), 3 could not run.
    """
    if not runs:
        raise CannotRunError("No run was named; name the directories of runs, or of a campaign.")
    answer = decide(runs, policy, _moment(now), _tell)
    if json_file:
        try:
            write_json(json_file, answer.as_json())
        except OSError as error:
            sentence = f"The answer cannot be written to {json_file}: {error.strerror}; name another file."
            raise CannotRunError(sentence) from error
    show(answer, sys.stdout)
    return answer.verdict.exit_code


def _moment(text: str) -> datetime:
    """Times without a zone are UTC."""
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        sentence = f"{text!r} is no moment in ISO 8601: {error}; write it like 2026-01-31T12:00:00Z."
        raise CannotRunError(sentence) from error


def _tell(sentence: str) -> None:
    if sys.stderr.isatty():
        print(clean(sentence), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what cannot be done is told in a sentence, and is never an answer."""
    reasons: tuple[str, ...]
    try:
        return int(gate.main(arguments, prog_name="drainproof gate", standalone_mode=False))
    except click.UsageError as error:
        reasons = (f"{error.format_message()} See `drainproof gate --help`.",)
    except click.ClickException as error:
        reasons = (error.format_message(),)
    except CannotRunError as error:
        reasons = error.reasons
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        where = error.filename or "What is needed"
        reasons = (f"{where} cannot be had: {error.strerror or error}; see to that, then ask again.",)
    except DrainproofError as error:
        reasons = (str(error),)
    except Exception as error:  # noqa: BLE001 - a gate that breaks must not look like a NO-GO
        reasons = (f"the gate itself broke: {type(error).__name__}: {error}",)
    with suppress(OSError):  # who does not hear it reads the exit code
        for reason in reasons:
            print(f"could not run: {clean(reason)}", file=sys.stderr)
    return COULD_NOT_RUN
