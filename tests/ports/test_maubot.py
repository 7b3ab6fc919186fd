"""Parts of the layer for maubot that the samples do not use: `python3 -m unittest discover tests/ports`."""

import asyncio
import importlib
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import sample
import test_layer

HALL = "hall@rooms.example.org"
ABOUT = "id: org.example.a\nversion: 1.0\nmodules:\n- a\nmain_class: A\n"
HEAD = "from maubot import Plugin, MessageEvent\nfrom maubot.handlers import command, event\n"


def plugin(body: str, head: str = "", about: str = ABOUT, config: str = "") -> dict[str, str]:
    """The texts of a plugin whose class has this body."""
    lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    texts = {"maubot.yaml": about, "a.py": f"{HEAD}{head}\n\nclass A(Plugin):\n{lines}\n"}
    return {**texts, "base-config.yaml": config} if config else texts


class Beginning(test_layer.Case):
    async def test_a_key_that_is_not_in_the_settings_is_none(self) -> None:
        await self.begun(plugin(
            "@classmethod\ndef get_config_class(cls):\n    return Config\n"
            "async def start(self) -> None:\n    self.config.load_and_update()\n    self.said = [self.config['tea'], self.config['more.x'], 'more' in self.config]\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.reply(str(self.said))",
            "from mautrix.util.config import BaseProxyConfig\nclass Config(BaseProxyConfig):\n    def do_update(self, helper):\n        helper.copy('tea')\n        helper.copy('cup')\n",
            config="tea: green\n"), tea="green")
        self.assertEqual(await self.answers("!show"), ["['green', None, False]"])

    async def test_an_update_may_look_into_what_is_there_and_change_it(self) -> None:
        await self.begun(plugin(
            "@classmethod\ndef get_config_class(cls):\n    return Config\n"
            "async def start(self) -> None:\n    self.config.load_and_update()\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n"
            "    await evt.reply('`%s`' % [self.config[one] for one in ('words', 'tea.kind', 'tea.cups', 'secret', 'other', 'new.x')])",
            "from mautrix.util.config import BaseProxyConfig\nclass Config(BaseProxyConfig):\n    def do_update(self, helper):\n"
            "        self['words'] = list(helper.base['words']) if 'words' in helper.base else []\n"
            # The other values below `tea` stay.
            "        helper.copy('tea.kind')\n        helper.base['tea.cups'] = helper.base['tea.cups'] + 1\n"
            "        helper.base['secret'] = helper.source.get('secret', 'generate') + '!'\n"
            "        self['other'] = 'own'\n        helper.base['new.x'] = 3\n",
            config="words: [a]\ntea:\n  kind: green\n  cups: 1\nsecret: generate\nother: o\n"),
            words=["b", "c"], tea_kind="mint", tea_cups=1, secret="s", other="o")
        self.assertEqual(await self.answers("!show"), ["`[['b', 'c'], 'mint', 2, 's!', 'own', 3]`"])

    async def test_settings_are_copied_as_they_were(self) -> None:
        await self.begun(plugin(
            "@classmethod\ndef get_config_class(cls):\n    return BaseProxyConfig\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n"
            "    before = self.config.clone()\n    self.config['more.x'] = 2\n    await evt.reply(str([before['more.x'], self.config['more']['x']]))",
            "from mautrix.util.config import BaseProxyConfig\n", config="more:\n  x: 1\n"), more_x=1)
        self.assertEqual(await self.answers("!show"), ["[1, 2]"])

    async def test_the_plugins_own_init_is_called(self) -> None:
        await self.begun(plugin(
            "def __init__(self, *args, client, **kwargs):\n    super().__init__(*args, client=client, **kwargs)\n    self.said = [self.id, client is self.client]\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.reply(str(self.said))"))
        self.assertEqual(await self.answers("!show"), ["['org.example.a', True]"])

    async def test_an_init_with_fewer_names_gets_those(self) -> None:
        await self.begun(plugin(
            "def __init__(self, config):\n    super().__init__(config=config)\n    self.said = []\n"
            "@command.new\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.reply(str(self.said))"))
        self.assertEqual(await self.answers("!show"), ["[]"])

    async def test_a_function_tells_further_names_of_a_command(self) -> None:
        config = "base_command: remind\nmore:\n  words: [r, 'not a name', remindme]\nother: nothing\n"
        head = (
            "from mautrix.util.config import BaseProxyConfig\nclass Config(BaseProxyConfig):\n    def do_update(self, helper):\n"
            "        helper.copy('base_command')\n        helper.copy('more.words')\n")
        host = await self.begun(plugin(
            "@classmethod\ndef get_config_class(cls):\n    return Config\nasync def start(self):\n    self.config.load_and_update()\n"
            "@command.new(name=lambda self: self.config['base_command'], aliases=lambda self, alias: alias in self.config['more.words'], "
            "require_subcommand=False)\n"
            "async def remind(self, evt: MessageEvent) -> None:\n    await evt.reply('remind')\n"
            "@remind.subcommand('list', aliases=lambda alias: alias in ('all', 'ls'))\n"
            "async def list(self, evt: MessageEvent) -> None:\n    await evt.reply('list')\n"
            "@command.new('tea', aliases=lambda alias: alias in ('t', 'brew'))\n"
            "async def tea(self, evt: MessageEvent) -> None:\n    await evt.reply('tea')", head, config=config),
            base_command="remind", more_words=["r", "not a name", "remindme"], other="nothing")
        self.assertEqual(sorted(host.commands), ["brew", "r", "remind", "remindme", "t", "tea"])
        self.assertEqual(await self.answers("!remindme"), ["remind"])
        self.assertEqual(await self.answers("!r ls"), ["list"])
        self.assertEqual(await self.answers("!brew"), ["tea"])


