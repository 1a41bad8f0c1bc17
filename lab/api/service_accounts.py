"""What a cluster keeps up in each namespace: the account `default`, the CA of the API, and Secrets with tokens."""

from __future__ import annotations

import base64

from lab.api.caller import Caller
from lab.api.errors import Object
from lab.api.follow_up import later
from lab.api.resources import Place, Resources
from lab.api.store import Change
from lab.api.stored import Stored
from lab.api.tokens import Tokens
from lab.kinds import CONFIG_MAP, NAMESPACE, SECRET, SERVICE_ACCOUNT

DEFAULT = "default"
CA_MAP = "kube-root-ca.crt"
TOKEN_SECRET = "kubernetes.io/service-account-token"
_ACCOUNT_NAME, _ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_MAP_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
_SYSTEM = Caller("system:kube-controller-manager", allowed=True, component=True)


class ServiceAccounts:
    """Follows the store; what it does to the kind that has just changed waits until the change has been told."""

    def __init__(self, resources: Resources, tokens: Tokens, ca: str) -> None:
        self._resources = resources
        self._tokens = tokens
        self._ca = ca

    def follow(self) -> None:
        store = self._resources.store
        store.listen(NAMESPACE, self._namespace)
        store.listen(SERVICE_ACCOUNT, self._account)
        store.listen(SECRET, self._secret)

    def _namespace(self, change: Change) -> None:
        if change.type == "ADDED":
            self._create_account(change.new.name)
            self._resources.create(Place(CONFIG_MAP, change.new.name), {
                "metadata": {"name": CA_MAP, "annotations": {"kubernetes.io/description": _MAP_NOTE}},
                "data": {"ca.crt": self._ca},
            }, _SYSTEM)

    def _create_account(self, namespace: str) -> None:
        place = Place(SERVICE_ACCOUNT, namespace)
        self._resources.create(place, {"metadata": {"name": DEFAULT}}, _SYSTEM)

    def _account(self, change: Change) -> None:
        if change.type == "DELETED":
            later(lambda: self._forget(change.new))

    def _forget(self, account: Stored) -> None:
        """Without its account a token's Secret goes; the account `default` comes back while its namespace stays."""
        store = self._resources.store
        for secret in store.list(SECRET, account.namespace):
            annotations = secret.body["metadata"].get("annotations") or {}
            of_account = annotations.get(_ACCOUNT_UID) == account.body["metadata"]["uid"]
            if secret.body.get("type") == TOKEN_SECRET and of_account:
                store.remove(secret, secret.body)
        space = store.get(NAMESPACE, "", account.namespace)
        gone = store.get(SERVICE_ACCOUNT, account.namespace, DEFAULT) is None
        if account.name == DEFAULT and gone and space and "deletionTimestamp" not in space.body["metadata"]:
            self._create_account(account.namespace)

    def _secret(self, change: Change) -> None:
        body = change.new.body
        if change.type == "ADDED" and body.get("type") == TOKEN_SECRET and "token" not in (body.get("data") or {}):
            later(lambda: self._fill(change.new))

    def _fill(self, secret: Stored) -> None:
        """Give the Secret its token; it goes when the account that it names is not there."""
        name = (secret.body["metadata"].get("annotations") or {}).get(_ACCOUNT_NAME, "")
        account = self._resources.store.get(SERVICE_ACCOUNT, secret.namespace, name)
        current = self._resources.store.get(SECRET, secret.namespace, secret.name)
        if current is None:
            return
        if account is None:
            self._resources.store.remove(current, current.body)
            return
        token = self._tokens.issue_for_secret(account.body, current.body)
        texts = {"ca.crt": self._ca, "namespace": secret.namespace, "token": token}
        data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}

        def filled(body: Object) -> Object:
            meta = body["metadata"]
            annotations = {**(meta.get("annotations") or {}), _ACCOUNT_UID: account.body["metadata"]["uid"]}
            meta = {**meta, "annotations": annotations}
            return {**body, "metadata": meta, "data": {**(body.get("data") or {}), **data}}

        self._resources.update(Place(SECRET, secret.namespace, secret.name), filled, _SYSTEM)
