"""The account, by the names that plugins of maubot know."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, Awaitable, Mapping, Optional

import aiohttp
import mautrix.client
import parlor
from mautrix.types import (
    ContentURI, EventID, EventType, MediaMessageEventContent, Member, Membership, MessageType, PaginationDirection, RoomID, StateEvent,
    TextMessageEventContent, UserID,
)
from mautrix.errors import MForbidden, MNotFound
from parlor import errors, outgoing, rooms, storage, user
from parlor_port import places, ready, texts

from . import levels, made_rooms, media, room_state
from .made_rooms import allowed, bare


#: How many invitations are kept in mind.
_MOST_INVITATIONS = 100


class Client(mautrix.client.Client):
    """The calls of a plugin in the name of the account."""

    def __init__(self) -> None:
        #: The latest invitations, by their rooms.
        self._invitations: "OrderedDict[str, Any]" = OrderedDict()
        #: The names and subjects that the plugin has set, by their rooms and types.
        self._texts: dict[tuple[str, EventType], str] = {}

    def invited(self, invite: Any) -> None:
        """Keeps an invitation in mind."""
        self._invitations[str(invite.room)] = invite
        while len(self._invitations) > _MOST_INVITATIONS:
            self._invitations.popitem(last=False)

    @property
    def api(self) -> Any:
        """Its session makes requests over the web."""
        return SimpleNamespace(session=aiohttp.ClientSession())

    @property
    def state_store(self) -> room_state.Store:
        """The known states of rooms. Needs `rooms.read`."""
        return room_state.Store()

    @property
    def mxid(self) -> UserID:
        """The own address."""
        return UserID(user.bare_jid())

    async def send_message(self, room_id: Any, content: Any, **_: Any) -> EventID:
        """Says something in a room or to a person."""
        return EventID(await allowed(places.say(str(room_id), of_content(str(room_id), content))))

    async def send_message_event(self, room_id: Any, event_type: Any, content: Any, **_: Any) -> EventID:
        """Says something, or reacts."""
        event_type = EventType.find(str(event_type))
        if event_type not in (EventType.REACTION, EventType.ROOM_MESSAGE):
            raise NotImplementedError(f"the layer sends messages and reactions, and no {event_type}")
        if isinstance(content, Mapping):
            content = TextMessageEventContent.deserialize(content)
        if event_type is EventType.REACTION:
            relates = getattr(content, "relates_to", None)
            return await self.react(room_id, getattr(relates, "event_id", ""), getattr(relates, "key", ""))
        return await self.send_message(room_id, content)

    async def send_text(
        self, room_id: Any, text: Optional[str] = None, html: Optional[str] = None, msgtype: Any = None, relates_to: Any = None, **_: Any
    ) -> EventID:
        """Says a text; of HTML, what it shows."""
        return await self.send_message(room_id, TextMessageEventContent(msgtype or MessageType.TEXT, text or "", None, html, relates_to))

    send_notice = send_text

    async def send_emote(self, room_id: Any, text: Optional[str] = None, html: Optional[str] = None, **options: Any) -> EventID:
        """Says what the account does."""
        return await self.send_text(room_id, text, html, MessageType.EMOTE, **options)

    async def send_markdown(
        self, room_id: Any, markdown: str, *, allow_html: bool = False, msgtype: Any = None, relates_to: Any = None, **_: Any
    ) -> EventID:
        """Says a text with the signs of Markdown."""
        body = texts.of_markdown(markdown, allow_html)
        return await self.send_message(room_id, TextMessageEventContent(msgtype or MessageType.TEXT, body, relates_to=relates_to))

    async def upload_media(
        self, data: Any, mime_type: Optional[str] = None, filename: Optional[str] = None, size: Optional[int] = None, **_: Any
    ) -> ContentURI:
        """Uploads a file to the account's server. Everybody who is given its address can read it. Needs `files.send`."""
        return await media.upload(data, mime_type, filename, size)

    async def download_media(self, url: Any, timeout_ms: Optional[int] = None) -> bytes:
        """A file of a message that came since the plugin's start, of at most 8 MiB. Needs `files.read`."""
        return await media.download(url)

    async def send_file(
        self, room_id: Any, url: Any, *, info: Any = None, file_name: Optional[str] = None, file_type: Any = MessageType.FILE, relates_to: Any = None,
        **_: Any,
    ) -> EventID:
        """Sends a file that was uploaded, or one of the web."""
        content = MediaMessageEventContent(file_type, file_name or "", url=url, info=info, relates_to=relates_to)
        return await self.send_message(room_id, content)

    async def send_image(self, room_id: Any, url: Any, **options: Any) -> EventID:
        """The same, for a picture."""
        return await self.send_file(room_id, url, **{"file_type": MessageType.IMAGE, **options})

    send_sticker = send_image

    async def react(self, room_id: Any, event_id: Any, key: str, **_: Any) -> EventID:
        """Reacts to a message that was heard lately, or to an own one."""
        await ready.wait()
        about = await places.known(str(room_id), str(event_id))
        if about is None:
            raise MNotFound(f"no message {event_id} was heard lately in {room_id}")
        return EventID(await allowed(places.say(str(room_id), outgoing(react_to=about, emojis=places.reacted(about, key)))))

    async def redact(self, room_id: Any, event_id: Any, reason: Optional[str] = None, **_: Any) -> EventID:
        """Takes an own message back, or has a room take one of somebody else back, which needs `rooms.moderate`."""
        await ready.wait()
        about = await places.known(str(room_id), str(event_id))
        if about is not None and not getattr(about, "own", True):
            if about.kind != "groupchat" or not about.stanza_id:
                raise MForbidden("only a room can take back a message of somebody else")
            await allowed(rooms.retract(str(room_id), about.stanza_id, reason or None))
            return EventID(event_id)
        number = str(event_id) if about is None else places.id_of(about)
        return EventID(await allowed(places.say(str(room_id), outgoing(retract=number))))

    async def kick_user(self, room_id: Any, user_id: Any, reason: Optional[str] = None, **_: Any) -> None:
        """Makes somebody leave a room. Needs `rooms.moderate`."""
        for nick in _nicks(str(room_id), str(user_id)):
            await allowed(rooms.kick(str(room_id), nick, reason or None))

    async def ban_user(self, room_id: Any, user_id: Any, reason: Optional[str] = None, **_: Any) -> None:
        """Makes somebody leave a room for good. Needs `rooms.moderate`, and a room that shows their address."""
        await allowed(rooms.ban(str(room_id), _address(str(room_id), str(user_id)), reason or None))

    async def unban_user(self, room_id: Any, user_id: Any, reason: Optional[str] = None, **_: Any) -> None:
        """Lets somebody come back, by their own address. Needs `rooms.moderate`. `MNotFound`: they are not banned."""
        room, address = str(room_id), _address(str(room_id), str(user_id))
        # An owner or a member would lose that.
        if all(bare(one.jid) != address for one in await allowed(rooms.affiliations(room, "outcast"))):
            raise MNotFound(f"{address} is not banned from {room}")
        await allowed(rooms.set_affiliation(room, address, "none", reason or None))

    async def invite_user(self, room_id: Any, user_id: Any, reason: Optional[str] = None, **_: Any) -> None:
        """Invites somebody into a room."""
        await allowed(rooms.invite(str(room_id), made_rooms.person(str(user_id), needs_address=True), reason=reason or None))

    async def get_joined_members(self, room_id: Any) -> dict[UserID, Member]:
        """The people in a room, which needs `rooms.read`, or the two of a chat."""
        await ready.wait()
        return room_state.people(str(room_id))

    async def get_event(self, room_id: Any, event_id: Any) -> Any:
        """A message that was heard lately. `MNotFound`: it was not, or too long ago."""
        from .events import message_events

        about = places.heard(str(room_id), str(event_id))
        if about is None:
            raise MNotFound(f"no message {event_id} was heard lately in {room_id}")
        return message_events(self, about)[0]

    async def get_messages(
        self, room_id: Any, direction: Any = PaginationDirection.BACKWARD, from_token: Optional[str] = None, limit: Any = None,
        filter_json: Any = None,
    ) -> Any:
        """A page of an archive: `events`, and `end`, where the next page begins. Needs `archive.read`."""
        from . import history

        return await history.page(self, str(room_id), direction, from_token, limit, filter_json)

    async def get_displayname(self, user_id: Any, **_: Any) -> str:
        """The nickname in a room, or what stands before `@`."""
        bare, _slash, nick = str(user_id).partition("/")
        return nick or bare.partition("@")[0]

    async def get_profile(self, user_id: Any, **_: Any) -> Member:
        """The same as a member, who has no picture."""
        return Member(Membership.JOIN, await self.get_displayname(user_id))

    async def get_state_event(self, room_id: Any, event_type: Any, state_key: Any = "", *, format: str = "content", **_: Any) -> Any:
        """A state of a room, or of somebody there. Needs `rooms.read`. `MNotFound`: XMPP has no such state."""
        await ready.wait()
        kind = event_type if isinstance(event_type, EventType) else EventType.find(str(event_type))
        found = room_state.content(str(room_id), kind, str(state_key))
        return room_state.event(str(room_id), kind, str(state_key), found) if format == "event" else found

    async def send_state_event(self, room_id: Any, event_type: Any, content: Any, state_key: Any = "", **_: Any) -> EventID:
        """Sets the subject of a room or the levels of people, which needs `rooms.moderate`, or its name or who may enter, which needs
        `rooms.configure`. `MForbidden`: the room does not let the account, or it is another state."""
        kind = event_type if isinstance(event_type, EventType) else EventType.find(str(event_type))
        if kind is EventType.ROOM_TOPIC:
            topic = made_rooms.text_of(content, "topic")
            await self._set_text(str(room_id), kind, topic, rooms.set_subject(str(room_id), topic))
        elif kind is EventType.ROOM_NAME:
            name = made_rooms.text_of(content, "name")
            await self._set_text(str(room_id), kind, name, rooms.configure(str(room_id), {"roomname": name}))
        elif kind is EventType.ROOM_POWER_LEVELS:
            await levels.give(str(room_id), content)
        elif kind is EventType.ROOM_JOIN_RULES:
            await allowed(rooms.configure(str(room_id), {"membersonly": made_rooms.is_closed(content)}))
        else:
            raise MForbidden(f"a plugin cannot set {kind} in XMPP")
        return EventID("")

    async def _set_text(self, room: str, kind: EventType, text: str, call: Awaitable[Any]) -> None:
        """Sets the name or the subject of a room. The event may come before the answer."""
        self._texts[room, kind] = text
        try:
            await allowed(call)
        except BaseException:
            self._texts.pop((room, kind), None)
            raise

    def set_text(self, room: str, kind: EventType) -> Optional[str]:
        """The name or the subject of a room that the plugin has set last, once."""
        return self._texts.pop((room, kind), None)

    async def create_room(
        self, alias_localpart: Optional[str] = None, visibility: Any = None, preset: Any = None, name: Optional[str] = None,
        topic: Optional[str] = None, is_direct: bool = False, invitees: Any = None, initial_state: Any = None, creation_content: Any = None, **_: Any
    ) -> RoomID:
        """Makes a room, and invites people. A direct one with one person is the chat with them. `MForbidden`: it is to be a space."""
        if "m.space" in made_rooms.value_of(creation_content, "type"):
            raise MForbidden("XMPP has no spaces")
        people = [made_rooms.person(str(one)) for one in invitees or ()]
        if is_direct and len(people) == 1:
            return RoomID(people[0])
        states = made_rooms.states_of(initial_state)
        states |= {kind: {of: text} for kind, of, text in (("m.room.name", "name", name), ("m.room.topic", "topic", topic)) if text}
        is_listed = "public" in str(getattr(visibility, "value", visibility))
        is_open = is_listed or "public" in str(getattr(preset, "value", preset))
        return RoomID(await made_rooms.make(alias_localpart, states, is_open, is_listed, people))

    async def get_state(self, room_id: Any) -> list[StateEvent]:
        """All states of a room that are known, those of people too."""
        await ready.wait()
        return room_state.events(str(room_id))

    async def get_members(self, room_id: Any, *_: Any, **__: Any) -> list[StateEvent]:
        """The people in a room, as events."""
        await ready.wait()
        return room_state.members(str(room_id))

    async def resolve_room_alias(self, room_alias: Any) -> Any:
        """The address of a room, which is its own alias."""
        return SimpleNamespace(room_id=RoomID(room_alias), servers=[])

    async def whoami(self) -> Any:
        """The own address."""
        return SimpleNamespace(user_id=self.mxid, device_id="")

    async def send_receipt(self, room_id: Any, event_id: Any, **_: Any) -> None:
        """Tells the author of a message that it was read, if they asked for that."""
        about = places.heard(str(room_id), str(event_id))
        if about is not None:
            await mark_read(about)

    async def join_room(self, room_id: Any, **_: Any) -> RoomID:
        """Enters a room, also with the password of an invitation."""
        invite = self._invitations.get(str(room_id))
        if invite is not None and invite.password is not None:
            await allowed(rooms.open(str(room_id), password=invite.password))
        else:
            await allowed(rooms.open(str(room_id)))
        # One that has failed can be tried again.
        self._invitations.pop(str(room_id), None)
        return RoomID(room_id)

    join_room_by_id = join_room

    async def leave_room(self, room_id: Any, reason: Optional[str] = None, **_: Any) -> None:
        """Leaves a room, or declines the invitation to one."""
        invite = self._invitations.pop(str(room_id), None)
        if invite is not None and not places.is_room(str(room_id)):
            await allowed(rooms.decline(str(room_id), str(invite.from_), reason or None))
        else:
            await allowed(rooms.close(str(room_id)))

    async def get_account_data(self, type: Any, room_id: Any = None) -> Any:
        """The value that was stored by this name. `MNotFound`: there is none. Needs `storage`."""
        found = await allowed(storage.get(_data(type, room_id)))
        if found is None and str(type) == str(EventType.DIRECT):
            # Chats are no rooms, and none is known before it is made.
            return {}
        if found is None:
            raise MNotFound(f"nothing is stored as {type}")
        return found

    async def set_account_data(self, type: Any, data: Any, room_id: Any = None) -> None:
        """Stores a value by a name, for this plugin alone. Needs `storage`."""
        await allowed(storage.set(_data(type, room_id), data.serialize() if hasattr(data, "serialize") else data))

    async def get_joined_rooms(self) -> list[RoomID]:
        """The rooms that the account is in."""
        await ready.wait()
        return [RoomID(one.jid) for one in rooms.get_all()]

    def add_dispatcher(self, dispatcher: Any) -> None:
        """It has no effect: events about people in rooms are heard without it."""

    remove_dispatcher = add_dispatcher

    async def set_typing(self, room_id: Any, timeout: Any = 0, **_: Any) -> None:
        """Shows that the bot writes, in a chat."""
        await ready.wait()
        if not places.is_room(str(room_id)):
            await parlor.chats.send(str(room_id), outgoing(chat_state="composing" if timeout else "active"))