class Ready(test_layer.Case):
    """The account is connected only once a plugin has started."""

    async def starts(self, body: str) -> Any:
        self.parlor = sample.begun(plugin(body, "import asyncio\n"), Path(self.folder.name))
        self.host = self.parlor.host
        for one in self.host.starts:
            await one()
        return self.host

    async def connects(self) -> list[str]:
        for one in self.host.readies:
            await one()
        for _ in range(9):
            await asyncio.sleep(0)
        return [text for _, text in self.host.take()]

    async def test_what_a_plugin_says_when_it_starts_waits_for_the_account(self) -> None:
        host = await self.starts(
            "async def start(self):\n    await self.client.send_text('alice@example.org', f'in {await self.client.get_joined_rooms()}')\n    self.said = ['tea']\n"
            "@command.new('show')\nasync def show(self, evt: MessageEvent) -> None:\n    await evt.respond(str(self.said))\n"
            "@command.new(name=lambda self: self.said[0])\nasync def other(self, evt: MessageEvent) -> None:\n    await evt.respond('brewed')")
        self.assertEqual((host.take(), sorted(host.commands)), ([], ["show"]))
        host.rooms[HALL] = SimpleNamespace(jid=HALL)
        self.assertEqual(await self.connects(), [f"in ['{HALL}']"])
        self.assertEqual((await self.answers("!show"), await self.answers("!tea")), (["['tea']"], ["brewed"]))

    async def test_so_does_what_goes_on_by_itself(self) -> None:
        host = await self.starts(
            "async def start(self):\n    self.task = asyncio.create_task(self.tell())\n"
            "async def tell(self):\n    for text in ('tea', 'cup'):\n        await self.client.send_text('alice@example.org', text)")
        self.assertEqual(host.take(), [])
        self.assertEqual(await self.connects(), ["tea", "cup"])

    async def test_a_plugin_that_fails_before_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "no tea"):
            await self.starts("async def start(self):\n    await asyncio.sleep(0)\n    raise ValueError('no tea')")

    async def test_one_that_fails_later_says_so_in_the_log(self) -> None:
        await self.starts("async def start(self):\n    await self.client.get_joined_rooms()\n    raise ValueError('no tea')")
        with self.assertLogs("maubot", "ERROR") as noted:
            self.assertEqual(await self.connects(), [])
        self.assertEqual([str(one.exc_info[1]) for one in noted.records if one.exc_info], ["no tea"])


