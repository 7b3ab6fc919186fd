"""Levels of people in plugins of maubot, which are roles and affiliations, and other parts of Matrix: `python3 -m unittest discover tests/ports`."""

import tomllib
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sample
import test_layer
from test_maubot import HALL, occupant, plugin

TYPES = "from mautrix.errors import *\nfrom mautrix.types import *\n"
PEOPLE = [
    occupant("bot", own=True, affiliation="owner", role="moderator", jid="bot@example.org/1"),
    occupant("olga", affiliation="owner", role="moderator", jid="olga@example.org/1"),
    occupant("adam", affiliation="admin", role="moderator", jid="adam@example.org/1"),
    occupant("max", role="moderator", jid="max@example.org/1"),
    occupant("vera", jid="vera@example.org/1"), occupant("v2", jid="vera@example.org/2"),
    occupant("hidden"), occupant("mute", role="visitor", jid="mute@example.org/1"),
]


class Given(test_layer.Case):
    async def given(self, *bodies: str) -> list[list[tuple[Any, ...]]]:
        """For each of these bodies of methods, which have the `levels` of the room, the calls about the room, or the answer."""
        methods = [f"async def do_{number}(self, evt, room, kind, levels):\n    " + body.replace("\n", "\n    ") for number, body in enumerate(bodies)]
        await self.begun(plugin("\n".join([
            *methods, "@command.new('a')\n@command.argument('number')\nasync def a(self, evt: MessageEvent, number: str) -> None:\n"
            "    room, kind = evt.room_id, EventType.ROOM_POWER_LEVELS\n    levels = await self.client.get_state_event(room, kind)\n"
            "    try:\n        await getattr(self, f'do_{number}')(evt, room, kind, levels)\n"
            "    except MatrixRequestError as error:\n        await evt.respond(type(error).__name__)"]), TYPES), rooms_service="rooms.example.org")
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL, features=["muc_membersonly"])
        self.host.occupants[HALL] = PEOPLE
        self.host.affiliated[HALL, "admin"] = ["away@example.org"]
        found = []
        for number in range(len(bodies)):
            answers = await self.answers(f"!a {number}", chat=HALL, kind="groupchat", nick="vera")
            found.append([*((one,) for one in answers), *self.host.calls])
            self.host.calls = []
        return found

    async def sent(self, *changes: str) -> list[list[tuple[Any, ...]]]:
        return await self.given(*(f"{one}\nawait self.client.send_state_event(room, kind, levels)" for one in changes))

    async def test_a_level_is_a_role_or_an_affiliation(self) -> None:
        cases = (
            ("levels.users['vera@example.org'] = 100", [("set_affiliation", HALL, "vera@example.org", "admin", None)]),
            # They have two nicknames.
            ("levels.users['vera@example.org'] = 50", [("set_role", HALL, "vera", "moderator", None), ("set_role", HALL, "v2", "moderator", None)]),
            ("levels.set_user_level(f'{room}/hidden', 75)", [("set_role", HALL, "hidden", "moderator", None)]),
            ("levels.users[f'{room}/max'] = 0", [("set_role", HALL, "max", "participant", None)]),
            ("levels.users['max@example.org'] = -1", [("set_role", HALL, "max", "visitor", None)]),
            ("levels.users[f'{room}/mute'] = 0", [("set_role", HALL, "mute", "participant", None)]),
            # A room of members lets nobody in who is nothing there.
            ("levels.users['adam@example.org'] = 0", [("set_affiliation", HALL, "adam@example.org", "member", None), ("set_role", HALL, "adam", "participant", None)]),
            ("levels.users[f'{room}/adam'] = 50", [("set_affiliation", HALL, "adam@example.org", "member", None), ("set_role", HALL, "adam", "moderator", None)]),
            ("levels['users'] = {**levels.get('users'), 'new@example.org': 100}", [("set_affiliation", HALL, "new@example.org", "admin", None)]),
            # Somebody who is not there may be an admin.
            ("levels.users['away@example.org'] = 0", [("set_affiliation", HALL, "away@example.org", "member", None)]),
            ("levels.users['gone@example.org'] = 0", []),
            ("levels.users['adam@example.org'] = 200", []),
            ("levels.ensure_user_level('max@example.org', 50)", []),
            ("del levels.users['max@example.org']", [("set_role", HALL, "max", "participant", None)]),
        )
        for (change, calls), found in zip(cases, await self.sent(*(change for change, _ in cases))):
            self.assertEqual(found, calls, change)

    async def test_people_of_whom_nothing_is_said_stay_what_they_are(self) -> None:
        self.assertEqual(await self.sent(
            "levels = PowerLevelStateEventContent(users={'vera@example.org': 100})", "levels = {'users': {f'{room}/hidden': 50}}", "levels = levels.serialize()"), [
            [("set_affiliation", HALL, "vera@example.org", "admin", None)], [("set_role", HALL, "hidden", "moderator", None)], []])

    async def test_the_account_itself_owners_and_people_who_are_not_there_are_not_changed(self) -> None:
        cases = (
            ("levels.users['olga@example.org'] = 0", "MForbidden"), ("levels.users[f'{room}/olga'] = -1", "MForbidden"),
            ("levels.users[self.client.mxid] = 0", "MForbidden"), ("levels.users[f'{room}/hidden'] = 100", "MNotFound"),
            ("levels.users[f'{room}/nobody'] = 50", "MNotFound"), ("levels.users['gone@example.org'] = 50", "MNotFound"),
            ("levels.users[room] = 50", "MNotFound"), ("levels.events_default = 50", "MForbidden"),
            ("levels = PowerLevelStateEventContent(users=levels.users, ban=0)", "MForbidden"),
            # Nothing is done if a part of it cannot be.
            ("levels.users['vera@example.org'] = 100\nlevels.users[f'{room}/nobody'] = 50", "MNotFound"),
            ("levels.users['vera@example.org'] = 100\nlevels.users[f'{room}/hidden'] = 100", "MNotFound"),
            # In a chat, nobody has a level.
            ("room = 'alice@example.org'", "MForbidden"),
        )
        for (change, error), found in zip(cases, await self.sent(*(change for change, _ in cases))):
            self.assertEqual(found, [(error,)], change)

    async def test_people_who_may_enter_are_all_or_members(self) -> None:
        call = "await self.client.send_state_event(room, 'm.room.join_rules', {})"
        self.assertEqual(await self.given(
            "rule = (await self.client.get_state_event(room, EventType.ROOM_JOIN_RULES)).join_rule\nawait evt.respond(rule.value)",
            call.format("JoinRulesStateEventContent(JoinRule.PUBLIC)"), call.format("{'join_rule': 'invite'}"), call.format("{'join_rule': 'knock'}")), [
            [("invite",)], [("configure", HALL, {"membersonly": False})], [("configure", HALL, {"membersonly": True})], [("MForbidden",)]])

    async def test_no_room_is_made_in_the_place_of_a_space(self) -> None:
        call = "await self.client.create_room(creation_content={'type': %s})"
        self.assertEqual(await self.given(call % "'m.space'", call % "RoomType.SPACE"), [[("MForbidden",)]] * 2)


