"""Rooms in plugins of maubot: invitations, names, moderation and what is done at intervals: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_maubot import plugin

HALL = "hall@rooms.example.org"
BY = {"chat": HALL, "kind": "groupchat", "nick": "alice"}


def occupant(nick: str, **given: Any) -> SimpleNamespace:
    about = {"room": HALL, "nick": nick, "own": False, "left": None, "reason": None, "actor": None, "previous_nick": None, "jid": None,
             "affiliation": "none", "role": "participant"}
    return SimpleNamespace(**{**about, **given})


class Case(test_layer.Case):
    async def greeter(self) -> None:
        """Starts the sample, in its room."""
        host = await self.begun("greeter", hall=HALL, friends=["alice@example.org"], interval=3600.0)
        host.rooms[HALL] = SimpleNamespace(jid=HALL)

    def called(self) -> list[tuple[Any, ...]]:
        calls, self.host.calls = self.host.calls, []
        return calls


class Greeter(Case):
    async def test_a_new_name_is_no_new_person(self) -> None:
        await self.greeter()
        self.assertEqual(await self.heard("occupantJoined", occupant("bob")), ["Welcome, bob!"])
        self.assertEqual(await self.heard("occupantChanged", occupant("robert", previous_nick="bob")), ["bob is robert now."])
        # Somebody is away, or has another role.
        self.assertEqual(await self.heard("occupantChanged", occupant("robert")), [])

    async def test_a_plugin_may_listen_to_everything(self) -> None:
        texts = plugin(
            "@event.on(EventType.ALL)\nasync def a(self, evt):\n    name = (await self.client.get_profile(evt.get('state_key') or evt.sender)).displayname\n"
            "    await self.client.send_text(evt.room_id, f'{evt.type} {name}')", "from mautrix.types import EventType\n")
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], ["@event.on(EventType.ALL)"])
        self.assertLess({"messages.read", "rooms.read"}, {*tomllib.loads(result["files"]["plugin.toml"])["permissions"]})
        await self.begun(texts)
        self.assertEqual(await self.heard("occupantJoined", occupant("bob")), ["m.room.member bob"])
        self.assertEqual(await self.answers("tea"), ["m.room.message alice"])

    async def test_friends_invite_it_and_others_are_declined(self) -> None:
        await self.greeter()

        async def invited(by: str, **given: Any) -> list[tuple[Any, ...]]:
            about = {"room": "garden@rooms.example.org", "from_": by, "to": "bot@example.org", "reason": None, "password": None, **given}
            await self.heard("roomInviteReceived", SimpleNamespace(**about))
            return self.called()

        garden = "garden@rooms.example.org"
        self.assertEqual(await invited("alice@example.org/phone"), [("open", garden)])
        self.assertEqual(await invited("alice@example.org", password="tea"), [("open", garden, ("password", "tea"))])
        self.assertEqual(await invited("mallory@example.org/phone"), [("decline", garden, "mallory@example.org/phone", None)])
        # It is not the address of Alice, but of somebody in the room who calls themselves so.
        self.assertEqual(await invited("garden@rooms.example.org/alice@example.org"), [("decline", garden, f"{garden}/alice@example.org", None)])

    async def test_what_is_done_at_intervals_ends_with_the_plugin(self) -> None:
        await self.greeter()
        [timer] = self.host.timers
        self.assertEqual(timer.seconds, 3600)
        self.host.occupants[HALL] = [occupant("bot", own=True), occupant("alice"), occupant("bob")]
        await timer.later()
        await timer.later()
        self.assertEqual(self.host.take(), [(HALL, "2 people are here.")])
        for one in self.host.stops:
            await one()
        self.assertTrue(timer.ended)

    async def test_somebody_is_made_to_leave(self) -> None:
        await self.greeter()
        await self.host.says("!out bob", **BY)
        self.assertEqual(self.called(), [("kick", HALL, "bob", "as asked")])
        self.host.moderation_denied = True
        self.assertEqual(await self.answers("!out bob", **BY), ["That did not work."])

    async def test_a_message_of_somebody_else_is_taken_back_by_the_room(self) -> None:
        await self.greeter()
        await self.host.says("tea", chat=HALL, kind="groupchat", nick="bob", stanza_id="s1")
        reply = SimpleNamespace(id="s1")
        await self.host.says("!hush", **BY, id="m2", stanza_id="s2", extensions=test_layer.extensions(reply=reply))
        self.assertEqual((self.called(), self.host.take()), ([("retract", HALL, "s1", "too loud")], []))

    async def test_an_own_message_is_taken_back_by_itself(self) -> None:
        await self.greeter()
        echo = self.parlor.Message("tea", HALL, "groupchat", nick="bot", id="m1", origin_id="m1", stanza_id="s1", own=True)
        for event, options, handler in list(self.host.listeners):
            if event == "message" and options.get("own"):
                await handler(echo)
        reply = SimpleNamespace(id="s1")
        await self.host.says("!hush", **BY, id="m2", stanza_id="s2", extensions=test_layer.extensions(reply=reply))
        self.assertEqual(self.called(), [])
        [(place, message)] = self.host.sent
        self.assertEqual((place, message.retract), (HALL, "s1"))


class Moderation(Case):
    async def moderator(self) -> Any:
        await self.begun(test_layer.maubot("""
            @command.new("a")
            @command.argument("name")
            @command.argument("who")
            async def a(self, evt, name, who):
                try:
                    await getattr(self.client, name)(evt.room_id, who, reason="spam")
                except Exception as error:
                    await evt.respond(type(error).__name__)
        """))
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)

        async def give(call: str, who: str) -> Any:
            answers = await self.answers(f"!a {call} {who}", **BY)
            return answers or self.called()

        return give

    async def test_a_ban_needs_the_address_of_the_person(self) -> None:
        give = await self.moderator()
        self.host.occupants[HALL] = [occupant("bob", jid="bob@example.org/phone"), occupant("eve"), occupant("rob", jid="bob@example.org/tv")]
        self.assertEqual(await give("ban_user", f"{HALL}/bob"), [("ban", HALL, "bob@example.org", "spam")])
        self.assertEqual(await give("ban_user", "bob@example.org/phone"), [("ban", HALL, "bob@example.org", "spam")])
        # Not the room itself, whose address is a part of that of each occupant.
        for who in (f"{HALL}/eve", f"{HALL}/nobody", HALL):
            self.assertEqual(await give("ban_user", who), ["MNotFound"], who)
        # Somebody who is not banned may be a member or an owner, and stays so.
        self.assertEqual(await give("unban_user", "bob@example.org"), ["MNotFound"])
        self.host.banned[HALL] = ["bob@example.org"]
        self.assertEqual(await give("unban_user", "bob@example.org"), [("set_affiliation", HALL, "bob@example.org", "none", "spam")])
        self.assertEqual(await give("kick_user", "bob@example.org"), [("kick", HALL, "bob", "spam"), ("kick", HALL, "rob", "spam")])
        self.assertEqual(await give("kick_user", "eve@example.org"), ["MNotFound"])
        self.assertEqual(await give("invite_user", "eve@example.org"), [("invite", HALL, "eve@example.org", ("reason", "spam"))])
        # A room cannot invite a nickname of another one.
        self.assertEqual(await give("invite_user", f"{HALL}/bob"), [("invite", HALL, "bob@example.org", ("reason", "spam"))])
        self.assertEqual(await give("invite_user", f"{HALL}/eve"), ["MNotFound"])

    async def test_what_is_not_granted_is_forbidden(self) -> None:
        give = await self.moderator()
        self.host.moderation_denied = True
        for call in ("kick_user", "unban_user"):
            self.assertEqual(await give(call, f"{HALL}/bob" if call == "kick_user" else "bob@example.org"), ["MForbidden"])


class Made(Case):
    async def maker(self, call: str, **settings: Any) -> Any:
        """Returns a function that has a plugin make a room, and gives its answer."""
        texts = test_layer.maubot(f"""
            @command.new("a")
            async def a(self, evt):
                try:
                    await evt.respond(await self.client.create_room({call}), markdown=False)
                except Exception as error:
                    await evt.respond(type(error).__name__)
        """)
        texts["a.py"] = "from mautrix.types import RoomCreatePreset, RoomDirectoryVisibility\n" + texts["a.py"]
        await self.begun(texts, **settings)
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)
        self.host.occupants[HALL] = [occupant("alice", jid="alice@example.org/phone"), occupant("eve")]

        async def make(nick: str = "alice") -> str:
            return (await self.answers("!a", **{**BY, "nick": nick}))[0]

        return make

    async def test_a_direct_room_is_the_chat_with_the_person(self) -> None:
        make = await self.maker("is_direct=True, invitees=[evt.sender], preset=RoomCreatePreset.TRUSTED_PRIVATE")
        self.assertEqual(await make(), "alice@example.org")
        # The room does not show the address, but passes on what is said to the nickname.
        self.assertEqual(await make("eve"), f"{HALL}/eve")
        self.assertEqual(self.called(), [])

    async def test_a_room_is_made_at_the_service_that_the_owner_has_set(self) -> None:
        states = "[{'type': 'm.room.topic', 'content': {'topic': 'Lunch'}}, {'type': 'm.room.encryption', 'content': {}}]"
        make = await self.maker(f"alias_localpart='Green Tea!', name='Tea', invitees=[evt.sender], initial_state={states}", rooms_service="rooms.example.org")
        room = "green-tea!@rooms.example.org"
        self.host.occupants[room] = [occupant("bot", own=True, affiliation="owner")]
        self.assertEqual(await make(), room)
        fields = {"persistentroom": True, "membersonly": True, "publicroom": False, "roomname": "Tea"}
        self.assertEqual(self.called(), [
            ("open", room, ("auto_configure", True), ("roomconfig", fields)), ("set_subject", room, "Lunch"),
            ("set_affiliation", room, "alice@example.org", "member", None), ("invite", room, "alice@example.org", ("reason", None))])
        # Nobody who is hidden can be invited, and then nothing is made.
        self.assertEqual((await make("eve"), self.called()), ("MNotFound", []))

    async def test_a_room_of_somebody_else_is_left(self) -> None:
        make = await self.maker("alias_localpart='tea', visibility=RoomDirectoryVisibility.PUBLIC", rooms_service="rooms.example.org")
        room = "tea@rooms.example.org"
        self.host.occupants[room] = [occupant("bot", own=True, affiliation="none"), occupant("eve", affiliation="owner")]
        self.assertEqual(await make(), "MRoomInUse")
        fields = {"persistentroom": True, "membersonly": False, "publicroom": True}
        self.assertEqual(self.called(), [("open", room, ("auto_configure", True), ("roomconfig", fields)), ("close", room)])
        self.host.rooms[room] = SimpleNamespace(jid=room)
        self.assertEqual((await make(), self.called()), ("MRoomInUse", []))

    async def test_without_a_service_none_is_made(self) -> None:
        make = await self.maker("name='Tea'")
        self.assertEqual((await make(), self.called()), ("MForbidden", []))


class Invited(Case):
    async def test_an_invitation_is_kept_until_the_room_is_open(self) -> None:
        texts = test_layer.maubot("""
            @event.on(InternalEventType.INVITE)
            async def a(self, evt: StateEvent) -> None:
                try:
                    await self.client.join_room(evt.room_id)
                except MForbidden:
                    self.refused = evt.room_id

            @command.new("again")
            async def again(self, evt) -> None:
                await self.client.join_room(self.refused)
        """)
        names = "from mautrix.client import InternalEventType\nfrom mautrix.errors import MForbidden\nfrom mautrix.types import StateEvent\n"
        texts["a.py"] = names + texts["a.py"]
        await self.begun(texts)
        self.host.moderation_denied = True
        about = {"room": HALL, "from_": "alice@example.org", "to": "bot@example.org", "reason": None, "password": "tea"}
        await self.heard("roomInviteReceived", SimpleNamespace(**about))
        self.host.moderation_denied = False
        await self.host.says("!again")
        self.assertEqual(self.called(), [("open", HALL, ("password", "tea"))])


class Intervals(Case):
    async def test_cancelled_intervals_leave_nothing_behind(self) -> None:
        await self.begun(test_layer.maubot("""
            @command.new("a")
            async def a(self, evt):
                for _ in range(10):
                    self.sched.run_periodically(60, self.ring).cancel()
                await evt.respond(str(len(self.sched._all)))

            async def ring(self):
                pass
        """))
        self.assertEqual(await self.answers("!a", **BY), ["0"])
        self.assertTrue(all(one.ended for one in self.host.timers) and self.host.timers)


class Granted(unittest.TestCase):
    def granted(self, call: str) -> dict[str, Any]:
        result = sample.port(test_layer.maubot(f"async def a(self, evt):\n    await self.client.{call}\n"))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "check")], [f"self.client.{call.partition('(')[0]}"])
        return tomllib.loads(result["files"]["plugin.toml"])["permissions"]

    def test_moderation_is_granted_and_told(self) -> None:
        for call in ("kick_user('a', 'b')", "ban_user('a', 'b')", "unban_user('a', 'b')", "invite_user('a', 'b')"):
            self.assertEqual(self.granted(call)["rooms.moderate"]["scope"], ["*"])
            self.assertNotIn("optional", self.granted(call)["rooms.moderate"])
        granted = self.granted("create_room(is_direct=True, invitees=[a])")
        self.assertEqual({*granted}, {"messages.send", "rooms.send", "rooms.read"})
        # The text does not say how many there are, or that it is direct.
        for call in ("create_room(is_direct=True, invitees=a)", "create_room(is_direct=True, invitees=[*a])", "create_room(invitees=[a])", "create_room(**a)"):
            self.assertLess({"rooms.join", "rooms.configure", "rooms.moderate", "rooms.read"}, {*self.granted(call)}, call)
        self.assertIn("rooms.configure", self.granted("send_state_event('a', 'm.room.name', {})"))
        # Most plugins take back their own messages alone.
        self.assertTrue(self.granted("redact('a', 'b')")["rooms.moderate"]["optional"])


if __name__ == "__main__":
    unittest.main()