class Logs(test_layer.Case):
    async def test_a_log_has_levels_below_debug(self) -> None:
        await self.begun(plugin(
            "@command.new('note')\nasync def note(self, evt: MessageEvent) -> None:\n"
            "    for log in (self.log, self.log.getChild('tea'), logging.getLogger('cup')):\n"
            "        log.trace('seen %s', evt.sender)\n        log.silly('seen')\n    await evt.respond(str(isinstance(self.log, TraceLogger)))",
            "import logging\nfrom mautrix.util.logging import TraceLogger\n", ABOUT.replace("example.a", "example.logs")))
        with self.assertLogs("maubot.org.example.logs", 1) as noted:
            self.assertEqual(await self.answers("!note"), ["True"])
        self.assertEqual([(one.levelno, one.getMessage()) for one in noted.records], [(5, "seen alice@example.org"), (1, "seen"), (5, "seen alice@example.org"), (1, "seen")])


class Kinds(test_layer.Case):
    async def test_an_event_is_of_the_class_of_its_kind(self) -> None:
        head = "import maubot\nfrom mautrix import types\nfrom mautrix.types import EventType, StateEvent\n"
        await self.begun(plugin(
            "@event.on(EventType.ALL)\nasync def hear(self, evt) -> None:\n"
            "    kinds = maubot.MessageEvent, types.MessageEvent, types.ReactionEvent, StateEvent, types.RedactionEvent, types.Event\n"
            "    await self.client.send_text('alice@example.org', str([isinstance(evt, one) for one in kinds]))", head))
        await self.host.says("Hello")
        await self.host.says("", extensions=test_layer.extensions(reactions=SimpleNamespace(id="m1", emojis=["x"])))
        self.assertEqual([text for _, text in self.host.take()], [
            "[True, True, False, False, False, True]", "[False, False, True, False, False, True]"])

    async def test_an_answer_may_refer_to_the_message(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n"
            "    await evt.respond('tea', reply=True)\n    await evt.respond('milk', reply=False)\n"
            "    evt.disable_reply = True\n    await evt.respond('cup', reply=True)\n"
            "    await evt.respond(TextMessageEventContent(body='pot'), reply='force')", "from mautrix.types import TextMessageEventContent\n"))
        await self.host.says("!a")
        sent = [(getattr(one, "body", one), getattr(one, "reply_to", None) is not None) for _, one in self.host.sent]
        self.assertEqual(sent, [("tea", True), ("milk", False), ("cup", False), ("pot", True)])


class Refused(test_layer.Case):
    async def test_a_message_that_is_refused_raises_the_errors_that_plugins_know(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n    self.said = []\n"
            "    for say in (self.client.send_text, lambda place, text: evt.respond(text)):\n"
            "        try:\n            await say('bob@example.org', 'tea')\n"
            "        except MatrixRequestError as error:\n            self.said.append((type(error).__name__, error.errcode, error.http_status, error.message))\n"
            "@command.new('b')\nasync def b(self, evt: MessageEvent) -> None:\n    await evt.respond(str(self.said), markdown=False)",
            "from mautrix.errors import MatrixRequestError\n"))
        for refused, says in (
            (self.parlor.Denied("not granted"), ("MForbidden", "M_FORBIDDEN", 403, "not granted")),
            (self.parlor.OverLimit("too many"), ("MLimitExceeded", "M_LIMIT_EXCEEDED", 429, "too many")),
            (self.parlor.Error("no"), ("MatrixRequestError", "M_UNKNOWN", 400, "no")),
        ):
            with mock.patch.object(self.parlor.chats, "send", side_effect=refused), mock.patch.object(self.parlor, "reply", side_effect=refused):
                await self.host.says("!a")
            self.assertEqual(await self.answers("!b"), [str([says] * 2)])


