"""The echo bot on slixmpp, for `cargo xtask bench`: it answers each chat message with its body."""

import argparse
import asyncio
from pathlib import Path

import slixmpp


class Echo(slixmpp.ClientXMPP):
    """Answers each chat message with its body."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.answer)

    def begin(self, _event):
        """Sends the first presence."""
        self.send_presence()
        print("connected", flush=True)

    def answer(self, message):
        """Answers one message."""
        if message["type"] == "chat" and message["body"]:
            self.send_message(mto=message["from"], mbody=message["body"], mtype="chat")


async def main():
    """Runs the bot until its stream ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jid", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--allow-plain", action="store_true", help="within TLS it is always accepted")
    arguments = parser.parse_args()
    echo = Echo(arguments.jid, arguments.password_file.read_text().strip())
    echo.enable_direct_tls, echo.enable_starttls, echo.enable_plaintext = True, False, False
    echo.ca_certs = arguments.ca_file
    echo.connect("127.0.0.1", arguments.port)
    await echo.disconnected


asyncio.run(main())
