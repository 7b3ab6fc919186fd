"""Conversations of several commands: a flow is a graph of commands, and a person is at one of its nodes. Nothing of it outlives the
plugin's end."""

import asyncio
import collections
import inspect
import logging
import weakref
from typing import Any, Awaitable, Callable, Iterable, Iterator, Mapping, Optional, Union

from . import people
from .decorators import NOTED, Declared

_log = logging.getLogger("errbot")

#: The attribute of a method that describes a flow.
FLOW = "_parlor_flow"
#: How many conversations are kept in mind, the latest ones, and how many steps one takes by itself.
_MOST, _MOST_STEPS = 1000, 100

Predicate = Callable[[Any], Any]
#: A method of the plugin, with its declaration.
Command = tuple[str, Declared]


def _never(_: Any) -> bool:
    return False


class FlowNode:
    """A command of a flow, with those that may follow it."""

    def __init__(self, command: Optional[str] = None) -> None:
        self.command = command
        #: Whether people are told what may follow.
        self.hints = True
        self.children: list[tuple[Predicate, "FlowNode"]] = []

    def connect(self, node_or_command: "Union[FlowNode, str]", predicate: Predicate = _never, hints: Optional[bool] = None) -> "FlowNode":
        """Lets a command follow. It does so by itself once the predicate is true."""
        node = FlowNode(node_or_command) if isinstance(node_or_command, str) else node_or_command
        self.children.append((predicate, node))
        if hints is not None:
            node.hints = hints
        return node

    def __str__(self) -> str:
        return self.command or ""


class FlowRoot(FlowNode):
    """The beginning of a flow."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__()
        self.name = name
        self.description = description
        #: The commands that begin it, and those that begin one of the whole room.
        self.auto_triggers: set[str] = set()
        self.room_flow = False

    def connect(
        self, node_or_command: Union[FlowNode, str], predicate: Predicate = _never, hints: Optional[bool] = None, auto_trigger: bool = False,
        room_flow: bool = False,
    ) -> FlowNode:
        """Lets a command begin it: by itself with `auto_trigger`, else after `!flows start`."""
        node = super().connect(node_or_command, predicate, hints)
        if auto_trigger:
            self.auto_triggers.add(str(node))
        self.room_flow |= room_flow
        return node


#: The end of a flow.
FLOW_END = FlowNode()


class BotFlow:
    """The class that has methods with flows."""

    def __init__(self, bot: Any = None, name: Optional[str] = None) -> None:
        self.name = name or type(self).__name__
        self.log = logging.getLogger(f"errbot.flows.{self.name}")

    def activate(self) -> None:
        """Called when the plugin starts."""

    def deactivate(self) -> None:
        """Called when it ends."""


def botflow(*functions: Callable[..., Any], **_: Any) -> Any:
    """Has a method describe a flow, which has its name."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        setattr(function, FLOW, True)
        return function

    return note(functions[0]) if functions else note


class _Talk:
    """A conversation: somebody is at a node of a flow."""

    def __init__(self, root: FlowRoot) -> None:
        self.root = root
        self.at: FlowNode = root
        self.ctx: dict[str, Any] = {}


#: Carries out a command that was not written: the method, its declaration and the message, with the context. Gives whether it was done.
Execute = Callable[[str, Declared, Any], Awaitable[bool]]