class Usages(test_layer.Case):
    async def test_a_command_that_lets_words_be_has_a_usage_for_them(self) -> None:
        body = "async def {0}(self, evt: MessageEvent) -> None:\n    await evt.respond('{0}')\n"
        host = await self.begun(plugin(f"@command.new('a')\n{body.format('a')}@command.new('b', must_consume_args=False)\n{body.format('b')}"))
        # The host refuses words to one without.
        self.assertEqual([host.declared[name]["usage"] for name in "ab"], ["", "[TEXT]"])
        self.assertEqual(await self.answers("!b c"), ["b"])


class Help(test_layer.Case):
    BODY = (
        "@command.new('tea', help='About tea', require_subcommand=False)\n"
        "async def tea(self, evt: MessageEvent) -> None:\n    await evt.respond(self.tea.__mb_full_help__)\n"
        "@tea.subcommand(name=lambda self: 'brew', help='Brews it')\n@command.argument('minutes', required=True)\n@command.argument('kind', required=False)\n"
        "async def brew(self, evt: MessageEvent, minutes: str, kind: str) -> None:\n"
        "    it = self.brew\n"
        "    await evt.respond(f'{it.__mb_prefix__}|{it.__mb_name__}|{it.__mb_usage_args__}|{it.__mb_help__}|{it.__mb_func__.__name__}|{it.__mb_usage_inline__}|'\n"
        "        f'{self.tea.__mb_usage_without_subcommands__}')")

    async def test_a_plugin_shows_the_help_of_its_commands(self) -> None:
        await self.begun(plugin(self.BODY))
        self.assertEqual(await self.answers("!tea"), ["Usage: !tea <subcommand> [...]\n- brew <minutes> [kind] - Brews it"])
        self.assertEqual(await self.answers("!tea brew 1"), ["!tea brew|brew|<minutes> [kind]|Brews it|brew|- brew <minutes> [kind] - Brews it|Usage: !tea"])

    def test_other_data_of_commands_is_reported(self) -> None:
        result = sample.port(plugin(f"{self.BODY}\nasync def a(self, evt: MessageEvent) -> None:\n    return self.tea.__mb_event_type__"))
        self.assertEqual([one.partition(" ")[2] for one in sample.told(result, "lacks")], ["self.tea.__mb_event_type__"])

    async def test_the_report_knows_the_data_that_the_layer_has(self) -> None:
        await self.begun(plugin(self.BODY))
        self.assertEqual({*sys.modules["maubot.handlers.command"]._DATA}, importlib.import_module("lacks").OF_COMMANDS)


class Account(test_layer.Case):
    async def test_data_of_the_account_is_stored_for_the_plugin(self) -> None:
        texts = plugin(
            "@command.new('a')\nasync def a(self, evt):\n    said = [await self.client.get_account_data(EventType.DIRECT)]\n"
            "    for name in ('org.example.tea', 'none'):\n        try:\n            said.append(await self.client.get_account_data(name))\n"
            "        except MNotFound:\n            said.append(None)\n"
            "    await self.client.set_account_data('org.example.tea', {'kind': 'green'})\n    await evt.respond(str(said))",
            "from mautrix.errors import MNotFound\nfrom mautrix.types import EventType\n")
        result = sample.port(texts)
        self.assertEqual(sample.told(result, "lacks"), [])
        self.assertIn("\nstorage = ", result["files"]["plugin.toml"])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["[{}, None, None]"])
        self.assertEqual(await self.answers("!a"), ["[{}, {'kind': 'green'}, None]"])
        self.assertEqual([*self.host.kept], ["account_data/org.example.tea"])

    async def test_a_content_that_was_written_is_sent_again(self) -> None:
        await self.begun(plugin(
            "@command.new('a')\nasync def a(self, evt: MessageEvent):\n    content = MessageEvent.deserialize_content(evt.content.serialize())\n"
            "    await self.client.send_message_event(evt.room_id, evt.type, content)"))
        self.assertEqual(await self.answers("!a"), ["!a"])

    async def test_the_media_type_of_a_file_is_known_by_its_bytes(self) -> None:
        texts = plugin(
            "@command.new('a')\nasync def a(self, evt):\n    await evt.respond(magic.mimetype(b'GIF89a'), markdown=False)", "from mautrix.util import magic\n")
        self.assertEqual(sample.port(texts)["findings"], [])
        await self.begun(texts)
        self.assertEqual(await self.answers("!a"), ["image/gif"])


