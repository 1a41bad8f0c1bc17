"""The manifest: a record that was changed after it was sealed is known, whatever was changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drainproof.clock import Anchor
from drainproof.errors import RecordError
from drainproof.record import Run, RunInfo
from drainproof.record.manifest import COVERED, MANIFEST, seal, verify

CONTENT = {
    "plan.json": "{}", "events.jsonl": "{}\n", "samples.parquet": "PAR1", "metrics.json": "[]",
    "history.parquet": "PAR1",
}


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case with every file but tables.parquet."""
    info = RunInfo("r1", "2026-01-01T00:00:00Z", Anchor(5, 7), "drainproof certify", 1, {}, {}, {})
    Run(tmp_path / "r1").describe(info)
    directory = tmp_path / "r1" / "drain"
    directory.mkdir()
    for name, content in CONTENT.items():
        (directory / name).write_text(content)
    (directory / "verdict.json").write_text("{}")
    return directory


def _manifest(case: Path) -> dict[str, Any]:
    content = json.loads((case / MANIFEST).read_text())
    assert isinstance(content, dict)
    return content


def test_the_chain_is_what_anybody_can_compute(case: Path) -> None:
    """Each link is the digest of the link before, the file's name and the file's digest."""
    head = seal(case)
    link = hashlib.sha256(b"r1drain").hexdigest()
    for entry in _manifest(case)["chain"]:
        content = (case / entry["file"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        link = hashlib.sha256((link + entry["file"] + digest).encode()).hexdigest()
        assert entry == {"file": entry["file"], "bytes": len(content), "sha256": digest, "link": link}
    assert [entry["file"] for entry in _manifest(case)["chain"]] == list(COVERED[:-1])
    assert head == link == _manifest(case)["head"]


def test_an_untouched_record_is_intact_wherever_it_lies(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy elsewhere is intact, by whatever path it is named; the verdict is no part of the record."""
    seal(case)
    copy = shutil.copytree(case.parent, tmp_path / "other" / "place") / case.name
    (copy / "verdict.json").unlink()
    monkeypatch.chdir(copy)
    assert verify(case) == verify(copy) == verify(Path()) == verify(Path("../drain")) == []


@pytest.mark.parametrize("file", COVERED[:-1])
def test_a_changed_file_is_named(case: Path, file: str) -> None:
    """One byte more, another byte, no byte: each file of the record is watched."""
    seal(case)
    good = (case / file).read_bytes()
    (case / file).write_bytes(good + b"\n")
    assert verify(case) == [f"{file} was changed after the record was sealed: {len(good) + 1} bytes instead of"
                            f" {len(good)}"]
    (case / file).write_bytes(good.replace(good[-2:-1], b" "))
    assert len(verify(case)) == 1
    (case / file).unlink()
    assert len(verify(case)) == 1


def test_every_difference_is_told(case: Path) -> None:
    """What is missing, what was added and what was changed, in the order of the record."""
    seal(case)
    (case / "plan.json").unlink()
    (case / "metrics.json").write_text("{}")
    (case / "tables.parquet").write_text("PAR1")
    first, second, third = verify(case)
    assert first == "plan.json is missing"
    assert second.startswith("metrics.json was changed after the record was sealed: its sha256 begins with 44136fa355")
    assert third == "tables.parquet was added after the record was sealed"


def _head(content: dict[str, Any]) -> None:
    content["head"] = "0" * 64


def _swap(content: dict[str, Any]) -> None:
    content["chain"][1:3] = content["chain"][2:0:-1]


def _link(content: dict[str, Any]) -> None:
    content["chain"][1]["link"] = "0" * 64


def _extra(content: dict[str, Any]) -> None:
    content["chain"].append({"file": "../../etc/passwd", "bytes": 1, "sha256": "", "link": ""})


def _leave_out(content: dict[str, Any]) -> None:
    del content["chain"][3]


TAMPERED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (_head, "is not the chain of this run and case"),
    (_swap, "is not the chain of this run and case"),
    (_link, "is not the chain of this run and case"),
    (_extra, "manifest.json names '../../etc/passwd', which no record has"),
    (_leave_out, "samples.parquet was added after"),
    (lambda content: content.update(version=2), "version 2 is not the version 1"),
    (lambda content: content.update(chain=[]), "its chain is empty"),
    (lambda content: content.update(chain=content["chain"] * 2), "names a file twice"),
    (lambda content: content.pop("head"), "is not a manifest"),
    (lambda content: content.update(chain=7), "is not a manifest"),
]


@pytest.mark.parametrize(("tamper", "told"), TAMPERED)
def test_a_changed_manifest_is_told(case: Path, tamper: Callable[[dict[str, Any]], object], told: str) -> None:
    """A manifest that was edited by hand does not hold together, and says where."""
    seal(case)
    content = _manifest(case)
    tamper(content)
    (case / MANIFEST).write_text(json.dumps(content))
    (trouble,) = verify(case)
    assert told in trouble


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"version": 1, "chain": [1e999]}'])
def test_rubbish_is_no_manifest(case: Path, content: bytes) -> None:
    """Whatever stands in the file, the answer is a sentence without this machine's paths."""
    (case / MANIFEST).write_bytes(content)
    (trouble,) = verify(case)
    assert trouble.startswith("manifest.json is not a manifest: ")
    assert str(case.parent) not in trouble


def test_the_manifest_of_another_case_does_not_fit(case: Path, tmp_path: Path) -> None:
    """The chain begins with the run and the case: the same files under another name are another record."""
    seal(case)
    renamed = case.rename(case.with_name("drain_twice"))
    assert "belongs to another" in verify(renamed)[0]


def test_a_record_is_sealed_once(case: Path) -> None:
    """Sealing again changes nothing, and never covers up what was changed since."""
    assert verify(case) == ["manifest.json is missing: the record was never sealed"]
    head = seal(case)
    before = (case / MANIFEST).read_bytes()
    assert seal(case) == head
    (case / "metrics.json").write_text("[1]")
    with pytest.raises(RecordError, match="sealed already and was changed since: metrics.json"):
        seal(case)
    assert (case / MANIFEST).read_bytes() == before


def test_a_record_without_its_run_cannot_be_sealed(case: Path) -> None:
    """Without run.json nobody knows whose record it is."""
    (case / "../run.json").unlink()
    with pytest.raises(RecordError, match="description of a run"):
        seal(case)
    assert not (case / MANIFEST).exists()
