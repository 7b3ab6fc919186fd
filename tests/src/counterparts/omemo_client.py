"""An OMEMO client on slixmpp-omemo, for the suite: it does what the lines on its input say.

Each line is a JSON object with `n`, a number, and `do`, a name. The answer is a line with the same number and `ok` or
`error`. What comes from the server is told in lines with `event`.
"""

import argparse
import asyncio
import base64
import json
import os
import secrets
import ssl
import sys
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

import oldmemo
import oldmemo.etree
import omemo
import slixmpp
import slixmpp_omemo
import twomemo
import twomemo.etree
import xeddsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from omemo.session_manager import SessionManager
from omemo.storage import Just, Maybe, Nothing, Storage
from slixmpp.exceptions import IqError
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

AXOLOTL = oldmemo.oldmemo.NAMESPACE
OMEMO2 = twomemo.twomemo.NAMESPACE
VERSIONS = {"axolotl": [AXOLOTL], "omemo2": [OMEMO2], "both": [OMEMO2, AXOLOTL]}
SCE = "urn:xmpp:sce:1"
CLIENT = "jabber:client"
UPLOAD = "urn:xmpp:http:upload:0"
TRIES = 20
PUBSUB = "http://jabber.org/protocol/pubsub"


def say(**line):
    """Writes one line."""
    print(json.dumps(line), flush=True)