ROOM = SimpleNamespace(jid=HALL, name="The hall", subject=None)


def occupant(nick: str, **given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"room": HALL, "nick": nick, "own": False, "jid": None, "role": "participant", "affiliation": "none", **given})


class Rooms(test_layer.Case):
    async def said(self, body: str, **named: Any) -> str:
        """The words of a plugin that has this in a method."""
        head = "from mautrix.client import Client\nfrom mautrix.errors import MNotFound\nfrom mautrix.types import *\n"
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        await self.begun(plugin(f"@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n{lines}\n    await evt.respond(str(said), markdown=False)", head))
        self.host.rooms[HALL] = ROOM
        self.host.occupants[HALL] = [
            occupant("bot", own=True), occupant("olga", affiliation="owner", role="moderator"), occupant("max", role="moderator"), occupant("vera"),
            occupant("pen", jid="pen@example.org/phone", affiliation="admin"), occupant("tom", jid="pen@example.org/desk")]
        return (await self.answers("!a", **{"chat": HALL, "kind": "groupchat", "nick": "vera", **named}))[0]

    async def test_roles_and_affiliations_are_levels(self) -> None:
        body = (
            "levels = await self.client.get_state_event(evt.room_id, EventType.ROOM_POWER_LEVELS)\n"
            "names = [evt.room_id + '/olga', evt.room_id + '/max', evt.sender, evt.room_id + '/gone', 'pen@example.org', self.client.mxid]\n"
            "said = [levels.get_user_level(one) for one in names], levels.users.get(evt.sender, levels.users_default), levels.state_default, "
            "levels.get_event_level(EventType.find('x', EventType.Class.STATE)), levels.get_event_level(EventType.ROOM_MESSAGE)")
        self.assertEqual(await self.said(body), "([100, 50, 0, 0, 100, 0], 0, 50, 50, 0)")

    async def test_nobody_has_a_level_in_a_chat(self) -> None:
        body = "said = (await self.client.get_state_event(evt.room_id, EventType.ROOM_POWER_LEVELS)).get_user_level(evt.sender)"
        self.assertEqual(await self.said(body, chat="alice@example.org", kind="chat"), "0")

    async def test_states_that_xmpp_has_are_told_and_others_are_not_found(self) -> None:
        body = (
            "async def of(kind, key=''):\n    try:\n        return await self.client.get_state_event(evt.room_id, kind, key)\n    except MNotFound:\n"
            "        return None\n"
            "said = [(await of('m.room.name')).name, await of(EventType.ROOM_TOPIC), (await of(EventType.ROOM_CANONICAL_ALIAS)).canonical_alias, "
            "(await of(EventType.ROOM_MEMBER, evt.sender)).displayname, await of(EventType.ROOM_MEMBER, evt.room_id + '/gone'), "
            "await of(EventType.ROOM_JOIN_RULES), "
            "(await self.client.get_state_event(evt.room_id, EventType.ROOM_CREATE, format='event')).content.room_version]")
        self.assertEqual(await self.said(body), f"['The hall', None, '{HALL}', 'vera', None, None, '11']")

    async def test_a_state_that_xmpp_does_not_have_is_not_set(self) -> None:
        body = (
            "said = []\n"
            "for kind, content in ((EventType.ROOM_TOPIC, {'topic': 'tea'}), ('m.room.topic', Obj(topic='milk')), (EventType.ROOM_TOPIC, RoomTopicStateEventContent()),\n"
            "                      (EventType.ROOM_NAME, RoomNameStateEventContent('x')), ('m.room.name', {}), (EventType.ROOM_AVATAR, {'url': 'x'})):\n"
            "    try:\n        said.append(str(await self.client.send_state_event(evt.room_id, kind, content)))\n"
            "    except Exception as error:\n        said.append(type(error).__name__)")
        self.assertEqual(await self.said(body), "['', '', '', '', '', 'MForbidden']")
        self.assertEqual(self.host.calls, [
            *(("set_subject", HALL, text) for text in ("tea", "milk", "")), *(("configure", HALL, {"roomname": text}) for text in ("x", ""))])

    async def test_who_is_there_and_what_the_room_is_are_events(self) -> None:
        body = (
            "states = await self.client.get_state(evt.room_id)\n"
            "said = sorted({str(one.type) for one in states}), [one.state_key for one in await self.client.get_members(evt.room_id)][:2], "
            "(await self.client.resolve_room_alias(evt.room_id)).room_id == evt.room_id, (await self.client.whoami()).user_id")
        kinds = "['m.room.canonical_alias', 'm.room.create', 'm.room.member', 'm.room.name', 'm.room.power_levels']"
        self.assertEqual(await self.said(body), f"({kinds}, ['bot@example.org', '{HALL}/olga'], True, 'bot@example.org')")

    async def test_a_chat_has_two_people(self) -> None:
        body = (
            "own = [one for one in await self.client.get_state(evt.room_id) if one.type is EventType.ROOM_MEMBER and one.state_key == self.client.mxid]\n"
            "there = await self.client.get_joined_members(evt.room_id)\n"
            "said = sorted(there), there[evt.sender].displayname, [(one.content.membership.value, one.prev_content.is_direct) for one in own]")
        chat = "(['alice@example.org', 'bot@example.org'], 'alice', [('join', True)])"
        self.assertEqual(await self.said(body, chat="alice@example.org", kind="chat"), chat)

    async def test_a_room_with_two_people_is_no_chat(self) -> None:
        body = (
            "own = await self.client.get_state_event(evt.room_id, EventType.ROOM_MEMBER, self.client.mxid, format='event')\n"
            "said = len(await self.client.get_joined_members(evt.room_id)), own.content.is_direct, own.prev_content.is_direct, own.unsigned.prev_content.membership.value")
        self.assertEqual(await self.said(body), "(6, None, None, 'invite')")

    async def test_somebody_in_a_room_belongs_to_no_domain(self) -> None:
        body = (
            "said = [isinstance(self.client, Client), Client.parse_user_id('ann@example.org'), self.client.parse_user_id(evt.sender)]\n"
            "try:\n    self.client.parse_user_id('example.org')\nexcept ValueError:\n    said.append('none')")
        self.assertEqual(await self.said(body), f"[True, ('ann', 'example.org'), ('vera', '{HALL}'), 'none']")


