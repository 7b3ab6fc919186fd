"""A client with OTR on libotr (versions 2 and 3) and slixmpp, for the suite: it does what the lines on its input say.

The lines are those of `otr_client.py`. The library is Debian's libotr5, called as it is through ctypes: this file has
its declarations, and nothing of the protocol. `--talk` lets two of it talk in this process, without a server.
"""

import argparse
import asyncio
import ctypes
import itertools
import json
import sys
import tempfile
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_ushort, c_void_p
from pathlib import Path

CLIENT, PROTOCOL = "jabber:client", b"xmpp"
POLICIES = {"2": 0x02, "3": 0x04, "23": 0x06}
SEND_ALL = 1  # Fragments: the library gives each of them to `inject_message`.
BEST = 1  # The instance that a message goes to: the best of them.
STATES = ["plain", "encrypted", "finished"]
ASKED_QUESTION, ASKED, SUCCESS, FAILURE = 4, 5, 7, 8
SMP_EVENTS = {1: "error", 2: "aborted", 3: "cheated"}
UNENCRYPTED = 13
# Events of messages that say nothing of interest: sent again, and heartbeats.
QUIET = {6, 10, 11}


class Context(Structure):
    """The state of one conversation with one instance, up to the last field that is used here."""

    _fields_ = [
        ("pointers", c_void_p * 3),
        ("username", c_char_p),
        ("names", c_void_p * 2),
        ("children", c_void_p * 4),
        ("our_instance", c_uint),
        ("their_instance", c_uint),
        ("state", c_int),
    ]


CONTEXT = POINTER(Context)
# The functions that the library calls, in the order of its structure. The first argument of each is not used.
CALLBACKS = {
    "policy": CFUNCTYPE(c_uint, c_void_p, CONTEXT),
    "create_privkey": CFUNCTYPE(None, c_void_p, c_char_p, c_char_p),
    "is_logged_in": CFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p, c_char_p),
    "inject_message": CFUNCTYPE(None, c_void_p, c_char_p, c_char_p, c_char_p, c_char_p),
    "update_context_list": CFUNCTYPE(None, c_void_p),
    "new_fingerprint": CFUNCTYPE(None, c_void_p, c_void_p, c_char_p, c_char_p, c_char_p, c_void_p),
    "write_fingerprints": CFUNCTYPE(None, c_void_p),
    "gone_secure": CFUNCTYPE(None, c_void_p, CONTEXT),
    "gone_insecure": CFUNCTYPE(None, c_void_p, CONTEXT),
    "still_secure": CFUNCTYPE(None, c_void_p, CONTEXT, c_int),
    "max_message_size": CFUNCTYPE(c_int, c_void_p, CONTEXT),
    "account_name": c_void_p,
    "account_name_free": c_void_p,
    "received_symkey": c_void_p,
    "otr_error_message": c_void_p,
    "otr_error_message_free": c_void_p,
    "resent_msg_prefix": c_void_p,
    "resent_msg_prefix_free": c_void_p,
    "handle_smp_event": CFUNCTYPE(None, c_void_p, c_int, CONTEXT, c_ushort, c_char_p),
    "handle_msg_event": CFUNCTYPE(None, c_void_p, c_int, CONTEXT, c_char_p, c_uint),
    "create_instag": CFUNCTYPE(None, c_void_p, c_char_p, c_char_p),
    "convert_msg": c_void_p,
    "convert_free": c_void_p,
    "timer_control": CFUNCTYPE(None, c_void_p, c_uint),
}


class Callbacks(Structure):
    """The functions that the library calls."""

    _fields_ = list(CALLBACKS.items())


