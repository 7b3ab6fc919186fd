"""Hears messages and webhooks, in the style of plugins of errbot."""

import re

from errbot import BotPlugin, botcmd, re_botcmd, webhook


class Listener(BotPlugin):
    def activate(self):
        super().activate()
        self.heard = 0

    def callback_message(self, message):
        self.heard += 1

    @re_botcmd(pattern=r"\bissue #(\d+)", prefixed=False, flags=re.IGNORECASE)
    def issue(self, msg, match):
        """Says where an issue is"""
        return "https://issues.example.org/{}".format(match.group(1))

    @re_botcmd(pattern=r"^what is (\w+)\?*$")
    def explain(self, msg, match):
        """Explains a word"""
        yield "{}? I do not know.".format(match.group(1))

    @botcmd
    def heard_so_far(self, msg, args):
        """Says how many messages were heard"""
        return str(self.heard)

    @webhook
    def deploy(self, request):
        self.send(self.build_identifier("alice@example.org"), "{} is out".format(request["version"]))
        return "OK"
