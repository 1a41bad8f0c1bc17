"""`python -m reports.trend DIR...`: exit codes 0 nothing worse, 1 worse, 2 cannot be decided, 3 cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from drainproof.errors import DrainproofError, RecordError
from reports.text import clean
from reports.trend import document, page, terminal
from reports.trend.analysis import Options, Trend, analyse
from reports.trend.findings import answer
from reports.trend.history import load

UNREADABLE = 3
PAGE, DOCUMENT = "trend.html", "trend.json"


@click.command()
@click.argument("directories", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--case", "patterns", multiple=True, metavar="PATTERN", help="only cases of such a name (`*drain*`)")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help=f"write {PAGE} and {DOCUMENT} there")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="write the trend as JSON")
@click.option(
    "--last", default=14, show_default=True, type=click.IntRange(1), help="the answer is about so many of its runs"
)
@click.option("--by", multiple=True, metavar="KEY", help="keep runs apart by a key of run.json, as versions.kubevirt")
@click.option(
    "--tolerance", default=10.0, show_default=True, type=click.FloatRange(0), help="%; a smaller worsening is told only"
)
def trend(
    directories: Sequence[Path], patterns: Sequence[str], out: Path | None, json_file: Path | None, last: int,
    by: Sequence[str], tolerance: float,
) -> int:
    """Many runs over time: where something changed, the first bad run, limits that history proposes.

    Exit codes: 0 nothing is worse, 1 something is, 2 that cannot be decided, 3 the runs cannot be read.
    """
    found = analyse(load(directories, by), Options(tuple(patterns), last, tolerance / 100))
    if not found.streams:
        raise RecordError(_nothing(found))
    concluded = answer(found)
    terminal.show(found, concluded, sys.stdout)
    if json_file is not None:
        document.write(found, concluded, json_file)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        document.write(found, concluded, out / DOCUMENT)
        page.write(found, concluded, out / PAGE)
        print(f"\n{out / PAGE}")
    return concluded.verdict.exit_code


def _nothing(found: Trend) -> str:
    """Why there is nothing to tell."""
    told = [f"{damage.directory.name}: {damage.reason}" for damage in found.damaged[:3]]
    wanted = f" that matches {' or '.join(found.options.patterns)}" if found.options.patterns else ""
    return "; ".join([f"no judged case{wanted} can be read; name a directory that holds some", *told])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what cannot be read is told in a sentence."""
    try:
        code = trend.main(arguments, prog_name="drainproof trend", standalone_mode=False)
    except (click.ClickException, DrainproofError, OSError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"could not tell a trend: {clean(message)}", file=sys.stderr)
        return UNREADABLE
    except Exception as error:  # noqa: BLE001 - a record that breaks the analysis must not look like a worsening
        told = clean(f"{type(error).__name__}: {error}")
        print(f"could not tell a trend: the analysis itself broke: {told}", file=sys.stderr)
        return UNREADABLE
    return int(code)
