"""The calls of chats.chat, contacts.chat, announced.chat and members.chat."""

from typing import Optional

from parlor import Contact, chats, contacts, disco, on, rooms, types

ALICE, BOB, NOBODY = "alice@example.org", "bob@example.org", "nobody@example.org"
GARDEN, HALL, BALL = "garden@rooms.example.org", "hall@rooms.example.org", "ball@rooms.example.org"


async def call(name: str, rest: str) -> Optional[str]:
    """Makes a call, and returns what is to be told of it."""
    match name, rest:
        # chats.chat
        case "chats", "open":
            return ", ".join(opened.value.jid if hasattr(opened.value, "jid") else "-" for opened in await chats.open_many([ALICE, BOB]))
        case "chats", "get":
            one = chats.get(BOB)
            two = chats.get_many([ALICE, NOBODY])
            return f"{one.jid if one else '-'}; {', '.join(chat.jid if chat else '-' for chat in two)}; {len(chats.get_all())}"
        case "chats", "show":
            for show in (chats.focus, chats.show, chats.maximize, chats.minimize):
                await show(BOB)
            return "done"
        case "chats", "close":
            await chats.close(BOB)
            return f"{len(await chats.close_many([ALICE]))}"
        # contacts.chat
        case "contacts", "get":
            known = contacts.get(ALICE)
            two_known = contacts.get_many([ALICE, NOBODY])
            fullname = f"{known.fullname} {' '.join(known.groups)}" if known else "-"
            return f"{fullname}; {', '.join(one.jid if one else '-' for one in two_known)}; {len(contacts.get_all())}"
        case "contacts", "change":
            await contacts.rename(ALICE, "Al")
            await contacts.set_groups(ALICE, ["family", "friends"])
            return "done"
        # announced.chat
        case "announce", _:
            added = await disco.own_features_add("urn:example:news")
            named = await disco.own_identities_add("automation", "weather", "Weather")
            return f"{added} {named}".lower()
        case "announced", _:
            features, identities = disco.own_features_get(), disco.own_identities_get()
            names = [f"{one.category}/{one.kind} {one.name or '-'}" for one in identities]
            return f"{str('urn:example:news' in features).lower()}; {', '.join(names)}"
        case "clear", _:
            await disco.own_identities_clear()
            return "done"
        case "server", _:
            server = await disco.get_identity("server", "im", "example.org")
            ping = await disco.supports("urn:xmpp:ping", "example.org")
            none = await disco.supports("urn:example:none", "example.org")
            return f"{server.kind if server else '-'} {ping.supported} {none.supported}".lower()
        # members.chat
        case "members", "list":
            return ", ".join(member.jid for member in await rooms.affiliations(GARDEN, "member")) or "nobody"
        case "members", "change":
            await rooms.set_role(GARDEN, "bob", "visitor", "enough")
            await rooms.set_affiliation(GARDEN, BOB, "member")
            return "done"
        case "members", "invite":
            await rooms.invite(GARDEN, "carol@example.org", reason="come")
            return "done"
        case "members", "ban":
            await rooms.ban(GARDEN, BOB, "spam")
            return "done"
        case "rooms", "open":
            return f"{len(await rooms.open_many([HALL, BALL], nick='bot'))}"
        case "rooms", "get":
            room = rooms.get(HALL)
            two_rooms = rooms.get_many([BALL, GARDEN])
            return f"{room.nick if room else '-'}; {', '.join(one.jid if one else '-' for one in two_rooms)}; {len(rooms.get_all())}"
        case "rooms", "show":
            for show in (rooms.focus, rooms.show, rooms.maximize, rooms.minimize):
                await show(HALL)
            return "done"
        case "rooms", "bookmark":
            await rooms.set_bookmark(rooms.Bookmark(HALL, name="The hall", autojoin=True))
            marked = [f"{one.jid} {one.name or '-'}" for one in rooms.bookmarks()]
            await rooms.remove_bookmark(HALL)
            return f"{', '.join(marked)}; {len(rooms.bookmarks())}"
        case "rooms", "close":
            await rooms.destroy(BALL, "it is over")
            return f"{len(await rooms.close_many([HALL]))}"
    return None


# contacts.chat


@on("contactRequest")
async def asks(asking: Contact) -> None:
    await (contacts.accept(asking.jid) if asking.jid.startswith("carol") else contacts.deny(asking.jid))


# members.chat


@on("roomInviteReceived")
async def invited(invite: types.Invite) -> None:
    await rooms.decline(invite.room, invite.from_, "another time")