def library():
    """Loads libotr 4.1."""
    otr = ctypes.CDLL("libotr.so.5")
    talk = [c_void_p, POINTER(Callbacks), c_void_p]
    for name, result, arguments in [
        ("init", c_uint, [c_uint, c_uint, c_uint]),
        ("userstate_create", c_void_p, []),
        ("privkey_generate", c_uint, [c_void_p, c_char_p, c_char_p, c_char_p]),
        ("privkey_fingerprint", c_void_p, [c_void_p, c_char_p, c_char_p, c_char_p]),
        ("instag_generate", c_uint, [c_void_p, c_char_p, c_char_p, c_char_p]),
        ("proto_default_query_msg", c_void_p, [c_char_p, c_uint]),
        ("context_find", CONTEXT, [c_void_p] + [c_char_p] * 3 + [c_uint, c_int] + [c_void_p] * 3),
        (
            "message_sending",
            c_uint,
            talk + [c_char_p] * 3 + [c_uint, c_char_p] + [c_void_p] * 2 + [c_int] + [c_void_p] * 3,
        ),
        ("message_receiving", c_int, talk + [c_char_p] * 4 + [c_void_p] * 5),
        ("message_disconnect_all_instances", None, talk + [c_char_p] * 3),
        ("message_initiate_smp", None, talk + [CONTEXT, c_char_p, c_size_t]),
        ("message_initiate_smp_q", None, talk + [CONTEXT, c_char_p, c_char_p, c_size_t]),
        ("message_respond_smp", None, talk + [CONTEXT, c_char_p, c_size_t]),
        ("message_abort_smp", None, talk + [CONTEXT]),
        ("message_free", None, [c_void_p]),
        ("tlv_free", None, [c_void_p]),
    ]:
        function = getattr(otr, f"otrl_{name}")
        function.restype, function.argtypes = result, arguments
    if otr.otrl_init(4, 1, 0) != 0:
        raise RuntimeError("libotr is older than 4.1")
    return otr


