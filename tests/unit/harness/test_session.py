"""The session's exit code follows the verdict."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drainproof.api import HTTP_CHAOS, NETWORK_CHAOS, Cluster, Object, Resource
from drainproof.errors import NotFoundError
from drainproof.target import Target, TimerFacts
from fixtures import conclusion
from fixtures.conclusion import concluded, exit_code
from fixtures.description import Asked, _notes
from fixtures.needs import skip_without_what_is_needed
from fixtures.options import SUITES, asked_of
from fixtures.session import pytest_configure
from fixtures.session_record import case_name
from reports.verdict import Verdict


@pytest.mark.parametrize(
    ("verdict", "status", "refused", "code"),
    [
        ("pass", pytest.ExitCode.OK, False, 0),
        ("fail", pytest.ExitCode.TESTS_FAILED, False, 1),
        ("fail", pytest.ExitCode.INTERRUPTED, True, 1),
        ("unknown", pytest.ExitCode.TESTS_FAILED, False, 2),
        ("unknown", pytest.ExitCode.TESTS_FAILED, True, 3),
        ("", pytest.ExitCode.TESTS_FAILED, False, 3),
        ("", pytest.ExitCode.INTERRUPTED, False, 130),
        ("pass", pytest.ExitCode.INTERRUPTED, False, 130),
        ("unknown", pytest.ExitCode.INTERRUPTED, True, 130),
        ("pass", pytest.ExitCode.TESTS_FAILED, True, 3),
        ("pass", pytest.ExitCode.TESTS_FAILED, False, 2),
        ("pass", pytest.ExitCode.INTERNAL_ERROR, False, 2),
    ],
)
def test_the_worst_decides(verdict: str, status: int, refused: bool, code: int) -> None:
    """Fail, then interrupted, could-not-run, unknown; only a pass in a session without any error is 0."""
    assert exit_code(verdict, status, refused=refused) == code


@pytest.mark.parametrize(
    ("verdicts", "broken", "told", "sealed"),
    [
        ("fail", "publish", "fail", True), ("pass", "publish", "unknown", True), ("pass", "", "pass", True),
        ("fail", "seal_run", "fail", False), ("pass", "seal_run", "unknown", False),
        ("fail broken", "", "fail", False), ("pass broken", "", "unknown", False), ("", "", "", True),
    ],
)
def test_what_cannot_be_rendered_takes_no_failure_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdicts: str, broken: str, told: str, sealed: bool
) -> None:
    """Judged and sealed before anything is rendered; whatever breaks then, a refuted claim is refuted."""
    done: list[str] = []

    def judged(_run: Path) -> Iterator[tuple[Path, Any]]:
        for word in verdicts.split():
            if word == "broken":
                raise RuntimeError("cannot be read")
            yield tmp_path, SimpleNamespace(verdict=Verdict(word))

    def step(name: str) -> Any:
        def do(*_: Any) -> None:
            if name == broken:
                raise OSError("No space left on device")
            done.append(name)

        return do

    monkeypatch.setattr(conclusion, "judged", judged)
    for name in ("seal_run", "publish"):
        monkeypatch.setattr(conclusion, name, step(name))
    assert concluded(tmp_path) == told
    assert ("seal_run" in done) == sealed
    assert done == sorted(done, reverse=True)


@pytest.mark.parametrize(
    ("test", "directory"),
    [
        ("test_drain_of_every_node", "drain_of_every_node"), ("test_a_paused_member[4]", "a_paused_member-4"),
        ("test_an_api[ApiAway-0.5 s/x]", "an_api-ApiAway-0.5-s-x"),
    ],
)
def test_a_case_s_directory_needs_no_quotes(test: str, directory: str) -> None:
    """The parameters of a test are in its case's name, without brackets, blanks or slashes."""
    assert case_name(test) == directory


def test_what_was_asked_for_is_known_to_the_record() -> None:
    """With pytest-xdist and without it, whose option is not there then."""
    options = {
        "profile": "quick", "target_facts": None, "storage_class": "fast", "keyword": "drain", "numprocesses": 3,
        "nodes": "node-b, node-a", "allow_bystanders": True, "clients": "", "client_workers": 0,
    }
    paths = [str(SUITES / "storage"), "elsewhere/test_other.py"]
    config: Any = SimpleNamespace(args=paths, getoption=lambda name, *default: options.get(name, *default))
    expected = Asked(
        tests=("storage",), profile="quick", storage_class="fast", keyword="drain", workers=3, nodes="node-b,node-a",
        allow_bystanders=True,
    )
    assert asked_of(config) == expected
    del options["numprocesses"]
    assert asked_of(config).workers == 0


def test_scaled_timers_are_stated() -> None:
    """A cluster whose timers are not the usual ones says so, with both figures; an ordinary one says nothing."""
    assert list(_notes(Target(name="real"))) == []
    (note,) = _notes(Target(name="real", timers=TimerFacts(node_grace_seconds=12)))
    assert "lost after 12 s (50 s)" in note
    assert "tolerate that for 300 s (300 s)" in note


class WithoutHttpChaos:
    """A cluster that serves NetworkChaos and knows nothing of HTTPChaos."""

    def list(self, resource: Resource) -> Object:
        if resource == HTTP_CHAOS:
            raise NotFoundError("GET", 404, "NotFound", "the server could not find the requested resource")
        return {"items": []}


def test_a_case_that_needs_an_absent_api_is_skipped() -> None:
    """Before anything is recorded, and with the API's name as the reason; one that has all it needs goes on."""
    asked: list[str] = []

    def request_of(*needed: Resource) -> Any:
        node = SimpleNamespace(iter_markers=lambda name: [pytest.mark.needs(*needed).mark])
        return SimpleNamespace(node=node, fixturenames=["power"], getfixturevalue=asked.append)

    cluster = cast(Cluster, WithoutHttpChaos())
    skip_without_what_is_needed(request_of(NETWORK_CHAOS), cluster)
    assert asked == ["power"]
    with pytest.raises(pytest.skip.Exception, match="httpchaos of chaos-mesh.org/v1alpha1"):
        skip_without_what_is_needed(request_of(NETWORK_CHAOS, HTTP_CHAOS), cluster)
    assert asked == ["power"]


@pytest.fixture
def signals() -> Iterator[None]:
    """Handlers that do nothing, so that nothing ends this process; afterwards those that there were."""
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def configured() -> None:
    """What the plugin does to the process when a session begins."""
    plugins = SimpleNamespace(register=lambda plugin: None)
    pytest_configure(
        cast(pytest.Config, SimpleNamespace(stash={}, addinivalue_line=lambda *_: None, pluginmanager=plugins))
    )


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts(number: signal.Signals) -> None:
    """As Ctrl-C does, so that what was done is undone; a closed SSH session too."""
    configured()
    with pytest.raises(KeyboardInterrupt, match=f"signal {number}"):
        signal.raise_signal(number)


@pytest.mark.usefixtures("signals")
def test_a_terminal_that_goes_away_interrupts_once() -> None:
    """Kernel and shell both tell of it: the second signal must not break off the healing after the first."""
    configured()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("signals")
def test_nohup_is_respected() -> None:
    """A session that was told to outlive its terminal does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configured()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
