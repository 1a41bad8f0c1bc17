"""A record in which everything that a cluster, a guest or a user may name is an attack on who looks at it."""

from __future__ import annotations

from tests.unit.reports.records import Record

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "</script><img src=x onerror=alert(2)>"
LINK = '<a href="javascript:alert(3)">portal</a>'
TEMPLATE = "%{x}<b>bold</b><br>$x$<img src=http://192.0.2.1/>"
ALL = (SCRIPT, BREAKOUT, LINK, TEMPLATE)


def spoil(record: Record) -> None:
    """Put each attack where a label, a hover text, a table or the JSON of the chart shows it."""
    record.found("run", "case")[0]["data"]["title"] = BREAKOUT
    record.target |= {"name": LINK, SCRIPT: BREAKOUT}
    record.settings["name"] = SCRIPT
    record.notes = (BREAKOUT,)
    for event, name in zip(record.found("drain", "begin"), (SCRIPT, BREAKOUT, LINK), strict=False):
        event["object"] = name
    for event in record.found("watch", "vmi"):
        event["data"]["node"] = LINK
    for event in record.found("watch", "vmim"):
        if event["data"].get("migration"):
            event["data"]["migration"] = {**event["data"]["migration"], "targetNode": TEMPLATE, "sourceNode": SCRIPT}
    _rename(record, "portal-a", LINK.replace("/", "|"))
    for old, new in (("clinic/POST pay", BREAKOUT), ("clinic/GET doctors", TEMPLATE)):
        record.samples[f"clinic/{new}"] = record.samples.pop(old)


def _rename(record: Record, old: str, new: str) -> None:
    """A virtual machine of that name, with all that is known of it and its streams."""
    for event in record.events:
        event["object"] = new if event["object"] == old else event["object"].replace(f"/{old}", f"/{new}")
        for key in ("name", "vmi", "vm"):
            if event["data"].get(key) == old:
                event["data"][key] = new
    for vm in record.found("portal", "deployed")[0]["data"]["vms"]:
        vm["name"] = new if vm["name"] == old else vm["name"]
    for streams in (record.samples, record.watched.rows):
        for name in [name for name in streams if name.partition("/")[2].partition("@")[0] == old]:
            streams[name.replace(old, new)] = streams.pop(name)  # type: ignore[assignment]