class Otr:
    """All conversations of one account. `put` sends a text to a person, and `say` tells of an event."""

    def __init__(self, jid, versions, fragment, put, say):
        self.jid, self.policy, self.fragment, self.put, self.say = jid.encode(), POLICIES[versions], fragment, put, say
        self.otr, self.states, self.folder, self.asked = library(), {}, tempfile.TemporaryDirectory(), None
        self.user = self.otr.otrl_userstate_create()
        for name in ["privkey", "instag"]:
            file = str(Path(self.folder.name, name)).encode()
            if getattr(self.otr, f"otrl_{name}_generate")(self.user, file, self.jid, PROTOCOL) != 0:
                raise RuntimeError(f"libotr makes no {name}")
        nothing = lambda *_: None
        given = {
            "policy": lambda *_: self.policy,
            "is_logged_in": lambda *_: 1,
            "inject_message": lambda _, _account, _protocol, to, text: self.put(to.decode(), text.decode()),
            "gone_secure": lambda _, context: self.tell_state(context, True),
            "still_secure": lambda _, context, _is_reply: self.tell_state(context, True),
            "max_message_size": lambda *_: self.fragment,
            "handle_smp_event": lambda _, event, context, _percent, question: self.smp(event, context, question),
            "handle_msg_event": lambda _, event, context, text, _error: self.event(event, context, text),
        }
        kinds = {name: kind for name, kind in CALLBACKS.items() if kind is not c_void_p}
        self.callbacks = Callbacks(**{name: kind(given.get(name, nothing)) for name, kind in kinds.items()})
        self.talk = (self.user, byref(self.callbacks), None)

    def fingerprint(self):
        """Returns that of the own key, as digits in lower case."""
        text = ctypes.create_string_buffer(45)
        self.otr.otrl_privkey_fingerprint(self.user, text, self.jid, PROTOCOL)
        return text.value.decode().replace(" ", "").lower()

    def query(self):
        """Returns the text that asks for a conversation."""
        return self.taken(self.otr.otrl_proto_default_query_msg(self.jid, self.policy))

    def taken(self, pointer):
        """Takes a text of the library."""
        text = ctypes.cast(pointer, c_char_p).value.decode()
        self.otr.otrl_message_free(pointer)
        return text

    def context(self, person):
        """Returns the best conversation with a person."""
        return self.otr.otrl_context_find(self.user, person.encode(), self.jid, PROTOCOL, BEST, 1, None, None, None)

    def tell_state(self, context, always=False):
        """Tells of a state, if it is another one."""
        person, state = context.contents.username.decode(), STATES[context.contents.state]
        changed = self.states.get(person, "plain") != state
        self.states[person] = state
        if changed or always:
            self.say(event="state", jid=person, state=state)

    def smp(self, event, context, question):
        """Tells how far the comparison of secrets is."""
        person = context.contents.username.decode()
        if event in (ASKED, ASKED_QUESTION):
            self.say(event="asked", jid=person, question=question.decode() if question else None)
        elif event in (SUCCESS, FAILURE):
            self.say(event="compared", jid=person, same=event == SUCCESS)
        elif event in SMP_EVENTS:
            self.otr.otrl_message_abort_smp(*self.talk, context)
            self.say(event=SMP_EVENTS[event], jid=person)

    def event(self, event, context, text):
        """Tells of a message that is not as it should be."""
        person = context.contents.username.decode() if context else None
        if event == UNENCRYPTED:
            self.say(event="message", encryption="none", unexpected=True, jid=person, body=text.decode())
        elif event not in QUIET:
            self.say(event="error", jid=person, reason=event, text=text.decode() if text else None)

    def receive(self, person, text):
        """Takes a text of a person."""
        plain, records, context = c_void_p(), c_void_p(), CONTEXT()
        texts, results = (person.encode(), text.encode()), (byref(plain), byref(records), byref(context))
        is_own = self.otr.otrl_message_receiving(*self.talk, self.jid, PROTOCOL, *texts, *results, None, None)
        if plain.value:
            self.say(event="message", encryption="otr", jid=person, body=self.taken(plain))
        elif not is_own:
            self.say(event="message", encryption="none", unexpected=False, jid=person, body=text)
        if records.value:
            self.otr.otrl_tlv_free(records)
        if context:
            self.tell_state(context)

    def send(self, person, text):
        """Sends a text to a person: encrypted, if the conversation is, and not at all if it has ended. Returns which."""
        state, sent, context = STATES[self.context(person).contents.state], c_void_p(), CONTEXT()
        what = (person.encode(), BEST, text.encode(), None, byref(sent), SEND_ALL, byref(context), None, None)
        error = self.otr.otrl_message_sending(*self.talk, self.jid, PROTOCOL, *what)
        if error:
            raise RuntimeError(f"libotr does not send: {error}")
        if sent.value:
            self.otr.otrl_message_free(sent)
        if state == "plain":
            self.put(person, text)
        return state == "encrypted"

    def end(self, person):
        """Ends the conversations with a person."""
        self.otr.otrl_message_disconnect_all_instances(*self.talk, self.jid, PROTOCOL, person.encode())
        self.states[person] = "plain"

    def compare(self, person, secret, question):
        """Begins to compare a secret."""
        secret, context = secret.encode(), self.context(person)
        if question is None:
            self.otr.otrl_message_initiate_smp(*self.talk, context, secret, len(secret))
        else:
            self.otr.otrl_message_initiate_smp_q(*self.talk, context, question.encode(), secret, len(secret))

    def answer(self, person, secret):
        """Answers with a secret."""
        secret = secret.encode()
        self.otr.otrl_message_respond_smp(*self.talk, self.context(person), secret, len(secret))

    def abort(self, person):
        """Ends the comparison of secrets."""
        self.otr.otrl_message_abort_smp(*self.talk, self.context(person))


def tell(**line):
    """Writes one line."""
    print(json.dumps(line), flush=True)