class Heard(test_layer.Case):
    async def test_changes_of_roles_and_affiliations_are_changes_of_levels(self) -> None:
        texts = plugin(
            "@event.on(EventType.ROOM_POWER_LEVELS)\nasync def a(self, evt: StateEvent):\n    before = evt.prev_content.get('users', {})\n"
            "    changed = {name: level for name, level in evt.content.users.items() if before.get(name, 0) != level}\n"
            "    await self.client.send_text(evt.room_id, f'{evt.sender} {changed}')", "from mautrix.types import EventType, StateEvent\n")
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertIn("rooms.read", tomllib.loads(result["files"]["plugin.toml"])["permissions"])
        self.parlor = sample.begun(texts, Path(self.folder.name))
        self.host = self.parlor.host
        self.host.rooms[HALL] = SimpleNamespace(jid=HALL)
        self.host.occupants[HALL] = [occupant("vera", jid="vera@example.org/1")]
        await self.host.start()

        def vera(**given: Any) -> SimpleNamespace:
            about = {"jid": "vera@example.org/1", "previous_nick": None, "actor": None, "left": None, "reason": None, **given}
            self.host.occupants[HALL] = [occupant("vera", **about)]
            return self.host.occupants[HALL][0]

        self.assertEqual(await self.heard("occupantChanged", vera()), [])
        by = SimpleNamespace(nick="olga", jid=None)
        self.assertEqual(await self.heard("occupantChanged", vera(role="moderator", actor=by)), [
            f"{HALL}/olga {{'{HALL}/vera': 50, 'vera@example.org': 50}}"])
        self.assertEqual(await self.heard("occupantChanged", vera(role="moderator")), [])
        self.assertEqual(await self.heard("occupantChanged", vera(affiliation="admin")), [f"{HALL} {{'{HALL}/vera': 100, 'vera@example.org': 100}}"])
        # They have the same level by another nickname.
        renamed = occupant("v", jid="vera@example.org/1", previous_nick="vera", affiliation="admin", actor=None)
        self.assertEqual(await self.heard("occupantChanged", renamed), [])
        joined = occupant("max", role="moderator", actor=None, previous_nick=None, left=None, reason=None)
        self.assertEqual(await self.heard("occupantJoined", joined) + await self.heard("occupantChanged", joined), [])
        away = occupant("", jid="away@example.org", affiliation="admin", actor=None)
        self.assertEqual(await self.heard("affiliationChanged", away), [f"{HALL} {{'away@example.org': 100}}"])
        self.assertEqual(await self.heard("affiliationChanged", occupant("", jid="new@example.org", affiliation="member", actor=None)), [])


