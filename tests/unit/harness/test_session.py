"""The session's exit code follows the verdict."""

from __future__ import annotations

import pytest

from fixtures.session import _exit_code


@pytest.mark.parametrize(
    ("verdict", "status", "refused", "code"),
    [
        ("pass", pytest.ExitCode.OK, False, 0),
        ("fail", pytest.ExitCode.TESTS_FAILED, False, 1),
        ("fail", pytest.ExitCode.INTERRUPTED, True, 1),
        ("unknown", pytest.ExitCode.TESTS_FAILED, False, 2),
        ("unknown", pytest.ExitCode.TESTS_FAILED, True, 3),
        ("", pytest.ExitCode.TESTS_FAILED, False, 3),
        ("", pytest.ExitCode.INTERRUPTED, False, 2),
        ("pass", pytest.ExitCode.TESTS_FAILED, True, 3),
        ("pass", pytest.ExitCode.TESTS_FAILED, False, 2),
        ("pass", pytest.ExitCode.INTERNAL_ERROR, False, 2),
    ],
)
def test_the_worst_decides(verdict: str, status: int, refused: bool, code: int) -> None:
    """Fail, then could-not-run, then unknown; only a pass in a session without any error is 0."""
    assert _exit_code(verdict, status, refused=refused) == code
