"""The errors of calls. Every one is an `Error`; nothing was sent unless its text says so."""

from typing import Any, Callable, Optional, Sequence


#: The text of the `OSError` that an attempt to use the network raises.
NO_NETWORK = "a plugin reaches no network by itself: the host makes requests, by parlor.http; .parlor/docs/author/web.md says how"


class Error(Exception):
    """Any reason why the host did not do what was asked."""

    #: Whether the same call may well work later.
    is_temporary: bool = False
    #: The call that failed, such as `rooms.kick`; None: it is an error of the SDK's or the plugin's own.
    call: Optional[str] = None
    #: The call's first argument where that is a text, such as a JID.
    argument_of_call: Optional[str] = None


class Denied(Error):
    """The owner did not grant it."""

    def __init__(self, permission: str, scope: Optional[str], hint: str) -> None:
        super().__init__(f"not granted: {permission}" + (f" for {scope}" if scope else ""))
        #: The permission, such as `messages.send`.
        self.permission = permission
        #: The scope that the grant would have to cover, such as a JID.
        self.scope = scope
        #: The command or the line with which the owner allows it.
        self.hint = hint


class Invalid(Error):
    """An argument is wrong."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"invalid {argument}: {reason}")
        #: The argument's name as the contract spells it.
        self.argument = argument
        #: The reason: what is wrong with it.
        self.reason = reason


class StanzaError(Error):
    """It was sent, and the other side answered with an error (RFC 6120, section 8.3)."""

    def __init__(self, condition: str, kind: str, text: Optional[str], xml: str) -> None:
        super().__init__(f"{condition}: {text}" if text else condition)
        #: Such as `item-not-found`.
        self.condition = condition
        #: `auth`, `cancel`, `continue`, `modify` or `wait`.
        self.kind = kind
        self.is_temporary = kind == "wait"
        self.text = text
        #: The whole error element.
        self.xml = xml


class NotFound(Error):
    """The thing of this name does not exist."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not found: {what}")
        #: The thing that does not exist.
        self.what = what


class NotReady(Error):
    """It is too early: wait for the promise of this name first."""

    is_temporary = True

    def __init__(self, promise: str) -> None:
        super().__init__(f"too early: {promise} has not come yet")
        #: The promise to wait for, by `wait_until`.
        self.promise = promise


class Unsupported(Error):
    """The host, or the server, cannot do that."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"unsupported: {reason}")
        #: The reason: which of the two it is, and what it cannot do.
        self.reason = reason


class Rejected(Error):
    """The promise was rejected, for this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"rejected: {reason}")
        #: As its plugin gave it.
        self.reason = reason


class TimedOut(Error, TimeoutError):
    """It was sent, and no answer came in time. `except TimeoutError` catches it together with what `asyncio.timeout` raises."""

    is_temporary = True


class Offline(Error):
    """The account has no session with the server. The session usually survives a connection loss: then stanzas wait."""

    is_temporary = True


class Stopped(Error):
    """The plugin or the session that the call waited for has ended."""


class OverLimit(Error):
    """A limit of this plugin is used up."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"over a limit: {limit}")
        #: The name of the limit.
        self.limit = limit


class Unreachable(Error):
    """There is no connection to the server of the web."""

    is_temporary = True


class Tls(Error):
    """There is no trusted connection to the server of the web."""


class Protocol(Error):
    """The server of the web does not speak HTTP as it should."""


class NotDeclared(Error):
    """The plugin's manifest does not ask for what this call needs, so that the call is not there at all."""


class Outside(Error):
    """There is no host: the plugin's code runs in a test of its author's own."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"{call} is a call of the host, and there is none here: try what needs one in tests/*.chat, by `parlor plugin test`"
        )
        self.call = call


def of_call(error: object, call: str, given: Sequence[object]) -> Error:
    """The exception for an error of the contract that a call gave. Its traceback names the call."""
    first = given[0] if given else None
    return with_call(from_wit(error), call, _without_query(first) if isinstance(first, str) else None)


def _without_query(argument: str) -> str:
    """An argument for the log. An address is named without its query, which may have a secret of the plugin's own, and without what
    stands behind a `#`, which is the key of an encrypted file."""
    return argument.partition("?")[0].partition("#")[0] if "://" in argument else argument


def with_call(raised: Error, call: str, argument: Optional[str]) -> Error:
    """An exception of a call that failed. Its traceback names the call."""
    raised.call = call
    raised.argument_of_call = argument
    shown = "" if raised.argument_of_call is None else f" {raised.argument_of_call!r}"
    # Type checkers may know an older Python than the one that runs it. An error that had a note of its call gets the new one in its place.
    setattr(raised, "__notes__", [f"({call}{shown})"])
    return raised


def from_wit(error: object) -> Error:
    """The exception for an error of the contract."""
    case = type(error).__name__.removeprefix("Error_")
    value: Any = getattr(error, "value", None)
    if case == "Denied":
        return Denied(value.permission, value.scope, value.hint)
    if case == "Invalid":
        return Invalid(value.name, value.reason)
    if case == "Stanza":
        return StanzaError(value.condition, value.kind, value.text, value.xml)
    simple: dict[str, Callable[[str], Error]] = {
        "NotFound": NotFound,
        "NotReady": NotReady,
        "Unsupported": Unsupported,
        "Rejected": Rejected,
        "OverLimit": OverLimit,
        "Unreachable": Unreachable,
        "Tls": Tls,
        "Protocol": Protocol,
    }
    if case in simple:
        return simple[case](value)
    plain: dict[str, tuple[type[Error], str]] = {
        "TimedOut": (TimedOut, "no answer came in time"),
        "Offline": (Offline, "there is no connection to the server"),
        "Stopped": (Stopped, "what the call waited for has ended"),
    }
    if case in plain:
        kind, text = plain[case]
        return kind(text)
    return Error(str(value))
