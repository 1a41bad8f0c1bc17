"""Profiles: unknown and wrong keys are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from drainproof.errors import CannotRunError
from drainproof.settings import MOST_RECORDS, load_profile
from drainproof.target import read_target
from lab.image.recipe import GUEST

PROFILES = Path(__file__).parents[3] / "suites" / "profiles"


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_profiles_are_valid(path: Path) -> None:
    """Every profile in the repository can be loaded by its name."""
    assert load_profile(path.stem, PROFILES).name == path.stem


def test_a_typo_is_refused_with_the_nearest_key(tmp_path: Path) -> None:
    """An unknown key is named, and the key that was probably meant."""
    (tmp_path / "x.toml").write_text("[load]\nsql_rat = 3\n")
    with pytest.raises(CannotRunError, match="unknown key 'load.sql_rat'; did you mean 'sql_rate'"):
        load_profile("x", tmp_path)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Two mistakes are two reasons."""
    (tmp_path / "x.toml").write_text('nonsense = 1\n[limits]\nsql_gap_seconds = "two"\n')
    with pytest.raises(CannotRunError) as caught:
        load_profile("x", tmp_path)
    assert len(caught.value.reasons) == 2


def test_an_unknown_profile_names_the_known_ones() -> None:
    """Asking for a profile that is not there lists those that are."""
    with pytest.raises(CannotRunError, match="no profile 'quik'; choose one of .*quick"):
        load_profile("quik", PROFILES)


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    """TOML that cannot be parsed names the file."""
    (tmp_path / "x.toml").write_text("[load\n")
    with pytest.raises(CannotRunError, match=r"x\.toml cannot be read"):
        load_profile("x", tmp_path)


def test_unknown_keys_of_a_target_file_are_refused(tmp_path: Path) -> None:
    """The facts of a real cluster are held to their names too."""
    (tmp_path / "prod.toml").write_text('[prometheus]\nurll = "https://x"\n')
    with pytest.raises(CannotRunError, match=r"prometheus\.urll"):
        read_target(tmp_path / "prod.toml")


def test_credentials_in_a_target_s_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    """The facts of a target go into the record, so a password must not be among them, nor in the message."""
    (tmp_path / "prod.toml").write_text('[prometheus]\nurl = "https://user:hunter2@prometheus"\n')
    with pytest.raises(CannotRunError, match=r"prometheus\.url.*must not hold a user or password") as caught:
        read_target(tmp_path / "prod.toml")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("names", [("a", "a"), ("outside",), ("a@b",), ("",)])
def test_vantage_points_must_be_told_apart(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Their names end the names of streams: none twice, none that is the clients' own, no separator in one."""
    tables = "".join(f'[[vantages]]\nname = "{name}"\nexec = ["ssh", "node"]\n' for name in names)
    (tmp_path / "prod.toml").write_text(tables)
    with pytest.raises(CannotRunError, match="vantages"):
        read_target(tmp_path / "prod.toml")


def test_a_target_file_names_vantage_points(tmp_path: Path) -> None:
    """Each has a name and what its commands begin with."""
    (tmp_path / "prod.toml").write_text('[[vantages]]\nname = "node-1"\nexec = ["nsenter", "--net=/run/netns/x"]\n')
    (vantage,) = read_target(tmp_path / "prod.toml").vantages
    assert (vantage.name, vantage.exec) == ("node-1", ("nsenter", "--net=/run/netns/x"))


def test_a_ledger_that_the_guest_would_refuse_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is deployed; as many writes as the guest's own program takes are fine."""
    bench = (GUEST / "root/usr/lib/drainproof/storage-bench").read_text()
    assert "MOST_RECORDS = 1 << 20\n" in bench
    path = tmp_path / "mine.toml"
    path.write_text("[storage]\nwrite_rate = 1024.0\nledger_seconds = 1024.0\n")
    storage = load_profile(str(path), tmp_path).storage
    assert storage.write_rate * storage.ledger_seconds == MOST_RECORDS
    path.write_text("[storage]\nwrite_rate = 5000.0\n")
    with pytest.raises(CannotRunError, match="makes 4500000 writes; the guest's ledger has room for 1 to 1048576"):
        load_profile(str(path), tmp_path)
