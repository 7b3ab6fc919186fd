"""The account in plugins of maubot: its rooms, their names and people, and those that a plugin makes."""

import ast

import checks
import lacks
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
