"""The few errors that cross a room's border. Each carries the key of a text, never a sentence.

The HTTP edge maps them to RFC 9457 problem details once (`core.http`), the command line to an exit code.
"""

from __future__ import annotations


class CityOpsError(Exception):
    """Something that a person must be told. `params` fill the text of `key`."""

    key = "error.failed"

    def __init__(self, key: str | None = None, /, **params: object) -> None:
        self.key = key or self.key
        self.params = params
        super().__init__(self.key, params)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.key} ({told})" if told else self.key


class NotFound(CityOpsError):
    key = "error.not_found"


class NotAllowed(CityOpsError):
    """The actor is known and may not do this."""

    key = "error.not_allowed"


class NotSignedIn(CityOpsError):
    key = "error.not_signed_in"


class Invalid(CityOpsError):
    """What was asked for makes no sense; `field` names the part that is wrong."""

    key = "error.invalid"

    def __init__(self, key: str | None = None, /, *, field: str = "", **params: object) -> None:
        super().__init__(key, field=field, **params)
        self.field = field


class WrongState(CityOpsError):
    """The action does not exist in this state; `allowed` are those that do."""

    key = "error.wrong_state"

    def __init__(self, state: str, allowed: list[str], key: str | None = None, /, **params: object) -> None:
        super().__init__(key, state=state, allowed=allowed, **params)
        self.state = state
        self.allowed = allowed


class SensorsDisagree(WrongState):
    """Someone says it is fixed, and its own sensors object; `objections` are the readings that do."""

    key = "error.sensors_disagree"

    def __init__(self, state: str, allowed: list[str], objections: list[dict[str, object]]) -> None:
        super().__init__(state, allowed, count=len(objections))
        self.objections = objections


class Unavailable(CityOpsError):
    """A part we need is away for now; asking again later may help."""

    key = "error.unavailable"