class Values(test_layer.Case):
    async def said(self, head: str, body: str) -> str:
        lines = "\n".join(f"    {line}" for line in body.split("\n"))
        await self.begun(plugin(f"@command.new('a')\nasync def a(self, evt: MessageEvent) -> None:\n{lines}\n    await evt.respond(str(said), markdown=False)", head))
        return (await self.answers("!a"))[0]

    async def test_classes_are_made_of_json_and_written_as_it(self) -> None:
        head = (
            "from dataclasses import dataclass, field\nfrom datetime import datetime\nfrom typing import Dict, List, NewType, Optional, Union\n"
            "from mautrix.types import ExtensibleEnum, JSON, SerializableAttrs, SerializableEnum, SerializerError, deserializer, serializer\n"
            "Day = NewType('Day', datetime)\n"
            "@serializer(datetime)\ndef write(day) -> JSON:\n    return day.strftime('%Y')\n"
            "@deserializer(Day)\ndef read(raw: JSON) -> Day:\n    return Day(datetime.strptime(raw, '%Y'))\n"
            "class Kind(SerializableEnum):\n    GREEN = 'green'\n"
            "class State(ExtensibleEnum):\n    OPEN = 'open'\n"
            "@dataclass\nclass Leaf(SerializableAttrs):\n    kind: Kind\n"
            "@dataclass\nclass Tea(SerializableAttrs):\n    number: int = field(metadata={'json': 'iid'})\n    leaves: List[Leaf]\n    since: 'Day'\n"
            "    states: Dict[str, State] = field(default_factory=dict)\n    either: Union[Leaf, str, None] = None\n    note: Optional[str] = None\n")
        body = (
            "raw = {'iid': 7, 'leaves': [{'kind': 'green'}], 'since': '2026', 'states': {'a': 'open', 'b': 'new'}, 'either': 'x', 'more': 1}\n"
            "tea = Tea.deserialize(raw)\n"
            "said = [tea.number, tea.leaves[0].kind is Kind.GREEN, tea.since.year, tea.states['a'] == State.OPEN, str(tea.states['b']), tea.either, tea.note]\n"
            "said.append(tea.serialize() == {key: value for key, value in raw.items() if key != 'more'})\n"
            "said.append(Tea.deserialize({**raw, 'either': {'kind': 'green'}, 'states': None}).either.kind.value)\n"
            "for wrong in ({'leaves': [], 'since': '2026'}, {**raw, 'leaves': [{'kind': 'black'}]}, []):\n"
            "    try:\n        Tea.deserialize(wrong)\n    except SerializerError as error:\n        said.append(str(error))")
        self.assertEqual(
            await self.said(head, body),
            str([7, True, 2026, True, "new", "x", None, True, "green", "Tea: iid is missing", "'black' is not a valid Kind", "Tea is made of a mapping"]))

    async def test_names_from_other_parts_of_the_libraries(self) -> None:
        head = (
            "from aiohttp.client import ClientError, ClientSession, ClientTimeout\nfrom aiohttp.client_exceptions import ServerTimeoutError\n"
            "from aiohttp.web_response import json_response\n"
            "from maubot import __version__\nfrom maubot.matrix import MaubotMatrixClient\nfrom mautrix.errors.request import MNotFound, MUnknown\n"
            "from mautrix.types.event.message import MessageType, TextMessageEventContent\nfrom mautrix.types.event.state import RoomNameStateEventContent\n"
            "from mautrix.util.formatter import parse_html\n")
        body = (
            "said = [issubclass(ServerTimeoutError, ClientError) and issubclass(ServerTimeoutError, TimeoutError), isinstance(self.client, MaubotMatrixClient),\n"
            "    await parse_html('<b>tea</b>'), MessageType.STICKER.value, evt.content.get_thread_parent(), bool(__version__)]")
        self.assertEqual(await self.said(head, body), "[True, True, '*tea*', 'm.sticker', None, True]")

    async def test_a_text_may_be_sent_by_positions(self) -> None:
        head = "from mautrix.types import MessageType\n"
        await self.said(head, "await self.client.send_text(evt.room_id, None, '<i>tea</i>', MessageType.NOTICE)\nsaid = ''")
        await self.host.says("!a")
        self.assertEqual(self.host.take(), [("alice@example.org", "_tea_"), ("alice@example.org", "")])


