"""Parts of Matrix that plugins of maubot use and XMPP has in another way: levels, threads, data of contents, and requests to the server."""

import ast
import re
from typing import Iterator, Optional

import checks
import lacks
import tree
from tree import Module

#: The types of events about levels.
LEVELS = {"ROOM_POWER_LEVELS", "m.room.power_levels"}
CHANGES = (
    "levels are made of roles and affiliations: they change with those, also if somebody becomes a visitor (-1), and `users` has the people who are there",
    "`@parlor.on(\"occupantChanged\")`, `\"affiliationChanged\"`",
)
GIVES = (
    "from 100 on, a level makes an admin, from 50 on a moderator for as long as the person stays, from 0 on a participant, and below a visitor: plugin.toml"
    " asks for `rooms.moderate`, and the account has to be an admin of the room, or an owner for admins. Owners stay what they are, and other levels than"
    " those of people raise `MForbidden`",
    "nothing, once the owner has granted it; `parlor.rooms.set_role` and `set_affiliation` for more",
)
#: The types of events about names and subjects of rooms.
NAMES, TOPICS = {"ROOM_NAME", "m.room.name"}, {"ROOM_TOPIC", "m.room.topic"}
NEW_NAMES = (
    "the host tells of no new name by itself: it is heard of with the next message that the plugin gets from the room, or when somebody there enters,"
    " leaves or changes, and of a room that the account enters, too. Nobody tells who gave it: the sender is the room",
    "nothing; `parlor.rooms.get(room).name` for the name of now",
)
NEW_TOPICS = (
    "it is also heard of when the account enters a room. Nobody tells who set the subject: the sender is the room, or the account if the plugin set it",
    "nothing",
)
RULES = (
    "a room lets everybody enter, or members: other rules raise `MForbidden`. plugin.toml asks for `rooms.configure`, and the account has to own the room",
    "nothing, once the owner has granted it",
)
THREADS = (
    "threads of XMPP have names, and no message that they began with: no message has this relation",
    "`evt.of_parlor.thread`; an answer stays in the thread by itself",
)
#: The first characters of addresses of Matrix: of rooms, of their names, and of people.
SIGNS = {"!", "#", "@"}
NO_SIGNS = ("addresses of XMPP begin with no such character: it is false for them", "`\"@\" in …`, and no difference between a room and its name")
SPACES = ("XMPP has no spaces: no room is one, and to make one raises `MForbidden`", "a list of rooms as a setting")
MENTIONS = ("clients of XMPP name people in the text: it is never there", "`@parlor.on_mention`, or the nickname in `evt.content.body`")
NOT_SENT = ("the layer sends messages and reactions: `NotImplementedError`", "`parlor.api.send(…)`, which sends a stanza, with the permission `stanza.send`")
VOICE = ("XMPP does not mark recordings of a voice: it is never there", "`evt.content.msgtype == MessageType.AUDIO`")
NO_DATA = ("messages of XMPP have no data of Matrix: it is never there", "`evt.of_parlor.extensions`, which has what parlor knows of a message")
#: The names in contents that the layer has.
WRITTEN = {"m.relates_to", "m.new_content", "m.in_reply_to"}
#: A name of data in a content, such as `m.mentions`.
DATA = re.compile(r"m\.[a-z0-9_.-]+\Z|[a-z]{2,}(?:\.[a-z0-9_-]+){2,}\Z")
#: The expressions that stand for contents.
CONTENT = re.compile(r"(?:^|\.)content\Z")

