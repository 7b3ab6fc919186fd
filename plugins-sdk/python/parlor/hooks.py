"""Hooks: the plugin sees what passes between people and other plugins, and gives a verdict on it.

It needs `hooks.outgoing`, `hooks.incoming` or `hooks.commands`, and a place in the owner's order. It has the owner's deadline for each
verdict, 50 ms by default. A handler that fails gives none, and then the owner's rule decides.

    @hooks.outgoing
    async def stamp(hook: Hook) -> hooks.Verdict:
        if hook.message.body is not None:
            return hooks.Alter(body=f"{hook.message.body} (a bot)")
        return None

    @hooks.incoming
    async def filter_spam(hook: Hook) -> hooks.Verdict:
        if "casino" in (hook.message.body or ""):
            return hooks.Stop()
        return None

    @hooks.commands
    async def ask_for_code(hook: Hook) -> hooks.Verdict:
        if hook.args[-1:] != ["123456"]:
            return hooks.Stop("Add your code.")
        return None
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Literal, Optional, Union

from .host import Grouping
from .listen import Subscription, check, on

if TYPE_CHECKING:
    from ._contract.types import Hook

_hooks = Grouping("hooks")


@dataclass(frozen=True)
class Alter:
    """An outgoing message is sent with another body, subject or both."""

    body: Optional[str] = None
    subject: Optional[str] = None


@dataclass(frozen=True)
class Stop:
    """It is stopped, for this reason: of an outgoing message for the plugin that sends it, of a command for the person."""

    reason: Optional[str] = None


@dataclass(frozen=True)
class Mark:
    """An incoming message gets this label."""

    label: str


#: The verdict that a handler returns. None lets it pass.
Verdict = Union[None, Alter, Stop, Mark]
Handler = Callable[["Hook"], Coroutine[Any, Any, Verdict]]


async def allow(hook: "Hook") -> None:
    """Lets it pass as it is. `NotFound`: nobody waits for a verdict: it was given, or its time is over."""
    await _hooks.allow(hook.id)


async def alter(hook: "Hook", *, body: Optional[str] = None, subject: Optional[str] = None) -> None:
    """Lets an outgoing message pass with another body, subject or both. `Invalid`: it is none, or nothing is changed. `NotFound`: as
    with `allow`. Needs `hooks.outgoing`."""
    await _hooks.alter(hook.id, body, subject)


async def stop(hook: "Hook", reason: Optional[str] = None) -> None:
    """Stops a message or a command. The plugin that sends a message gets the reason, and so does the person who gives a command.
    `NotFound`: as with `allow`."""
    await _hooks.stop(hook.id, reason)


async def mark(hook: "Hook", label: str) -> None:
    """Lets an incoming message pass with a label. `Invalid`: it is none, or no label. `NotFound`: as with `allow`. Needs
    `hooks.incoming`."""
    await _hooks.mark(hook.id, label)


async def _give(hook: "Hook", verdict: Verdict) -> None:
    if verdict is None:
        await allow(hook)
    elif isinstance(verdict, Alter):
        await alter(hook, body=verdict.body, subject=verdict.subject)
    elif isinstance(verdict, Stop):
        await stop(hook, verdict.reason)
    elif isinstance(verdict, Mark):
        await mark(hook, verdict.label)
    else:
        raise TypeError(f"a hook returns hooks.Alter, hooks.Stop, hooks.Mark or nothing, not {verdict!r}")


def _subscribe(event: Literal["hookOutgoing", "hookIncoming", "hookCommand"], taker: str, handler: Handler) -> Subscription:
    check(handler, taker, "hook")

    async def judge(hook: "Hook") -> None:
        await _give(hook, await handler(hook))

    return on(event)(judge)


def outgoing(handler: Handler) -> Subscription:
    """Has the host call an `async` function with each message that another plugin sends. Needs `hooks.outgoing`."""
    return _subscribe("hookOutgoing", "hooks.outgoing", handler)


def incoming(handler: Handler) -> Subscription:
    """Has the host call an `async` function with each message that came, before other plugins hear of it. Needs `hooks.incoming`."""
    return _subscribe("hookIncoming", "hooks.incoming", handler)


def commands(handler: Handler) -> Subscription:
    """Has the host call an `async` function with each command to another plugin. Needs `hooks.commands`."""
    return _subscribe("hookCommand", "hooks.commands", handler)
