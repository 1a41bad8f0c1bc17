"""Bearer tokens of service accounts: signed like the real ones, good as long as their account is there.

A token is a JSON Web Token (RFC 7519) with an HMAC over SHA-256; the real server signs with a key pair, which makes a
difference to nobody who takes a token for opaque.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.api.caller import account_user
from lab.api.errors import Object
from lab.api.store import Store
from lab.kinds import NODE, POD, SECRET, SERVICE_ACCOUNT

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
_BOUND_KINDS = {kind.name: kind for kind in (POD, SECRET, NODE)}


@dataclass(frozen=True)
class Identity:
    """Whom a good token stands for."""

    user: str
    uid: str
    extra: Object


class Tokens:
    """Issues tokens and tells whose they are. `now` gives seconds since the epoch."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._key = secrets.token_bytes(32)

    def issue(self, account: Object, seconds: int, audiences: Sequence[str], bound: Object | None) -> tuple[str, float]:
        """A token and the moment at which it ends; `bound` is an object with whose end it ends too."""
        meta, now = account["metadata"], int(self._now())
        facts: Object = {
            "namespace": meta["namespace"], "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        if bound:
            facts[bound["kind"].lower()] = {key: bound[key] for key in ("name", "uid")}
        claims = {
            "aud": list(audiences), "exp": now + seconds, "iat": now, "iss": AUDIENCE,
            "jti": str(uuid.uuid4()), "kubernetes.io": facts, "nbf": now,
            "sub": account_user(meta["namespace"], meta["name"]),
        }
        return self._signed(claims), float(now + seconds)

    def issue_for_secret(self, account: Object, secret: Object) -> str:
        """The token that a Secret of type kubernetes.io/service-account-token holds: without an end of its own."""
        meta = account["metadata"]
        bound = {"name": secret["metadata"]["name"], "uid": secret["metadata"]["uid"]}
        return self._signed({
            "aud": [AUDIENCE], "iss": "kubernetes/serviceaccount", "sub": account_user(meta["namespace"], meta["name"]),
            "kubernetes.io": {
                "namespace": meta["namespace"], "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
                "secret": bound,
            },
        })

    def read(self, token: str) -> Identity | None:
        """None for a token that is not ours, has ended, is for others, or whose account or bound object is gone."""
        claims = self._verified(token)
        if claims is None or AUDIENCE not in claims["aud"]:
            return None
        if not claims.get("nbf", 0) <= self._now() < claims.get("exp", float("inf")):
            return None
        facts = claims["kubernetes.io"]
        account = facts["serviceaccount"]
        stored = self._store.get(SERVICE_ACCOUNT, facts["namespace"], account["name"])
        if stored is None or stored.body["metadata"]["uid"] != account["uid"] or not self._bound_is_there(facts):
            return None
        extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]} if "jti" in claims else {}
        return Identity(claims["sub"], account["uid"], extra)

    def _bound_is_there(self, facts: Object) -> bool:
        for kind in _BOUND_KINDS.values():
            wanted = facts.get(kind.singular)
            if wanted:
                stored = self._store.get(kind, facts["namespace"] if kind.namespaced else "", wanted["name"])
                return stored is not None and stored.body["metadata"]["uid"] == wanted["uid"]
        return True

    def _signed(self, claims: Object) -> str:
        text = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{text}.{_base64(self._signature(text))}"

    def _signature(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()

    def _verified(self, token: str) -> Object | None:
        text, _, signature = token.rpartition(".")
        if not text.isascii() or not hmac.compare_digest(signature.encode(), _base64(self._signature(text)).encode()):
            return None
        try:
            claims: Object = json.loads(base64.urlsafe_b64decode(text.partition(".")[2] + "=="))
        except (ValueError, binascii.Error):
            return None
        return claims


def _encode(value: Object) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
