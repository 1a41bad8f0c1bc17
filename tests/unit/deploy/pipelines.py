"""What deploy/ has run: every command of ours in its scripts and pipelines, and every object."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
PIPELINES = ("nightly.sh", "tekton/task.yaml", "github/workflow.yaml", "gitlab/job.yml")
_COMMAND = re.compile(r"^\s*(?:- |run: |exec )*(drainproof (?!preflight:|certify:|gate:|cleanup:).+)$", re.MULTILINE)
_END = re.compile(r"\s+(?:\|\||&&|&$|>).*$")


def manifests() -> Iterator[Path]:
    """Every YAML file."""
    yield from sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".yml"))


def objects() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every Kubernetes object with its file; pipelines of other systems and kustomizations are none."""
    for path in manifests():
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if "metadata" in (document or {}):
                yield path, document


def commands(path: Path) -> list[list[str]]:
    """The words of every `drainproof ...` in a file; what a shell or a pipeline would put in is replaced by a word."""
    found = []
    for line in _COMMAND.findall(path.read_text(encoding="utf-8")):
        words = [_filled(word) for word in shlex.split(_END.sub("", line))]
        found.append([word for word in words if word])
    return found


def _filled(word: str) -> str:
    filled = {
        "$@": "", "$facts": "target.toml", "$settings": "settings", "$records": "records", "$runs": "runs",
        "$(params.profile)": "standard",
    }
    for placeholder, meant in filled.items():
        word = word.replace(placeholder, meant)
    return re.sub(r"\$\(workspaces\.([a-z]+)\.path\)", r"\1", word)


def pod_spec(body: dict[str, Any]) -> dict[str, Any] | None:
    """The specification of the pods that an object makes; None when it makes none."""
    spec = body.get("spec") or {}
    template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
    found: dict[str, Any] | None = template["spec"] if template else None
    return found
