"""What the service answers with: JSON after the DMTF's schemas, with the properties that those require."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]

ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
SESSION_SERVICE = "/redfish/v1/SessionService"
SESSIONS = f"{SESSION_SERVICE}/Sessions"
RESET = "Actions/ComputerSystem.Reset"
RESET_TYPES = ("On", "ForceOff", "GracefulShutdown", "ForceRestart")
"""What a lab's node can do; it has no operating system that a shutdown could ask, so that is a ForceOff too."""
SESSION_SECONDS = 1800
REGISTRY = "Base.1.19"


def versions() -> Document:
    return {"v1": ROOT}


def service_root(lab: str) -> Document:
    return {
        "@odata.id": ROOT, "@odata.type": "#ServiceRoot.v1_16_0.ServiceRoot", "Id": "RootService",
        "Name": f"drainproof lab {lab}", "RedfishVersion": "1.20.0", "UUID": _identity(lab),
        "Systems": {"@odata.id": SYSTEMS}, "SessionService": {"@odata.id": SESSION_SERVICE},
        "Links": {"Sessions": {"@odata.id": SESSIONS}},
    }


def session_service() -> Document:
    return {
        "@odata.id": SESSION_SERVICE, "@odata.type": "#SessionService.v1_1_9.SessionService", "Id": "SessionService",
        "Name": "Session Service", "ServiceEnabled": True, "SessionTimeout": SESSION_SECONDS,
        "Status": {"State": "Enabled", "Health": "OK"}, "Sessions": {"@odata.id": SESSIONS},
    }


def session(name: str, user: str) -> Document:
    return {
        "@odata.id": f"{SESSIONS}/{name}", "@odata.type": "#Session.v1_7_1.Session", "Id": name,
        "Name": "User Session", "UserName": user,
    }


def sessions(names: Sequence[str]) -> Document:
    return _collection(SESSIONS, "SessionCollection", "Session Collection", names)


def systems(nodes: Sequence[str]) -> Document:
    return _collection(SYSTEMS, "ComputerSystemCollection", "Computer System Collection", nodes)


def system(lab: str, node: str, *, on: bool) -> Document:
    where = f"{SYSTEMS}/{node}"
    return {
        "@odata.id": where, "@odata.type": "#ComputerSystem.v1_22_0.ComputerSystem", "Id": node, "Name": node,
        "SystemType": "Virtual", "HostName": node, "UUID": _identity(f"{node}.{lab}"),
        "PowerState": "On" if on else "Off",
        "Status": {"State": "Enabled" if on else "Disabled", "Health": "OK"},
        "Boot": {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"},
        "Actions": {"#ComputerSystem.Reset": {
            "target": f"{where}/{RESET}", "ResetType@Redfish.AllowableValues": list(RESET_TYPES),
        }},
    }


def error(message: str, text: str, *arguments: str, resolution: str = "None.") -> Document:
    """An error with one message of the base registry, named by its key."""
    name = f"{REGISTRY}.{message}"
    return {"error": {"code": name, "message": text, "@Message.ExtendedInfo": [{
        "@odata.type": "#Message.v1_2_1.Message", "MessageId": name, "Message": text, "MessageArgs": list(arguments),
        "MessageSeverity": "Critical", "Resolution": resolution,
    }]}}


def _collection(where: str, kind: str, title: str, names: Sequence[str]) -> Document:
    return {
        "@odata.id": where, "@odata.type": f"#{kind}.{kind}", "Name": title, "Members@odata.count": len(names),
        "Members": [{"@odata.id": f"{where}/{name}"} for name in names],
    }


def _identity(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, text))
