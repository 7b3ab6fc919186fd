"""A client with OTR on python-potr (version 2) and slixmpp, for the suite: it does what the lines on its input say.

Each line is a JSON object with `n`, a number, and `do`, a name. The answer is a line with the same number and `ok` or
`error`. What comes from the server is told in lines with `event`.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import secrets
import sys
import types
from pathlib import Path

import slixmpp
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath


class Counter:
    """The two halves of a counter of AES."""

    def __init__(self, prefix):
        self.prefix = prefix

    def inc(self):
        self.prefix += 1

    def byteprefix(self):
        return self.prefix.to_bytes(8, "big")


class AesCtr:
    """One use of AES in counter mode."""

    def __init__(self, key, counter=0):
        prefix = counter.prefix if isinstance(counter, Counter) else counter
        self.cipher = Cipher(algorithms.AES(key), modes.CTR(prefix.to_bytes(8, "big") + bytes(8)))

    def encrypt(self, data):
        return self.cipher.encryptor().update(data)

    def decrypt(self, data):
        return self.cipher.decryptor().update(data)


class DsaKey:
    """A DSA key whose signatures are of a number as it is, as the protocol wants it, and not of a digest of it."""

    def __init__(self, p, q, g, y, x=None):
        self.public, self.x = (p, q, g, y), x

    def getSerializedPublicPayload(self):
        return b"".join(potr.utils.pack_mpi(number) for number in self.public)

    def serializePublicKey(self):
        return bytes(2) + self.getSerializedPublicPayload()

    def fingerprint(self):
        return hashlib.sha1(self.getSerializedPublicPayload()).digest()

    def cfingerprint(self):
        return self.fingerprint().hex()

    def sign(self, data):
        p, q, g, _ = self.public
        while True:
            k = secrets.randbelow(q - 1) + 1
            r = pow(g, k, p) % q
            s = pow(k, -1, q) * (int.from_bytes(data, "big") + self.x * r) % q
            if r and s:
                return r.to_bytes(20, "big") + s.to_bytes(20, "big")

    def verify(self, data, sig):
        p, q, g, y = self.public
        r, s = int.from_bytes(sig[:20], "big"), int.from_bytes(sig[20:40], "big")
        if not (0 < r < q and 0 < s < q):
            return False
        w = pow(s, -1, q)
        u1, u2 = int.from_bytes(data, "big") * w % q, r * w % q
        return pow(g, u1, p) * pow(y, u2, p) % p % q == r

    @classmethod
    def generate(cls):
        numbers = dsa.generate_private_key(1024).private_numbers()
        public = numbers.public_numbers
        group = public.parameter_numbers
        return cls(group.p, group.q, group.g, public.y, numbers.x)

    @classmethod
    def parsePayload(cls, data, private=False):
        numbers = []
        for _ in range(5 if private else 4):
            number, data = potr.utils.read_mpi(data)
            numbers.append(number)
        return cls(*numbers), data


# The library's own layer over its cryptography needs a package that cannot be built any more.
layer = types.ModuleType("potr.compatcrypto.pycrypto")
layer.SHA256 = lambda data: hashlib.sha256(data).digest()
layer.SHA1 = lambda data: hashlib.sha1(data).digest()
layer.SHA1HMAC = lambda key, data: hmac.digest(key, data, "sha1")
layer.SHA256HMAC = lambda key, data: hmac.digest(key, data, "sha256")
layer.AESCTR, layer.Counter, layer.DSAKey = AesCtr, Counter, DsaKey
layer.getrandbits = secrets.randbits
layer.randrange = lambda start, stop: start + secrets.randbelow(stop - start)
sys.modules["potr.compatcrypto.pycrypto"] = layer

# Only now it can be imported.
import potr  # pylint: disable=wrong-import-position
import potr.compatcrypto.common  # pylint: disable=wrong-import-position
import potr.crypt  # pylint: disable=wrong-import-position
import potr.utils  # pylint: disable=wrong-import-position

potr.compatcrypto.common.pkTypes[0] = DsaKey

CLIENT = "jabber:client"
STATES = {
    potr.context.STATE_PLAINTEXT: "plain",
    potr.context.STATE_ENCRYPTED: "encrypted",
    potr.context.STATE_FINISHED: "finished",
}


def say(**line):
    """Writes one line."""
    print(json.dumps(line), flush=True)


class Conversation(potr.context.Context):
    """A conversation with one person."""

    def getPolicy(self, key):
        return self.user.policy.get(key, False)

    def inject(self, msg, appdata=None):
        self.user.person.put(self.peer, msg.decode())

    def setState(self, newstate):
        changed = newstate != self.state
        super().setState(newstate)
        if changed or newstate == potr.context.STATE_ENCRYPTED:
            key = self.crypto.theirPubkey
            fingerprint = key.cfingerprint() if key else None
            say(event="state", jid=self.peer, state=STATES[newstate], fingerprint=fingerprint)


class Account(potr.context.Account):
    """The client's own account, with a key that lives as long as the client."""

    contextclass = Conversation

    def __init__(self, person, jid, fragment):
        super().__init__(jid, "xmpp", fragment)
        self.person = person
        self.policy = {"ALLOW_V2": True, "REQUIRE_ENCRYPTION": False, "SEND_TAG": False}

    def loadPrivkey(self):
        return None

    def savePrivkey(self):
        pass

    def saveTrusts(self):
        pass