MaubotMatrixClient = Client


def _data(kind: Any, room: Any) -> str:
    """The key of account data."""
    return f"account_data/{kind}" if room is None else f"account_data/{room}/{kind}"


def _nicks(room: str, user: str) -> list[str]:
    """The nicknames of a person in a room: `ROOM/NICK` has one, and an address may have several. `MNotFound`: nobody has it there."""
    if user.startswith(f"{room}/"):
        return [user.removeprefix(f"{room}/")]
    found = [one.nick for one in rooms.occupants(room) if one.jid is not None and bare(one.jid) == bare(user)]
    if not found:
        raise MNotFound(f"{user} is not in {room}, or the room does not show addresses")
    return found


def _address(room: str, user: str) -> str:
    """The address of a person, who may be `ROOM/NICK`. `MNotFound`: the room does not show it. It never is that of the room itself."""
    if not user.startswith(f"{room}/"):
        if places.is_room(bare(user)):
            raise MNotFound(f"{user} is no address of a person")
        return bare(user)
    nick = user.removeprefix(f"{room}/")
    found = made_rooms.address_of(room, nick)
    if found is None:
        raise MNotFound(f"{user} is not in the room, or it does not show addresses")
    return found


def of_content(place: str, content: Any, about: Any = None, edits: Any = None) -> Any:
    """A message to send, as parlor has it. `about`: the message that it answers, unless the content names another one. `edits`: the own
    message in whose place it is said."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = TextMessageEventContent.deserialize(content)
    file = media.file_of(content)
    body = None if file is not None else _shown(content)
    relates: Any = getattr(content, "relates_to", None)
    kind = str(getattr(relates, "rel_type", "") or "")
    replaced = getattr(edits, "event_id", edits) if edits is not None else relates.event_id if kind == "m.replace" else None
    if replaced is not None:
        inner = getattr(content, "new_content", None)
        return outgoing(_shown(inner) or body, replace=str(replaced), files=None if file is None else [file])
    reply = getattr(getattr(relates, "in_reply_to", None), "event_id", None) or (relates.event_id if kind == "m.in_reply_to" else None)
    about = (places.heard(place, str(reply)) if reply else None) or about
    if file is not None:
        name = getattr(content, "filename", None)
        return outgoing(_shown(content) if name and content.body != name else None, reply_to=about, files=[file])
    return outgoing(body, reply_to=about) if about is not None else body


def _shown(content: Any) -> str:
    """The text of a content. One about what the account does begins with `/me` (XEP-0245)."""
    body, formatted = getattr(content, "body", None) or "", getattr(content, "formatted_body", None) or ""
    # A text is sent with what `render` made of it: people see the latter.
    if not body or isinstance(formatted, texts.Rendered) and formatted.markdown == body:
        body = texts.of_html(formatted)
    is_emote = getattr(content, "msgtype", None) in (MessageType.EMOTE, MessageType.EMOTE.value)
    return f"/me {body}" if is_emote and body else str(body)


async def mark_read(message: Any) -> None:
    """Tells the author of a message in a chat that it was read, if they asked for that."""
    wants = message.extensions is not None and message.extensions.markable
    if wants and message.kind != "groupchat" and message.id:
        try:
            await parlor.chats.send(message.chat, outgoing(marker="displayed", marked=message))
        except errors.Denied:
            # A plugin of maubot expects no error there.
            return
