"""Asks riddles, in the style of plugins of errbot."""

from errbot import BotPlugin, botcmd, botmatch, cmdfilter, webhook

RIDDLES = {"What has keys, and opens no door?": "piano", "What gets wet while it dries?": "towel"}


class Riddle(BotPlugin):
    @cmdfilter
    def closed(self, msg, cmd, args, dry_run):
        """Stops all commands while the riddles are closed"""
        if self.get("closed") and cmd not in ("open", "close"):
            if not dry_run:
                self.send(msg.frm, "The riddles are closed.")
            return None, None, None
        return msg, cmd, args

    @botcmd
    def close(self, msg, args):
        """Closes the riddles"""
        self["closed"] = True
        return "Closed."

    @botcmd
    def open(self, msg, args):
        """Opens them again"""
        self["closed"] = False
        return "Open."

    @botcmd
    def riddle(self, msg, args):
        """Asks a riddle"""
        question = sorted(RIDDLES)[int(args or 1) % len(RIDDLES)]
        msg.ctx.update(answer=RIDDLES[question], left=3, solved=False)
        return question

    @botmatch(r"^\w+$", flow_only=True)
    def guess(self, msg, match):
        """Takes a guess"""
        if match.string.lower() == msg.ctx["answer"]:
            msg.ctx["solved"] = True
            return None
        msg.ctx["left"] -= 1
        if msg.ctx["left"]:
            return "No. {} more.".format(msg.ctx["left"])
        return "No. It was a {}.".format(msg.ctx["answer"])

    @botcmd(flow_only=True)
    def praise(self, msg, args):
        """Praises somebody"""
        return "Yes, a {}!".format(msg.ctx["answer"])

    @botcmd(flow_only=True)
    def order_tea(self, msg, args):
        """Orders tea"""
        msg.ctx["tea"] = args or "green"
        return "{} tea?".format(msg.ctx["tea"])

    @botcmd(flow_only=True)
    def order_confirm(self, msg, args):
        """Confirms an order"""
        return "One {} tea.".format(msg.ctx["tea"])

    @webhook(raw=True)
    def suggest(self, request):
        if request.get_header("x-kind") != "riddle":
            return "no riddle"
        self.send(self.build_identifier("alice@example.org"), "A riddle of {}: {}".format(request.json["by"], request.json["text"]))
        return "OK"
