"""The rooms of the account: their names and people, and those that a plugin enters and makes."""

import ast
from typing import Iterator

import checks
import lacks
import of_matrix
import tree
from manifest import Draft
from tree import Module

#: The calls that need `rooms.moderate`.
MODERATION = {"kick_user", "ban_user", "unban_user", "invite_user"}
MODERATES = (
    "plugin.toml asks for `rooms.moderate`, and the account has to be a moderator or an admin of the room; a ban needs the person's address",
    "nothing, once the owner has granted it",
)
SUBJECT = ("it sets the subject of the room: plugin.toml asks for `rooms.moderate`, and the room has to let the account", "nothing, once the owner has granted it")
NAME = ("it sets the name of the room: plugin.toml asks for `rooms.configure`, and the account has to own the room", "nothing, once the owner has granted it")
NOT_SET = ("a plugin sets no such state: `MForbidden`", "`parlor.rooms.configure`, `set_affiliation` and others: reference/api/rooms.md")
MAKES = (
    "a room is made at the service of the setting `rooms_service`, which the owner sets: plugin.toml asks for `rooms.join`, `rooms.configure` and"
    " `rooms.moderate`. Of the states, the name, the subject and who may enter have an effect",
    "nothing, once the owner has set and granted it",
)
#: The attributes by which plugins of errbot change a room, each with the fields of the draft that it sets, and what is told.
OF_ERRBOT = {
    "join": (("joins_rooms",), "it enters a room: plugin.toml asks for `rooms.join`"),
    "leave": (("joins_rooms",), "it leaves a room: plugin.toml asks for `rooms.join`"),
    "create": (("joins_rooms", "owns_rooms"), "it makes a room: plugin.toml asks for `rooms.join` and `rooms.configure`"),
    "destroy": (("owns_rooms",), "it destroys a room: plugin.toml asks for `rooms.configure`, and the account has to own the room"),
    "invite": (("moderates",), "it invites people by their addresses: plugin.toml asks for `rooms.moderate`"),
    "topic": (("moderates",), SUBJECT[0]),
}
LATER = "nothing, once the owner has granted it. It is done when the function returns or yields, and fails then: no `except` around it sees that"
DATA = ("it is the plugin's own `storage`, which nothing else of the account reads", "nothing")
DIRECT = ("a direct room is the chat with the person, so that nothing is made", "nothing")


def set_state(checker: checks.Checker, draft: Draft, module: Module, call: ast.Call, kind: str) -> None:
    """Notes what `client.send_state_event` needs. `kind`: the name of the type of the state, as far as the text says it."""
    if kind in ("ROOM_TOPIC", "m.room.topic"):
        draft.moderates = draft.knows_rooms = True
        checker.tell("check", module, call, ast.unparse(call.func), *SUBJECT)
    elif kind in ("ROOM_NAME", "m.room.name"):
        draft.configures_rooms = draft.knows_rooms = True
        checker.tell("check", module, call, ast.unparse(call.func), *NAME)
    elif kind in of_matrix.LEVELS:
        draft.moderates = draft.knows_rooms = True
        checker.tell("check", module, call, ast.unparse(call.func), *of_matrix.GIVES)
    elif kind in ("ROOM_JOIN_RULES", "m.room.join_rules"):
        draft.configures_rooms = draft.knows_rooms = True
        checker.tell("check", module, call, ast.unparse(call.func), *of_matrix.RULES)
    else:
        given = state_of(call)
        what = f"{ast.unparse(call.func)}({ast.unparse(given) if given is not None else ''})"[:100]
        checker.tell("lacks", module, call, what, *NOT_SET)


def state_of(call: ast.Call) -> "ast.expr | None":
    """Returns the type of the state that a call sets."""
    return call.args[1] if len(call.args) > 1 else checks.keywords(call).get("event_type")


def is_chat(call: ast.Call) -> bool:
    """Whether a call of `client.create_room` only makes the chat with one person."""
    given = checks.keywords(call)
    people = given.get("invitees")
    return checks.is_true(given.get("is_direct")) and isinstance(people, ast.List) and len(people.elts) == 1 and not isinstance(people.elts[0], ast.Starred)


def of_client(checker: checks.Checker, draft: Draft, module: Module, node: ast.Attribute, shown: str, is_direct: bool) -> None:
    """Notes what a call of the client needs. `is_direct`: it makes the chat with one person."""
    name = node.attr
    if name == "get_messages":
        draft.reads_history = draft.knows_rooms = True
        checker.tell("check", module, node, shown, *lacks.HISTORY)
    if name in ("react", "redact", "get_event"):
        # The plugin has to hear the messages that these refer to, also its own that come back from rooms.
        draft.hears = draft.answers = draft.knows_rooms = True
    if name == "redact":
        draft.may_moderate = True
        checker.tell("check", module, node, shown, *lacks.REDACTS)
    if name in MODERATION:
        draft.moderates = draft.knows_rooms = True
        checker.tell("check", module, node, shown, *MODERATES)
    if name == "create_room":
        # The address of a person in a room is known by the room.
        draft.knows_rooms = draft.answers = True
        if not is_direct:
            draft.makes_rooms = draft.joins_rooms = draft.configures_rooms = draft.moderates = True
        checker.tell("check", module, node, shown, *(DIRECT if is_direct else MAKES))
    if name in ("get_account_data", "set_account_data"):
        draft.keeps = True
        checker.tell("check", module, node, shown, *DATA)
    if name == "get_state_event":
        checker.tell("check", module, node, shown, *lacks.LEVELS)
    if name == "send_receipt":
        draft.hears = draft.answers = True
    if name.startswith(("join_room", "leave_room", "get_joined", "get_state", "get_members", "send_")):
        draft.knows_rooms = True
        draft.joins_rooms |= name.startswith(("join_room", "leave_room"))


def of_errbot(checker: checks.Checker, draft: Draft, module: Module, node: ast.ClassDef) -> None:
    """Notes what a plugin of errbot does with rooms."""
    held = set(_held(node))
    called = {one.func for one in ast.walk(node) if isinstance(one, ast.Call)}
    for one in ast.walk(node):
        if not isinstance(one, ast.Attribute) or one.attr not in OF_ERRBOT or not (_is_room(one.value) or ast.unparse(one.value) in held):
            continue
        # A subject is set, and the others are called.
        if isinstance(one.ctx, ast.Load) if one.attr == "topic" else one not in called:
            continue
        fields, why = OF_ERRBOT[one.attr]
        for field in fields:
            setattr(draft, field, True)
        draft.knows_rooms = True
        checker.tell("check", module, one, f"{ast.unparse(one)[:80]}{'' if one.attr == 'topic' else '()'}", why, LATER)


def _is_room(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("self.query_room", "self._bot.query_room")


def _held(node: ast.ClassDef) -> Iterator[str]:
    """Yields the expressions that hold rooms: those that are given one, parameters that are annotated so, and the recipients of messages."""
    for one in ast.walk(node):
        if isinstance(one, ast.Assign) and _is_room(one.value):
            yield from (ast.unparse(target) for target in one.targets)
        if isinstance(one, (ast.For, ast.comprehension)) and ast.unparse(one.iter) in ("self.rooms()", "self._bot.rooms()"):
            yield ast.unparse(one.target)
        if isinstance(one, ast.arg) and one.annotation is not None and ast.unparse(one.annotation).rpartition(".")[2] == "Room":
            yield one.arg
        if isinstance(one, tree.FUNCTIONS) and len(one.args.args) > 1:
            yield from (f"{one.args.args[1].arg}.to", f"{one.args.args[1].arg}.frm.room")