class FileStorage(Storage):
    """Keeps the client's keys in a JSON file, or in memory if there is none."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.kept = json.loads(path.read_text()) if path and path.exists() else {}

    async def _load(self, key) -> Maybe:
        return Just(self.kept[key]) if key in self.kept else Nothing()

    async def _store(self, key, value):
        self.kept[key] = value
        self.write()

    async def _delete(self, key):
        self.kept.pop(key, None)
        self.write()

    def write(self):
        """Replaces the file by one with what is kept now."""
        if self.path:
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.kept))
            os.replace(new, self.path)


class Omemo(slixmpp_omemo.XEP_0384):
    """The plugin with its storage and the trust that the command line names."""

    default_config = {"fallback_message": "[encrypted]", "own_storage": None, "blind": True}

    @property
    def storage(self):
        return self.own_storage

    @property
    def _btbv_enabled(self):
        return self.blind

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        # Nobody is there to be asked. The decision stays open, and encrypting fails.
        pass


register_plugin(Omemo)


def publish_again():
    """Lets the client publish again what a server failed at: ejabberd does where several accounts publish at once."""
    library = sys.modules["slixmpp_omemo.xep_0384"]
    publish = library._publish_item_and_configure_node

    async def published(*arguments, **named):
        for _ in range(TRIES):
            try:
                return await publish(*arguments, **named)
            except IqError as error:
                if "Unknown field" in error.text:
                    raise
        return await publish(*arguments, **named)

    library._publish_item_and_configure_node = published


def speak_only(namespace):
    """Lets the client know one namespace alone, as older or newer clients do."""
    library = sys.modules["slixmpp_omemo.xep_0384"]
    make = library._make_session_manager

    def make_narrow(xmpp, plugin):
        class Narrow(make(xmpp, plugin)):
            """A manager without the other namespace."""

            @classmethod
            async def create(cls, backends, *arguments, **named):
                backends = [one for one in backends if one.namespace == namespace]
                return await super().create(backends, *arguments, **named)

            async def refresh_device_list(self, of, bare_jid):
                if of == namespace:
                    await super().refresh_device_list(of, bare_jid)

            async def update_device_list(self, of, bare_jid, device_list):
                if of == namespace:
                    await super().update_device_list(of, bare_jid, device_list)

        return Narrow

    library._make_session_manager = make_narrow


class Person(slixmpp.ClientXMPP):
    """A client that follows orders."""

    def __init__(self, arguments):
        super().__init__(arguments.jid, arguments.password_file.read_text().strip())
        self.arguments = arguments
        self.came = asyncio.Queue()
        self.turn = asyncio.Lock()
        for plugin in ["xep_0030", "xep_0045", "xep_0060", "xep_0163", "xep_0199", "xep_0280"]:
            self.register_plugin(plugin)
        self.store = FileStorage(arguments.storage)
        self.register_plugin(
            "xep_0384", {"own_storage": self.store, "blind": arguments.trust == "blind"}, module=sys.modules[__name__]
        )
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("omemo_initialized", lambda _: say(event="published"))
        # A subscription that somebody wants is always granted, so that device lists are pushed.
        self.roster.auto_authorize = self.roster.auto_subscribe = True
        self.register_handler(Callback("all", MatchXPath(f"{{{CLIENT}}}message"), self.came.put_nowait))

    async def begin(self, _event):
        """Sends the first presence."""
        await self.get_roster()
        self.send_presence()
        say(event="ready", jid=str(self.boundjid))

    async def listen(self):
        """Tells of the messages that came, one after the other: each changes the session that the next needs."""
        while True:
            message = await self.came.get()
            try:
                async with self.turn:
                    await self.tell(message)
            except Exception as error:  # pylint: disable=broad-exception-caught
                say(event="undecryptable", id=message["id"], reason=name_of(error), text=str(error), **head(message))

    async def tell(self, message):
        """Tells of one message."""
        namespaces = self.plugin["xep_0384"].is_encrypted(message)
        if not namespaces:
            if message["body"] or message["type"] == "error":
                say(event="message", encryption="none", body=message["body"], **head(message), **more(message))
            return
        manager = await self.plugin["xep_0384"].get_session_manager()
        if message["type"] == "groupchat":
            room = self.plugin["xep_0045"]
            real = room.get_jid_property(message["from"].bare, message["from"].resource, "jid")
            if real and slixmpp.JID(real).bare == self.boundjid.bare:
                return
            sender = slixmpp.JID(real).bare if real else ""
        else:
            sender = message["from"].bare
        own, parsed, version = await own_id(manager), None, None
        for one in VERSIONS[self.arguments.only or "both"]:
            # The two elements are for different devices.
            element = message.xml.find(f"{{{one}}}encrypted")
            if element is None:
                continue
            if one == OMEMO2:
                parsed, version = twomemo.etree.parse_message(element, sender), one
            else:
                parsed = await oldmemo.etree.parse_message(element, sender, self.boundjid.bare, manager)
                version = one
            if any(key.bare_jid == self.boundjid.bare and key.device_id == own for key, _ in parsed.keys):
                break
        if parsed is None:
            raise omemo.MessageNotForUs("It is encrypted by a namespace that this client does not know.")
        plain, device, _ = await manager.decrypt(parsed)
        shown = {"version": version, **head(message), **more(message), **of_device(device)}
        mine = [exchange for key, exchange in parsed.keys if key.device_id == own]
        shown["prekey"] = any(exchange is not None for exchange in mine)
        if plain is None:
            say(event="empty", **shown)
            return
        envelope = plain.decode()
        body = envelope if version == AXOLOTL else body_of(envelope)
        say(event="message", encryption="omemo", body=body, envelope=envelope, **shown)

    async def encrypted(self, order):
        """Returns the message that an order describes, encrypted."""
        omemo_plugin = self.plugin["xep_0384"]
        manager = await omemo_plugin.get_session_manager()
        kind = order.get("kind", "chat")
        recipients = {slixmpp.JID(one) for one in order.get("for", [order["to"]])}
        await omemo_plugin.refresh_device_lists(recipients, force_download=order.get("refresh", False))
        known = self.arguments.only or "both"
        versions = VERSIONS[order.get("version", known)]
        plain = {AXOLOTL: order["body"].encode(), OMEMO2: self.envelope(order).encode()}
        bare = frozenset(one.bare for one in recipients)
        messages, errors = await manager.encrypt(bare, {one: plain[one] for one in versions}, versions)
        stanza = self.make_message(mto=slixmpp.JID(order["to"]), mbody=order.get("fallback", "[encrypted]"), mtype=kind)
        for message in messages:
            layer = twomemo.etree if message.namespace == OMEMO2 else oldmemo.etree
            stanza.append(layer.serialize_message(message))
        stanza.append(ET.Element("{urn:xmpp:eme:0}encryption", {"namespace": versions[0], "name": "OMEMO"}))
        stanza.append(ET.Element("{urn:xmpp:hints}store"))
        return stanza, errors

    def envelope(self, order):
        """Returns the envelope of Stanza Content Encryption around an order's body."""
        envelope = ET.Element(f"{{{SCE}}}envelope")
        content = ET.SubElement(envelope, f"{{{SCE}}}content")
        ET.SubElement(content, f"{{{CLIENT}}}body").text = order["body"]
        ET.SubElement(envelope, f"{{{SCE}}}rpad").text = secrets.token_hex(secrets.randbelow(100))
        ET.SubElement(envelope, f"{{{SCE}}}from", {"jid": order.get("claims", self.boundjid.bare)})
        if order.get("kind") == "groupchat":
            ET.SubElement(envelope, f"{{{SCE}}}to", {"jid": slixmpp.JID(order["to"]).bare})
        return ET.tostring(envelope, encoding="unicode")

    async def obey(self, order):
        """Carries out one order, and returns what came of it."""
        return await getattr(self, f"do_{order['do']}")(order)

    async def do_send(self, order):
        """Sends an encrypted message."""
        stanza, errors = await self.encrypted(order)
        stanza.send()
        return {"id": stanza["id"], "xml": str(stanza), "errors": [str(one.exception) for one in errors]}

    async def do_encrypt(self, order):
        """Encrypts a message, and returns its XML without sending it."""
        stanza, errors = await self.encrypted(order)
        return {"id": stanza["id"], "xml": str(stanza), "errors": [str(one.exception) for one in errors]}

    async def do_plain(self, order):
        """Sends a message as it is."""
        stanza = self.make_message(mto=order["to"], mbody=order["body"], mtype=order.get("kind", "chat"))
        stanza.send()
        return {"id": stanza["id"]}

    async def do_raw(self, order):
        """Sends XML."""
        self.send_raw(order["xml"])

    async def do_own(self, _order):
        """Returns the client's own device and its key."""
        manager = await self.plugin["xep_0384"].get_session_manager()
        own, others = await manager.get_own_device_information()
        return {**of_device(own), "others": [of_device(one) for one in others]}

    async def do_devices(self, order):
        """Returns a person's devices, with the keys that the client knows."""
        manager = await self.plugin["xep_0384"].get_session_manager()
        jid = slixmpp.JID(order["jid"])
        await self.plugin["xep_0384"].refresh_device_lists({jid}, force_download=True)
        return [of_device(one) for one in await manager.get_device_information(jid.bare)]

    async def do_trust(self, order):
        """Decides about all of a person's devices, or about one."""
        manager = await self.plugin["xep_0384"].get_session_manager()
        decided = 0
        for one in await manager.get_device_information(slixmpp.JID(order["jid"]).bare):
            if order.get("device", one.device_id) == one.device_id:
                await manager.set_trust(one.bare_jid, one.identity_key, order.get("level", "TRUSTED"))
                decided += 1
        return decided

    async def do_renew(self, order):
        """Begins new sessions with all of a person's devices."""
        manager = await self.plugin["xep_0384"].get_session_manager()
        for one in await manager.get_device_information(slixmpp.JID(order["jid"]).bare):
            await manager.replace_sessions(one)

    async def do_join(self, order):
        """Joins a room. Its creator names the members, who see each other's address, or says that it is open."""
        room = slixmpp.JID(order["room"])
        await self.plugin["xep_0045"].join_muc_wait(room, order["nick"], timeout=20)
        if "members" in order or order.get("open"):
            form = await self.plugin["xep_0045"].get_room_config(room)
            form["type"] = "submit"
            if "members" in order:
                values = form.get_values()
                values["muc#roomconfig_membersonly"] = True
                values["muc#roomconfig_whois"] = "anyone"
                form.set_values(values)
            await self.plugin["xep_0045"].set_room_config(room, form)
        for member in order.get("members", []):
            await self.plugin["xep_0045"].set_affiliation(room, "member", jid=member)

    async def do_subscribe(self, order):
        """Asks for a person's presence."""
        self.send_presence_subscription(pto=order["jid"])

    async def do_publish(self, order):
        """Publishes an item in a node of the client's own, which anybody may read."""
        form = {"pubsub#access_model": "open", "pubsub#persist_items": "true"}
        iq = self.make_iq_set()
        pubsub = ET.SubElement(iq.xml, f"{{{PUBSUB}}}pubsub")
        publish = ET.SubElement(pubsub, f"{{{PUBSUB}}}publish", {"node": order["node"]})
        item = ET.SubElement(publish, f"{{{PUBSUB}}}item", {"id": order.get("item", "current")})
        item.append(ET.fromstring(order["xml"]))
        options = ET.SubElement(pubsub, f"{{{PUBSUB}}}publish-options")
        x = ET.SubElement(options, "{jabber:x:data}x", {"type": "submit"})
        form = {"FORM_TYPE": f"{PUBSUB}#publish-options", **form}
        for name, value in form.items():
            field = ET.SubElement(x, "{jabber:x:data}field", {"var": name})
            if name == "FORM_TYPE":
                field.set("type", "hidden")
            ET.SubElement(field, "{jabber:x:data}value").text = value
        await iq.send()

    async def do_items(self, order):
        """Returns the items of a person's node."""
        iq = self.make_iq_get(ito=order["jid"])
        pubsub = ET.SubElement(iq.xml, f"{{{PUBSUB}}}pubsub")
        ET.SubElement(pubsub, f"{{{PUBSUB}}}items", {"node": order["node"]})
        answer = await iq.send()
        return [ET.tostring(one, encoding="unicode") for one in answer.xml.iter(f"{{{PUBSUB}}}item")]

    async def do_share(self, order):
        """Uploads an encrypted file, and sends its link in an encrypted message. The file may be damaged on its way."""
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(order.get("iv", 12))
        data = AESGCM(key).encrypt(nonce, base64.b64decode(order["data"]), None)
        data = data[: len(data) - order.get("cut", 0)]
        if "flip" in order:
            data = data[: order["flip"]] + bytes([data[order["flip"]] ^ 1]) + data[order["flip"] + 1 :]
        iq = self.make_iq_get(ito=order["upload"])
        kind = "application/octet-stream"
        wanted = {"filename": order["name"], "size": str(len(data)), "content-type": kind}
        ET.SubElement(iq.xml, f"{{{UPLOAD}}}request", wanted)
        slot = (await iq.send()).xml.find(f"{{{UPLOAD}}}slot")
        put, url = slot.find(f"{{{UPLOAD}}}put"), slot.find(f"{{{UPLOAD}}}get").get("url")
        headers = {one.get("name"): one.text for one in put} | {"Content-Type": kind}
        request = urllib.request.Request(put.get("url"), data=data, method="PUT", headers=headers)
        await asyncio.to_thread(self.request, request)
        body = f"aesgcm://{url.removeprefix('https://')}#{nonce.hex()}{key.hex()}"
        return {**await self.do_send({**order, "body": body}), "url": body}

    async def do_fetch(self, order):
        """Returns the content of an encrypted file."""
        url, _, secret = order["url"].replace("aesgcm://", "https://", 1).partition("#")
        secret = bytes.fromhex(secret)
        data = await asyncio.to_thread(self.request, url)
        plain = AESGCM(secret[-32:]).decrypt(secret[:-32], data, None)
        return {"data": base64.b64encode(plain).decode(), "encrypted": base64.b64encode(data).decode()}

    async def do_ping(self, order):
        """Waits until the server answers."""
        await self.plugin["xep_0199"].ping(slixmpp.JID(order.get("jid", self.boundjid.domain)))

    async def do_quit(self, _order):
        """Ends the client."""
        asyncio.get_running_loop().call_soon(lambda: self.disconnect())

    def request(self, request):
        """Sends a web request to the server, and returns its body. It blocks."""
        trusted = ssl.create_default_context(cafile=self.arguments.ca_file)
        with urllib.request.urlopen(request, context=trusted, timeout=20) as answer:
            return answer.read()