class Flows:
    """All flows of a plugin, and who is in them."""

    def __init__(self, kinds: Iterable[type], commands: Iterable[Command], prefix: Callable[[], str]) -> None:
        #: By the names that nodes have, the methods.
        self._commands: dict[str, Command] = {}
        for one in commands:
            self._commands[one[1].name.lower()] = self._commands[one[0].lower()] = one
        self._prefix = prefix
        self.owners = [kind() if not _takes_bot(kind) else kind(None, kind.__name__) for kind in kinds]
        self._roots = {root.name: root for owner in self.owners for root in _roots_of(owner)}
        for name, root in list(self._roots.items()):
            unknown = sorted({str(node) for node in _nodes(root) if node.command and self._of(node) is None})
            if unknown:
                _log.warning("the flow %s has commands that the plugin has not, and is left out: %s", name, ", ".join(unknown))
                del self._roots[name]
        nodes = [node for root in self._roots.values() for node in _nodes(root)]
        self._steps = {id(command[1]) for command in map(self._of, nodes) if command is not None}
        self._are_shared = any(root.room_flow for root in self._roots.values())
        self._talks: "collections.OrderedDict[tuple[str, ...], _Talk]" = collections.OrderedDict()
        self._locks: "weakref.WeakValueDictionary[tuple[str, ...], asyncio.Lock]" = weakref.WeakValueDictionary()

    def __bool__(self) -> bool:
        return bool(self._roots)

    def _of(self, node: FlowNode) -> Optional[Command]:
        return self._commands.get((node.command or "").lower())

    def lock(self, message: people.Message) -> asyncio.Lock:
        """Held while somebody takes a step: the next message is for the step after it."""
        key = _room_key(message) if self._are_shared else _own_key(message)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    def _keep(self, key: tuple[str, ...], talk: _Talk) -> None:
        self._talks[key] = talk
        self._talks.move_to_end(key)
        while len(self._talks) > _MOST:
            self._talks.popitem(last=False)

    def _of_author(self, message: people.Message) -> list[tuple[tuple[str, ...], _Talk]]:
        """The conversations that a message may belong to: the author's own one first, and one of the whole room."""
        found = [(key, self._talks[key]) for key in (_own_key(message), _room_key(message)) if key in self._talks]
        for key, _ in found:
            self._talks.move_to_end(key)
        return found

    def has(self, declared: Declared) -> bool:
        """Whether a command is a step of any flow."""
        return id(declared) in self._steps

    def may(self, message: people.Message, declared: Declared) -> bool:
        """Whether a command may be given now: one that belongs to flows alone is a step of the author's."""
        return not declared.flow_only or self._next(message, declared) is not None or self._begun_by(declared) is not None

    def is_next(self, message: people.Message, declared: Declared) -> bool:
        """Whether a command is the next step of the author's."""
        return self._next(message, declared) is not None

    def _next(self, message: people.Message, declared: Declared) -> Optional[tuple[tuple[str, ...], _Talk, FlowNode]]:
        for key, talk in self._of_author(message):
            node = next((node for _, node in talk.at.children if self._is(node, declared)), None)
            if node is not None:
                return key, talk, node
        return None

    def _is(self, node: FlowNode, declared: Declared) -> bool:
        command = self._of(node)
        return command is not None and command[1] is declared

    def _begun_by(self, declared: Declared) -> Optional[tuple[FlowRoot, FlowNode]]:
        for root in self._roots.values():
            for _, node in root.children:
                if str(node) in root.auto_triggers and self._is(node, declared):
                    return root, node
        return None

    async def step(
        self, message: people.Message, declared: Declared, call: Callable[[], Awaitable[bool]], execute: Execute,
        say: Callable[[str], Awaitable[Any]],
    ) -> None:
        """Carries out a command with the context of its flow, if it is a step of one, and goes on from there. `call` tells whether it was
        done: after one that was not, the author stays where they were."""
        found = self._next(message, declared)
        begun = None if found is not None else self._begun_by(declared)
        if found is not None:
            key, talk, node = found
        elif begun is not None:
            talk, node = _Talk(begun[0]), begun[1]
            key = self._key_for(message, begun[0])
        else:
            await call()
            return
        message.ctx = talk.ctx
        if not await call():
            return
        talk.at, talk.ctx = node, message.ctx
        self._keep(key, talk)
        await self._go_on(key, talk, message, declared.admin_only, execute, say)

    async def _go_on(
        self, key: tuple[str, ...], talk: _Talk, message: people.Message, is_owner: bool, execute: Execute, say: Callable[[str], Awaitable[Any]]
    ) -> None:
        """Takes the steps whose predicates are true, and tells what may follow. If one is not done, the flow ends."""
        try:
            for _ in range(_MOST_STEPS):
                node = next((node for predicate, node in talk.at.children if predicate(talk.ctx)), None)
                if node is None:
                    break
                if node is FLOW_END:
                    self._talks.pop(key, None)
                    return
                command = self._of(node)
                # The host has checked who gave the first command, and nobody gave this one.
                if command is None or command[1].admin_only and not is_owner:
                    raise PermissionError(f"the flow {talk.root.name} would go on with {node}, which is for admins")
                if not await execute(*command, message):
                    self._talks.pop(key, None)
                    return
                talk.at, talk.ctx = node, message.ctx
        except BaseException:
            self._talks.pop(key, None)
            raise
        if not any(node is not FLOW_END for _, node in talk.at.children):
            self._talks.pop(key, None)
        elif talk.at.hints:
            await say(self._hint(talk))

    def _hint(self, talk: _Talk) -> str:
        lines = [f"This is the flow {talk.root.name}. It goes on with:"]
        for _, node in talk.at.children:
            command = self._of(node)
            if command is not None:
                lines.append(f"- {command[1].shown(self._prefix())}")
        return "\n".join(lines)

    def _key_for(self, message: people.Message, root: FlowRoot) -> tuple[str, ...]:
        return _room_key(message) if root.room_flow and message.is_group else _own_key(message)

    # The command `!flows`

    async def command(self, message: people.Message, rest: str) -> str:
        """Lists flows, begins one, tells where somebody is, or ends that."""
        word, _, name = rest.strip().partition(" ")
        found = next(iter(self._of_author(message)), None)
        if word == "list":
            return "\n".join(f"{one.name}: {one.description}" if one.description else one.name for one in self._roots.values())
        if word == "start":
            root = self._roots.get(name.strip())
            if root is None:
                return f"There is no flow {name.strip()}."
            talk = _Talk(root)
            self._keep(self._key_for(message, root), talk)
            return self._hint(talk)
        if word == "status":
            return "You are in no flow." if found is None else self._hint(found[1])
        if word in ("stop", "kill"):
            if found is None:
                return "You are in no flow."
            del self._talks[found[0]]
            return f"The flow {found[1].root.name} has ended."
        return "There is: flows list, flows start NAME, flows status, flows stop"