class Told(unittest.TestCase):
    HEAD = "from mautrix.types import EventType, JoinRule, RelationType, RoomType\n"

    def findings(self, body: str, head: str = "") -> list[tuple[str, str]]:
        result = sample.port(plugin(body, head))
        return [(one["kind"], one["what"], one["instead"]) for one in result["findings"]]

    def test_what_matrix_alone_has_is_told_with_what_to_use(self) -> None:
        for body, head, kind, what, part in (
            ("async def a(self, evt):\n    return evt.content.relates_to.rel_type == RelationType.THREAD", self.HEAD, "check", "RelationType.THREAD", "of_parlor.thread"),
            ("async def a(self, evt):\n    return evt.content.get('org.matrix.msc3245.voice')", "", "check", "evt.content['org.matrix.msc3245.voice']", "AUDIO"),
            ("async def a(self, evt):\n    return 'm.mentions' in evt.content.serialize()", "", "check", "evt.content.serialize()['m.mentions']", "on_mention"),
            ("async def a(self, evt):\n    return evt.content['m.location']", "", "check", "evt.content['m.location']", "extensions"),
            ("async def a(self):\n    return await self.client.api.request('GET', f'/_matrix/client/v3/rooms/{self.id}/messages')", "", "lacks",
             "self.client.api.request", "archive"),
            ("async def a(self):\n    return await self.client.api.request(Method.GET, Path.v3.rooms[self.id].state)", "", "lacks", "self.client.api.request", "get_state("),
            ("async def a(self):\n    self.client.add_event_handler(1, self.a)", "", "lacks", "self.client.add_event_handler", "@event.on"),
            ("async def a(self):\n    return self.client.state_store", "", "lacks", "self.client.state_store", "get_state_event"),
            ("async def a(self):\n    return await self.client.state_store.get_member('a', 'b')", "", "lacks", "self.client.state_store", "get_joined_members"),
            ("async def a(self):\n    return await self.client.get_event_context('a', 'b')", "", "lacks", "self.client.get_event_context", "archive"),
            ("async def a(self):\n    return RoomType.SPACE", self.HEAD, "check", "RoomType.SPACE", "setting"),
            ("async def a(self):\n    return JoinRule.KNOCK", self.HEAD, "lacks", "JoinRule.KNOCK", "reference"),
            ("async def a(self):\n    return self.http.cookie_jar", "", "lacks", "self.http.cookie_jar", "header"),
            ("async def a(self):\n    async with self.http.get('https://a.example') as answer:\n        return answer.status, answer.history", "", "lacks",
             "answer.history", "url"),
            ("async def a(self):\n    async with aiohttp.ClientSession() as tea:\n        answer = await tea.post('https://a.example')\n        return answer.cookies, tea.ws_connect",
             "import aiohttp\n", "lacks", "answer.cookies", "header"),
        ):
            found = self.findings(body, head)
            self.assertTrue(any(one[0] == kind and one[1] == what and part in one[2] for one in found), (body, found))

    def test_data_of_its_own_and_other_objects_are_not_told(self) -> None:
        for body in (
            "async def a(self, content):\n    content['org.example.tea'] = 1\n    return content.get('org.example.tea')",
            "async def a(self, evt):\n    return evt.content.get('m.relates_to'), evt.content.get('body'), evt.content.get('a.json')",
            "async def a(self):\n    answer = await self.http.get('https://a.example')\n    answer = answer.json\n    return answer.history",
            "async def a(self):\n    async with self.http.get('https://a.example') as answer:\n        return await answer.json(), answer.headers, answer.content",
        ):
            self.assertEqual([one for one in self.findings(body) if one[0] == "lacks"], [], body)

    def test_levels_are_granted_and_told(self) -> None:
        for kind, permission in (("EventType.ROOM_POWER_LEVELS", "rooms.moderate"), ("'m.room.join_rules'", "rooms.configure")):
            result = sample.port(plugin(f"async def a(self):\n    await self.client.send_state_event('a', {kind}, {{}})", self.HEAD))
            self.assertEqual(sample.told(result, "lacks"), [])
            self.assertIn(permission, tomllib.loads(result["files"]["plugin.toml"])["permissions"])


if __name__ == "__main__":
    unittest.main()