def head(message):
    """Returns where a message belongs."""
    return {"from": str(message["from"]), "kind": message["type"]}


def more(message):
    """Returns what else is told of a message."""
    return {"id": message["id"], "xml": str(message)}


def of_device(device):
    """Returns what is told of a device."""
    return {
        "device": device.device_id,
        "fingerprint": xeddsa.ed25519_pub_to_curve25519_pub(device.identity_key).hex(),
        "identity": device.identity_key.hex(),
        "trust": device.trust_level_name,
        "active": dict(device.active),
    }


async def own_id(manager):
    """Returns the client's own device id."""
    own, _ = await manager.get_own_device_information()
    return own.device_id


def body_of(envelope):
    """Returns the body within an envelope."""
    body = ET.fromstring(envelope).find(f"{{{SCE}}}content/{{{CLIENT}}}body")
    return None if body is None else body.text


def name_of(error):
    """Returns the name of an error's class."""
    return type(error).__name__


async def orders(person):
    """Reads orders until the input ends, and carries them out one after the other."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        try:
            async with person.turn:
                said = await person.obey(order)
            say(n=order["n"], ok=said)
        except Exception as error:  # pylint: disable=broad-exception-caught
            say(n=order["n"], error=name_of(error), text=str(error))
    person.disconnect()


async def main():
    """Runs the client until its input or its stream ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jid", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--storage", type=Path)
    parser.add_argument("--trust", choices=["blind", "manual"], default="blind")
    parser.add_argument("--only", choices=["axolotl", "omemo2"], help="the one namespace that it knows")
    arguments = parser.parse_args()
    publish_again()
    if arguments.only:
        speak_only(VERSIONS[arguments.only][0])
    person = Person(arguments)
    person.enable_direct_tls, person.enable_starttls, person.enable_plaintext = True, False, False
    person.ca_certs = person.arguments.ca_file
    person.connect("127.0.0.1", person.arguments.port)
    tasks = [asyncio.create_task(person.listen()), asyncio.create_task(orders(person))]
    await person.disconnected
    for task in tasks:
        task.cancel()


asyncio.run(main())