def _own_key(message: people.Message) -> tuple[str, ...]:
    """Stands for the author. In a room only the occupant id tells them from the next one with the nickname."""
    of = message.of_parlor
    return (str(of.chat), str(of.occupant_id or ""), "" if of.occupant_id or not message.is_group else str(of.nick))


def _room_key(message: people.Message) -> tuple[str, ...]:
    return (str(message.of_parlor.chat), "the whole room")


def _takes_bot(kind: type) -> bool:
    try:
        inspect.signature(kind).bind(None, "")
    except TypeError:
        return False
    return True


def _roots_of(owner: Any) -> Iterator[FlowRoot]:
    for name in dir(type(owner)):
        if getattr(getattr(type(owner), name, None), FLOW, False):
            method = getattr(owner, name)
            root = FlowRoot(name, (inspect.getdoc(method) or "").partition("\n")[0])
            method(root)
            yield root


def _nodes(root: FlowNode) -> Iterator[FlowNode]:
    seen: list[FlowNode] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not any(node is one for one in seen):
            seen.append(node)
            waiting += [child for _, child in node.children]
    yield from seen


def steps_of(kind: type) -> Mapping[str, Declared]:
    """The methods of a class that are commands or wait for an expression."""
    found = {name: getattr(getattr(kind, name, None), NOTED, None) for name in dir(kind)}
    return {name: one for name, one in found.items() if isinstance(one, Declared) and one.kind in ("command", "arguments", "pattern")}
