"""Asks a server, in the style of plugins of errbot."""

import requests
from errbot import BotPlugin, CommandError, arg_botcmd, botcmd

TEMPLATE = {"TOWN": "Verona", "API_TOKEN": "", "DAYS": 2, "NOTIFY": ""}
SERVER = "https://api.example.org"


class Forecast(BotPlugin):
    def get_configuration_template(self):
        return TEMPLATE

    def configure(self, configuration):
        config = dict(TEMPLATE)
        config.update({key: value for key, value in (configuration or {}).items() if value is not None})
        super().configure(config)

    def activate(self):
        super().activate()
        self.start_poller(600, self.tell)

    def fetch(self, town):
        answer = requests.get(SERVER + "/weather", params={"town": town, "days": self.config["DAYS"]}, timeout=10)
        if answer.status_code == 404:
            raise CommandError("Nobody knows " + town)
        answer.raise_for_status()
        return answer.json()["sky"]

    @botcmd
    def weather(self, msg, args):
        """Tells the weather"""
        town = args or self.config["TOWN"]
        return "{}: {}".format(town, self.fetch(town))

    @arg_botcmd("towns", nargs="+")
    def compare(self, msg, towns):
        """Compares towns"""
        for town in towns:
            yield "{}: {}".format(town, self.fetch(town))

    @botcmd
    def report(self, msg, args):
        """Sends a report"""
        try:
            requests.post(SERVER + "/reports", json={"text": args})
        except requests.RequestException as error:
            return "That did not work."
        return "Sent."

    def tell(self):
        if self.config["NOTIFY"]:
            self.send(self.build_identifier(self.config["NOTIFY"]), self.fetch(self.config["TOWN"]))