class Addresses(unittest.TestCase):
    def setUp(self) -> None:
        sys.path.insert(0, str(sample.LAYERS))
        self.addCleanup(sys.path.remove, str(sample.LAYERS))
        self.URL = importlib.import_module("yarl").URL

    def test_the_parts_of_an_address(self) -> None:
        url = self.URL("https://user:pass@api.example.org:8443/a%20b/c.json?x=1&x=2&y=#top")
        self.assertEqual((url.scheme, url.host, url.port, url.user, url.password), ("https", "api.example.org", 8443, "user", "pass"))
        self.assertEqual((url.path, url.parts, url.name, url.suffix, url.fragment), ("/a b/c.json", ("/", "a b", "c.json"), "c.json", ".json", "top"))
        self.assertEqual((url.query["x"], url.query.getall("x"), url.query.get("z"), dict(url.query)), ("1", ["1", "2"], None, {"x": "1", "y": ""}))
        self.assertEqual((str(url.origin()), str(url.relative()), str(url.parent)), (
            "https://api.example.org:8443", "/a%20b/c.json?x=1&x=2&y=#top", "https://user:pass@api.example.org:8443/a%20b"))
        self.assertEqual((self.URL("https://example.org").port, self.URL("https://example.org").parts, self.URL("a/b").is_absolute()), (443, ("/",), False))

    def test_addresses_are_made_of_others(self) -> None:
        url = self.URL("https://example.org/api")
        for made, text in (
            (url / "tea" / "green leaf", "https://example.org/api/tea/green%20leaf"), (url.with_path("x y"), "https://example.org/x%20y"),
            (url.with_query(q="a b", n=2), "https://example.org/api?q=a+b&n=2"), (url.with_query({"q": ["a", "b"]}), "https://example.org/api?q=a&q=b"),
            (url.with_query("q=1").update_query(q=2, z="&"), "https://example.org/api?q=2&z=%26"), (url % {"q": "1"}, "https://example.org/api?q=1"),
            (url.with_query("q=1").with_query(None), "https://example.org/api"), (url.with_scheme("http").with_port(81), "http://example.org:81/api"),
            (url.with_host("other.example").with_name("b"), "https://other.example/b"), (url.join(self.URL("/x")), "https://example.org/x"),
            (self.URL.build(scheme="https", host="a.example", path="/b c", query={"d": 1}), "https://a.example/b%20c?d=1"),
            # A percent sign of a text, which may be a stranger's, is one in the address, too.
            (url / "100%", "https://example.org/api/100%25"), (url / "%2e%2e%2Fb", "https://example.org/api/%252e%252e%252Fb"),
            (url.with_path("/a%20b"), "https://example.org/a%2520b"), (url.with_path("/a%20b", encoded=True), "https://example.org/a%20b"),
            (url.with_name("50%"), "https://example.org/50%25"), (url.joinpath("a%20b", encoded=True), "https://example.org/api/a%20b"),
            (self.URL.build(scheme="https", host="a.example", path="/%41", fragment="%"), "https://a.example/%2541#%25"),
            (url.with_user("al@x").with_password("p:1"), "https://al%40x:p%3A1@example.org/api"), (url.with_user("a").with_user(None), "https://example.org/api"),
            (url.with_user("a").with_password("b").with_password(None).with_port(81), "https://a@example.org:81/api"),
            (url.with_path("/a/b.tar.gz").with_suffix(".zip"), "https://example.org/a/b.tar.zip"), (url.with_name("b").with_suffix(".c"), "https://example.org/b.c"),
            (url.with_query("q=1").extend_query(q=2), "https://example.org/api?q=1&q=2"), (url.with_query("q=1&z=2").without_query_params("q"), "https://example.org/api?z=2"),
            (url.with_fragment("top"), "https://example.org/api#top"), (self.URL(url).joinpath("a", "b"), "https://example.org/api/a/b"),
        ):
            self.assertEqual(str(made), text)
        self.assertEqual((url.with_user("al@x").with_password("p:1").user, url.with_user("al@x").with_password("p:1").password), ("al@x", "p:1"))
        self.assertEqual(self.URL("https://example.org"), self.URL("https://example.org/"))
        self.assertNotEqual(url, self.URL("https://example.org/api/"))
        self.assertNotEqual(url, self.URL("https://example.org/api").with_fragment("/"))
        self.assertEqual(len({url, self.URL("https://example.org/api")}), 1)


if __name__ == "__main__":
    unittest.main()
