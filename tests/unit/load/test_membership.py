"""Membership: what a member said of itself is told when it changes, and how it came back is concluded from evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
import pytest
from pymysql.constants import CR

from load.joins import VARIABLES, Absence, Look, Standing, way_of
from load.membership import FILES, SIZE, STATUS, TELL_NS, Looks, Watcher
from load.schedule import SECOND

REFUSED = pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, "Can't connect")
STATES = {0: "Initialized", 1: "Joining", 2: "Donor/Desynced", 3: "Joined", 4: "Synced"}


def status(**changed: Any) -> dict[str, str]:
    """What a Synced member of three answers, but for what has changed; keys are those of a look."""
    known: dict[str, Any] = {
        "cluster_status": "Primary", "cluster_size": 3, "local_state": 4, "conf_id": 7, "state_uuid": "u",
        "ready": "ON", "local_index": 0, "uptime_s": 100, "last_committed": 1000, "received_bytes": 9000,
        "received": 900, "replicated": 300, "replicated_bytes": 3000,
    } | changed
    known.setdefault("state_comment", STATES[known["local_state"]])
    return {VARIABLES[name]: str(value) for name, value in known.items()}


def look(second: float, **changed: Any) -> Look:
    return Look.of(round(second * SECOND), status(**changed))


def follow(*looks: Look | float) -> list[Absence]:
    """The absences that a member's looks show; a number is an instant at which there was no answer."""
    standing, found = Standing(), []
    for one in looks:
        if isinstance(one, Look):
            if (absence := standing.looked(one)) is not None:
                found.append(absence)
        else:
            standing.failed(round(one * SECOND))
    return found


def test_a_number_that_a_member_does_not_tell_is_missing() -> None:
    told = {"wsrep_local_state": "", "wsrep_cluster_status": "Disconnected", "wsrep_local_index": str(2**64 - 1)}
    seen = Look.of(5, told)
    assert (seen.local_state, seen.last_committed, seen.local_index) == (-1, -1, -1)
    assert (seen.synced, seen.outside) == (False, True)


def test_who_loses_its_primary_view_is_away_until_it_is_synced_again() -> None:
    (absence,) = follow(
        look(1), look(2, cluster_status="non-Primary", local_state=0), look(3, local_state=1),
        look(4, local_state=3), look(6, last_committed=1050, conf_id=9, received=902),
    )
    assert (absence.seconds, absence.restarted, absence.handed_over) == (4.0, False, 48)
    assert list(absence.states) == ["non-Primary", "Joining", "Joined"]


def test_a_donor_is_not_away() -> None:
    assert follow(look(1), look(2, local_state=2), look(3, local_state=3), look(4)) == []


def test_a_look_that_failed_is_no_absence_by_itself() -> None:
    assert follow(look(1), 2.0, 3.0, look(4, last_committed=1010, received=908, replicated=304, uptime_s=103)) == []


def test_what_was_handed_over_shows_an_absence_that_no_look_has_seen() -> None:
    (absence,) = follow(look(1), 2.0, look(4, last_committed=1030, received=903, uptime_s=103, conf_id=9))
    assert (absence.handed_over, absence.seconds) == (27, 2.0)


@pytest.mark.parametrize("changed", [{"conf_id": 9, "last_committed": 1008}, {"last_committed": 1030}])
def test_what_was_received_before_and_committed_since_was_not_handed_over(changed: dict[str, int]) -> None:
    assert follow(look(1), 2.0, look(4, uptime_s=103, **changed)) == []


def test_a_server_that_began_anew_was_away_though_every_look_was_answered() -> None:
    (absence,) = follow(look(1), look(2, uptime_s=0, received=2, replicated=0, last_committed=1010))
    assert (absence.restarted, absence.handed_over, absence.seconds) == (True, 8, 0.0)


def test_a_member_that_was_silent_may_be_mistaken_about_itself_for_a_while() -> None:
    (absence,) = follow(
        look(1), 2.0, 8.0, look(9, uptime_s=101), look(12, cluster_status="non-Primary", local_state=0),
        look(14, last_committed=1040, received=902, conf_id=9),
    )
    assert (absence.seconds, list(absence.states)) == (12.0, ["no answer", "non-Primary"])


def test_two_absences_far_apart_are_two() -> None:
    (absence,) = follow(
        look(1), 2.0, look(3), look(60), look(61, cluster_status="non-Primary"), look(63, uptime_s=160, conf_id=9)
    )
    assert absence.seconds == 2.0


ANEW = {"uptime_s": 3, "received": 4, "replicated": 0, "last_committed": 1050}
BEFORE = {"ledger": "10", "bills": "10"}


@pytest.mark.parametrize(
    ("back", "files", "way"),
    [
        (ANEW, {"ledger": "90", "bills": "91"}, "SST"),
        (ANEW, BEFORE, "IST"),
        (ANEW, {**BEFORE, "new": "90"}, "IST"),
        (ANEW, {**BEFORE, "bills": "90"}, "IST"),
        ({"uptime_s": 110, "last_committed": 1050}, BEFORE, "IST"),
        ({"uptime_s": 110, "last_committed": 1002, "received": 903}, BEFORE, "none"),
    ],
)
def test_new_files_mean_sst_and_write_sets_past_the_group_mean_ist(
    back: dict[str, Any], files: dict[str, str], way: str
) -> None:
    (absence,) = follow(look(1), look(2, cluster_status="non-Primary", local_state=0), look(9, **back))
    assert way_of(absence, BEFORE, files)[0] == way


