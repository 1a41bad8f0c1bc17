"""ClusterRoles that gather the rules of others by label, as `view`, `edit` and `admin` do."""

from __future__ import annotations

from lab.api.caller import Caller
from lab.api.errors import Object
from lab.api.follow_up import later
from lab.api.label_selector import matches
from lab.api.resources import Place, Resources
from lab.api.store import Change
from lab.kinds import CLUSTER_ROLE

_SYSTEM = Caller("system:kube-controller-manager", allowed=True, component=True)
_ROUNDS = 4
"""`admin` gathers `edit`, which gathers `view`: a round for each, and one in which nothing changes."""


class Aggregation:
    """Follows the ClusterRoles of a store."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._due = False

    def follow(self) -> None:
        self._resources.store.listen(CLUSTER_ROLE, self._changed)

    def _changed(self, _: Change) -> None:
        if not self._due:
            self._due = True
            later(self.settle)

    def settle(self) -> None:
        """Give every gathering role the rules of those that it selects."""
        self._due = False
        for _ in range(_ROUNDS):
            roles = self._resources.store.list(CLUSTER_ROLE)
            if not sum(self._gather(stored.name, stored.body) for stored in roles):
                return

    def _gather(self, name: str, role: Object) -> bool:
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
        if not selectors:
            return False
        rules: list[Object] = []
        for other in self._resources.store.list(CLUSTER_ROLE):
            labels = other.body["metadata"].get("labels") or {}
            if other.name != name and any(matches(selector, labels) for selector in selectors):
                rules += [rule for rule in other.body.get("rules") or [] if rule not in rules]
        if rules == (role.get("rules") or []):
            return False
        self._resources.update(Place(CLUSTER_ROLE, "", name), lambda body: {**body, "rules": rules}, _SYSTEM)
        return True