def log_in(arguments):
    """Returns a client that follows orders."""
    import slixmpp  # pylint: disable=import-outside-toplevel
    from slixmpp.xmlstream.handler import Callback  # pylint: disable=import-outside-toplevel
    from slixmpp.xmlstream.matcher import MatchXPath  # pylint: disable=import-outside-toplevel

    person, peers = slixmpp.ClientXMPP(arguments.jid, arguments.password_file.read_text().strip()), {}
    way = {"open": True}

    def put(jid, body):
        """Sends a message as it is, to the resource that the last one came from. It is lost while the way is not open."""
        tell(event="sent" if way["open"] else "lost", jid=jid, body=body)
        if way["open"]:
            person.send_message(mto=peers.get(jid, jid), mbody=body, mtype="chat")

    otr = Otr(arguments.jid, arguments.versions, arguments.fragment, put, tell)

    def hear(message):
        """Takes one message."""
        sender = message["from"].bare
        if message["type"] == "error":
            tell(event="refused", jid=sender, xml=str(message))
        if message["type"] == "chat" and message["body"]:
            peers[sender] = str(message["from"])
            tell(event="came", jid=sender, to=str(message["to"]), body=message["body"], xml=str(message))
            otr.receive(sender, message["body"])

    async def begin(_event):
        """Sends the first presence."""
        await person.get_roster()
        person.send_presence()
        tell(event="ready", jid=str(person.boundjid))

    orders = {
        "own": lambda order: {"fingerprint": otr.fingerprint()},
        "start": lambda order: put(order["to"], order.get("query", otr.query())),
        "send": lambda order: {"encrypted": otr.send(order["to"], order["body"])},
        "put": lambda order: put(order["to"], order["body"]),
        "way": lambda order: way.update(open=order["open"]),
        "end": lambda order: otr.end(order["to"]),
        "compare": lambda order: otr.compare(order["to"], order["secret"], order.get("question")),
        "answer": lambda order: otr.answer(order["to"], order["secret"]),
        "abort": lambda order: otr.abort(order["to"]),
        "ping": lambda order: person.plugin["xep_0199"].ping(slixmpp.JID(person.boundjid.domain)),
    }
    person.register_plugin("xep_0199")
    person.add_event_handler("session_start", begin)
    person.roster.auto_authorize = person.roster.auto_subscribe = True
    person.register_handler(Callback("all", MatchXPath(f"{{{CLIENT}}}message"), hear))
    return person, orders


async def follow(person, orders):
    """Reads orders until the input ends, and carries them out one after the other."""
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        try:
            said = orders[order["do"]](order)
            if asyncio.iscoroutine(said) or asyncio.isfuture(said):
                await said
                said = None
            tell(n=order["n"], ok=said)
        except Exception as error:  # pylint: disable=broad-exception-caught
            tell(n=order["n"], error=type(error).__name__, text=str(error))
    person.disconnect()


async def run(arguments):
    """Runs the client until its input or its stream ends."""
    person, orders = log_in(arguments)
    person.enable_direct_tls, person.enable_starttls, person.enable_plaintext = True, False, False
    person.ca_certs = arguments.ca_file
    person.connect("127.0.0.1", arguments.port)
    task = asyncio.create_task(follow(person, orders))
    await person.disconnected
    task.cancel()


def talk(versions, fragment):
    """Lets two of it talk, and returns what both were told."""
    way, told = [], {"a@b": [], "c@d": []}
    people = {}
    for own, other in [("a@b", "c@d"), ("c@d", "a@b")]:
        put = lambda _, text, own=own, other=other: way.append((other, own, text))
        people[own] = Otr(own, versions, fragment, put, lambda own=own, **line: told[own].append(line))

    def settle():
        while way:
            to, author, text = way.pop(0)
            people[to].receive(author, text)

    one, other = people["a@b"], people["c@d"]
    one.put("c@d", one.query())
    settle()
    for step in [
        lambda: one.send("c@d", "a long one " * 100),
        lambda: other.send("a@b", "and an answer"),
        lambda: one.compare("c@d", "nightingale", "what sang?"),
        lambda: other.answer("a@b", "nightingale"),
        lambda: other.compare("a@b", "lark", None),
        lambda: one.answer("c@d", "nightingale"),
        lambda: one.end("c@d"),
    ]:
        step()
        settle()
    return told


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", action="store_true", help="let two of it talk in this process")
    parser.add_argument("--jid")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--ca-file", type=Path)
    parser.add_argument("--fragment", type=int, default=0, help="the greatest length of a message")
    parser.add_argument("--versions", choices=list(POLICIES), default="23", help="the versions that are allowed")
    arguments = parser.parse_args()
    if arguments.talk:
        for versions, fragment in itertools.product(POLICIES, [0, 200]):
            tell(versions=versions, fragment=fragment, told=talk(versions, fragment))
    else:
        asyncio.run(run(arguments))


main()
