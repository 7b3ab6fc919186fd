"""Counts things, in the style of plugins of errbot."""

from datetime import datetime
from time import sleep

from errbot import BotPlugin, arg_botcmd, botcmd
from errbot.utils import format_timedelta


class Tally(BotPlugin):
    """Counts things for people."""

    def activate(self):
        super().activate()
        if "things" not in self:
            self["things"] = {}

    @botcmd
    def tally_add(self, msg, args):
        """Adds one to a thing"""
        if not args:
            return "Add what?"
        with self.mutable("things") as things:
            things[args] = things.get(args, 0) + 1
        self["last"] = datetime.now()
        return "{}: {}".format(args, self["things"][args])

    @botcmd
    def tally_list(self, msg, args):
        """Lists all things"""
        for name, count in sorted(self["things"].items()):
            yield "{}: {}".format(name, count)
        yield "That is all."

    @botcmd(split_args_with=None)
    def swap(self, msg, args):
        """Says words the other way round"""
        return " ".join(reversed(args))

    @arg_botcmd("name", type=str)
    @arg_botcmd("--by", type=int, default=1, dest="amount")
    def raise_it(self, msg, name=None, amount=None):
        """Adds several to a thing"""
        with self.mutable("things") as things:
            things[name] = things.get(name, 0) + amount
        return "{}: {}".format(name, self["things"][name])

    @botcmd
    def since(self, msg, args):
        """Says when something was last counted"""
        if "last" not in self:
            return "Never, {}.".format(msg.frm.nick)
        return "{} ago".format(format_timedelta(datetime.now() - self["last"]))

    @botcmd
    def slow(self, msg, args):
        """Answers twice"""
        yield "wait"
        sleep(2)
        yield "now"

    @botcmd(admin_only=True)
    def forget(self, msg, args):
        """Forgets everything"""
        self["things"] = {}
        return "Forgotten."
