"""Who may do what: default deny. One table (role × action), one question, asked by every route and service.

The table is `app/policy.yaml`; an action that stands in no row is denied to everybody, and a test walks all
routes, WebSocket topics and Dash callbacks and fails on one that names no action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.actor import Actor
from core.errors import NotAllowed, NotSignedIn


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the thing is that an action is done to: its area (street) and its department."""

    area: str = ""
    department: str = ""
    crew: str = ""
    gateway: str = ""


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Policy:
    """`allowed[action]`: the roles that may; `own[action]`: those that may only on what is their own."""

    allowed: Mapping[str, frozenset[str]]
    own: Mapping[str, frozenset[str]]

    def knows(self, action: str) -> bool:
        return action in self.allowed or action in self.own

    def permits(self, actor: Actor, action: str, scope: Scope = EVERYWHERE) -> bool:
        """True when a role of the actor may do this, inside its areas and departments."""
        if actor.areas and scope.area and scope.area not in actor.areas:
            return False
        if actor.departments and scope.department and scope.department not in actor.departments:
            return False
        if actor.roles & self.allowed.get(action, frozenset()):
            return True
        mine = (actor.crew and actor.crew == scope.crew) or (actor.gateway and actor.gateway == scope.gateway)
        return bool(mine and actor.roles & self.own.get(action, frozenset()))

    def may_ask(self, actor: Actor, action: str) -> bool:
        """True when some object might be permitted: the route's question, before the object is known."""
        return bool(actor.roles & (self.allowed.get(action, frozenset()) | self.own.get(action, frozenset())))

    def require(self, actor: Actor, action: str, scope: Scope = EVERYWHERE) -> None:
        """Raises `NotSignedIn` or `NotAllowed`."""
        if not self.permits(actor, action, scope):
            if not actor.roles:
                raise NotSignedIn
            raise NotAllowed(action=action)