class Person(slixmpp.ClientXMPP):
    """A client that follows orders."""

    def __init__(self, arguments):
        super().__init__(arguments.jid, arguments.password_file.read_text().strip())
        self.account = Account(self, arguments.jid, arguments.fragment)
        self.account.getPrivkey()
        self.peers = {}
        self.register_plugin("xep_0199")
        self.add_event_handler("session_start", self.begin)
        self.roster.auto_authorize = self.roster.auto_subscribe = True
        self.register_handler(Callback("all", MatchXPath(f"{{{CLIENT}}}message"), self.hear))

    async def begin(self, _event):
        """Sends the first presence."""
        await self.get_roster()
        self.send_presence()
        say(event="ready", jid=str(self.boundjid))

    def conversation(self, jid):
        """Returns the conversation with a person."""
        return self.account.getContext(slixmpp.JID(jid).bare)

    def put(self, jid, body):
        """Sends a message as it is, to the resource that the last one came from."""
        say(event="sent", jid=jid, body=body)
        self.send_message(mto=self.peers.get(jid, jid), mbody=body, mtype="chat")

    def hear(self, message):
        """Tells of one message."""
        sender = message["from"].bare
        if message["type"] == "error":
            say(event="refused", jid=sender, xml=str(message))
        if message["type"] != "chat" or not message["body"]:
            return
        self.peers[sender] = str(message["from"])
        body, conversation = message["body"], self.conversation(sender)
        say(event="came", jid=sender, body=body, xml=str(message))
        told = {"jid": sender, "from": str(message["from"])}
        try:
            plain, tlvs = conversation.receiveMessage(body.encode())
            if plain:
                say(event="message", encryption="otr", body=plain.decode(), **told)
            self.tell_smp(conversation, tlvs, told)
        except potr.context.UnencryptedMessage as error:
            say(event="message", encryption="none", unexpected=True, body=error.args[0].decode(), **told)
        except potr.context.NotOTRMessage as error:
            say(event="message", encryption="none", unexpected=False, body=error.args[0].decode(), **told)
        except potr.context.ErrorReceived as error:
            say(event="error", reason="ErrorReceived", text=error.args[0].error.decode(), **told)
        except Exception as error:  # pylint: disable=broad-exception-caught
            say(event="error", reason=type(error).__name__, text=str(error), **told)

    @staticmethod
    def tell_smp(conversation, tlvs, told):
        """Tells how far the comparison of secrets is."""
        smp = conversation.crypto.smp
        for tlv in tlvs:
            if isinstance(tlv, potr.proto.SMP1QTLV):
                say(event="asked", question=tlv.msg.decode(), **told)
            elif isinstance(tlv, potr.proto.SMP1TLV):
                say(event="asked", question=None, **told)
            elif isinstance(tlv, potr.proto.SMPABORTTLV):
                say(event="aborted", **told)
            elif isinstance(tlv, (potr.proto.SMP3TLV, potr.proto.SMP4TLV)) and smp:
                say(event="compared", same=smp.prog == potr.crypt.SMPPROG_SUCCEEDED, **told)

    async def do_own(self, _order):
        """Returns the fingerprint of the client's own key."""
        return {"fingerprint": self.account.getPrivkey().cfingerprint()}

    async def do_start(self, order):
        """Asks a person for a private conversation."""
        jid = slixmpp.JID(order["to"]).bare
        self.put(jid, order.get("query", "?OTRv2?"))

    async def do_send(self, order):
        """Sends a message: encrypted, if the conversation is."""
        conversation = self.conversation(order["to"])
        encrypted = conversation.state == potr.context.STATE_ENCRYPTED
        sent = conversation.sendMessage(potr.context.FRAGMENT_SEND_ALL, order["body"].encode())
        if sent is not None:
            self.put(conversation.peer, sent.decode())
        return {"encrypted": encrypted}

    async def do_put(self, order):
        """Sends a body as it is."""
        self.put(slixmpp.JID(order["to"]).bare, order["body"])

    async def do_raw(self, order):
        """Sends XML."""
        self.send_raw(order["xml"])

    async def do_end(self, order):
        """Ends a private conversation."""
        self.conversation(order["to"]).disconnect()

    async def do_compare(self, order):
        """Begins to compare secrets, with a question if there is one."""
        question = order.get("question")
        question = question.encode() if question else None
        self.conversation(order["to"]).smpInit(order["secret"].encode(), question)

    async def do_answer(self, order):
        """Answers with a secret."""
        self.conversation(order["to"]).smpGotSecret(order["secret"].encode())

    async def do_abort(self, order):
        """Ends the comparison of secrets."""
        self.conversation(order["to"]).smpAbort()

    async def do_forget(self, order):
        """Forgets a conversation, as if the client had been started anew."""
        self.account.ctxs.pop(slixmpp.JID(order["to"]).bare, None)

    async def do_ping(self, _order):
        """Waits until the server answers."""
        await self.plugin["xep_0199"].ping(slixmpp.JID(self.boundjid.domain))


async def orders(person):
    """Reads orders until the input ends, and carries them out one after the other."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        try:
            said = await getattr(person, f"do_{order['do']}")(order)
            say(n=order["n"], ok=said)
        except Exception as error:  # pylint: disable=broad-exception-caught
            say(n=order["n"], error=type(error).__name__, text=str(error))
    person.disconnect()


async def main():
    """Runs the client until its input or its stream ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jid", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--fragment", type=int, default=0, help="the greatest length of a message")
    arguments = parser.parse_args()
    person = Person(arguments)
    person.enable_direct_tls, person.enable_starttls, person.enable_plaintext = True, False, False
    person.ca_certs = arguments.ca_file
    person.connect("127.0.0.1", arguments.port)
    task = asyncio.create_task(orders(person))
    await person.disconnected
    task.cancel()


asyncio.run(main())