SERVER = "there is no server of Matrix to ask"
#: Parts of the paths of requests, each with what to use in its place. The first one that is found counts.
REQUESTS = (
    ("messages", lacks.NO_HISTORY[1]), ("context", lacks.NO_HISTORY[1]), ("relations", lacks.NO_HISTORY[1]), ("power_levels", "`self.client.get_state_event`, `send_state_event`"),
    ("state", "`self.client.get_state(room_id)`, `get_state_event`, `send_state_event`"), ("joined_members", "`self.client.get_joined_members(room_id)`"),
    ("members", "`self.client.get_members(room_id)`"), ("directory", "nothing: the address of a room is its only alias"), ("publicRooms", "a list of rooms as a setting"),
    ("joined_rooms", "`self.client.get_joined_rooms()`"), ("upload", "`self.client.upload_media(…)`"), ("download", "`self.client.download_media(url)`"),
    ("profile", "`self.client.get_profile(user_id)`, `parlor.vcard`"), ("account_data", "`self.client.get_account_data`, `set_account_data`"),
    ("hierarchy", SPACES[1]), ("devices", "nothing: the host has the account's devices"), ("keys", "nothing: the host encrypts and decrypts"),
    ("receipt", "`evt.mark_read()`"), ("typing", "`self.client.set_typing(…)`"), ("admin", "the server's own commands, by its owner"),
)
#: Attributes of the client that the layer does not have, each with what to use.
OF_CLIENT = {
    "state_store": ("the host knows rooms and people", "`self.client.get_state_event(…)`, `get_joined_members(…)`, which ask nobody else"),
    "event_handlers": ("the host calls the methods that the decorators name", "`@event.on(…)`, with an `if` for when it is to do something"),
    **dict.fromkeys(("add_event_handler", "remove_event_handler"), (
        "the host calls the methods that the decorators name", "`@event.on(…)` at the method, with an `if` for when it is to do something")),
    **dict.fromkeys(("crypto", "crypto_store", "sync_store", "crypto_enabled"), ("the host encrypts and decrypts", "nothing")),
    "set_displayname": ("several plugins share the account", "`parlor.rooms.open(room, nick=…)` for the nickname in a room"),
    "set_avatar_url": ("several plugins share the account", "nothing: the owner sets the account's picture"),
    **dict.fromkeys(("get_room_directory", "get_pushrules", "knock_room", "forget_room", "search_users"), lacks.NO_CLIENT),
}


def of_client(checker: checks.Checker, module: Module, node: ast.Attribute, shown: str) -> None:
    """Tells of an attribute of the client that the layer does not have."""
    why, instead = OF_CLIENT.get(node.attr, lacks.NO_CLIENT)
    checker.tell("lacks", module, node, shown, why, instead)


def of_requests(checker: checks.Checker, module: Module, node: ast.Attribute, shown: str, around: dict[ast.AST, ast.AST]) -> None:
    """Tells of a request to a server of Matrix, and what to use in its place."""
    call = around.get(node)
    words = _words(module, call) if isinstance(call, ast.Call) and call.func is node else set()
    instead = next((instead for part, instead in REQUESTS if part in words), lacks.NO_CLIENT[1])
    checker.tell("lacks", module, node, shown, SERVER, instead)


def _words(module: Module, call: ast.Call) -> set[str]:
    """Returns the parts of the path of a request, also if a variable has the path."""
    found: set[str] = set()
    names = {one.id for given in call.args for one in ast.walk(given) if isinstance(one, ast.Name)}
    given = [*call.args, *(one.value for one in call.keywords if one.arg in ("path", "url"))]
    given += [one.value for one in ast.walk(module.tree) if isinstance(one, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in one.targets)]
    for one in (inner for outer in given for inner in ast.walk(outer)):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            found.update(re.split(r"[/.?]", one.value))
        elif isinstance(one, ast.Attribute):
            found.add(one.attr)
    return found


def run(checker: checks.Checker) -> None:
    """Tells of data in contents that Matrix alone has."""
    found = [(module, node, owner, key) for module in checker.modules for node, owner, key in _data(module)]
    stored = {key for _, node, _, key in found if isinstance(getattr(node, "ctx", ast.Load()), ast.Store)}
    for module, node, owner, key in found:
        if key in stored or key in WRITTEN or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            continue
        why, instead = MENTIONS if key.endswith("mentions") else VOICE if key.endswith("voice") else NO_DATA
        checker.tell("check", module, node, f"{owner}[{key!r}]"[:100], why, instead)


def _data(module: Module) -> Iterator[tuple[ast.AST, str, str]]:
    """Yields the places where a content is asked for data, or is given some, with the content and the name of the data."""
    for node in ast.walk(module.tree):
        owner, key = tree.keyed(node) or _looked_into(node) or (None, "")
        if owner is None or not DATA.match(key):
            continue
        shown = ast.unparse(owner)
        if CONTENT.search(shown.removesuffix(".serialize()")):
            yield node, shown, key


def _looked_into(node: ast.AST) -> Optional[tuple[ast.expr, str]]:
    """Returns the owner and the key of `"key" in owner`. None: it is something else."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not isinstance(node.ops[0], (ast.In, ast.NotIn)):
        return None
    key = node.left
    return (node.comparators[0], key.value) if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