def test_a_member_that_was_seen_joining_was_handed_something() -> None:
    (absence,) = follow(look(1), look(2, local_state=1), look(9, uptime_s=110))
    way, evidence = way_of(absence, BEFORE, BEFORE)
    assert way == "IST"
    assert "its server ran on; 2 of 2 tables are the files of before" in evidence


class FakeMember:
    """One member: how it stands, since when its tables are there, and whether it answers."""

    def __init__(self) -> None:
        self.standing: dict[str, Any] = {}
        self.made = "10"
        self.trouble: Exception | None = None
        self.broken = ""
        self.asked: list[str] = []
        self._found: list[Sequence[Any]] = []

    def open(self) -> FakeMember:
        if self.trouble is not None:
            raise self.trouble
        return self

    def cursor(self) -> FakeMember:
        return self

    def execute(self, query: str, args: Any = None) -> int:
        self.asked.append(query)
        if self.trouble is not None or query == self.broken:
            raise self.trouble or REFUSED
        answers: dict[str, list[Sequence[Any]]] = {
            STATUS: list(status(**self.standing).items()), FILES: [("ledger", self.made)], SIZE: [("4096",)],
        }
        self._found = answers[query]
        return len(self._found)

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return self._found

    def close(self) -> None:
        """Also the cursor's."""


class Bench:
    """A watcher of one member; another stands in the cluster all the time."""

    def __init__(self) -> None:
        self.member = FakeMember()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.latest: Looks = {"other": look(0)}
        self.now_ns = 0
        self.watcher = Watcher("me", self.member.open, self._tell, self.latest)

    def _tell(self, kind: str, **data: Any) -> None:
        self.told.append((kind, data))

    def look(self, **standing: Any) -> bool:
        self.now_ns += SECOND
        self.member.standing = standing
        return self.watcher.look(lambda: self.now_ns)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_state_that_lasts_is_told_again_now_and_then(bench: Bench) -> None:
    seconds = TELL_NS // SECOND
    for second in range(2 * seconds + 1):
        assert bench.look(uptime_s=100 + second, last_committed=1000 + second)
    assert bench.kinds() == ["state"] * 3
    assert bench.told[0][1] == {
        "cluster_status": "Primary", "cluster_size": 3, "local_state": 4, "state_comment": "Synced", "conf_id": 7,
        "state_uuid": "u", "ready": "ON", "local_index": 0, "uptime_s": 100, "last_committed": 1000,
        "received_bytes": 9000,
    }


def test_a_change_is_told_at_once(bench: Bench) -> None:
    bench.look()
    bench.look(cluster_size=2, conf_id=8)
    bench.look(cluster_size=2, conf_id=8)
    assert [data["cluster_size"] for _, data in bench.told] == [3, 2]


def test_a_look_costs_one_statement(bench: Bench) -> None:
    for _ in range(3):
        bench.look()
    assert bench.member.asked == [STATUS, FILES, STATUS, STATUS]


def test_silence_is_told_once_with_its_reason_and_its_end(bench: Bench) -> None:
    bench.look()
    bench.member.trouble = REFUSED
    assert [bench.look() for _ in range(3)] == [False] * 3
    bench.member.trouble = None
    bench.look()
    assert bench.kinds() == ["state", "lost", "state"]
    assert "Can't connect" in bench.told[1][1]["reason"]
    assert "me" in bench.latest


def test_a_join_by_ist_carries_what_another_member_replicated_meanwhile(bench: Bench) -> None:
    bench.look()
    bench.member.trouble = REFUSED
    bench.look()
    assert "me" not in bench.latest
    bench.latest["other"] = look(3, received_bytes=9700)
    bench.member.trouble = None
    bench.look(uptime_s=1, received=50, replicated=0, last_committed=1100)
    (join,) = (data for kind, data in bench.told if kind == "join")
    assert (join["way"], join["seconds"], join["bytes"], join["restarted"]) == ("IST", 1.0, 350, True)
    assert (join["handed_over"], join["states"]) == (50, ["no answer"])
    assert join["since_ns"] == 2 * SECOND


def test_without_another_member_nobody_has_counted_the_bytes(bench: Bench) -> None:
    bench.latest.clear()
    bench.look()
    bench.look(local_state=1)
    bench.look()
    (join,) = (data for kind, data in bench.told if kind == "join")
    assert join["bytes"] is None
    assert "no other member" in join["evidence"]


def test_a_join_by_sst_is_told_once_the_files_could_be_read(bench: Bench) -> None:
    bench.look()
    bench.look(local_state=1)
    bench.member.made, bench.member.broken = "99", FILES
    back = {"uptime_s": 2, "received": 3, "replicated": 0}
    assert not bench.look(**back)
    assert "join" not in bench.kinds()
    bench.member.broken = ""
    bench.look(**back)
    (join,) = (data for kind, data in bench.told if kind == "join")
    assert (join["way"], join["seconds"], join["bytes"]) == ("SST", 1.0, 4096)
    assert join["since_ns"] == 2 * SECOND
