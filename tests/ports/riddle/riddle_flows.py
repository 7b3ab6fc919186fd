"""The course of a riddle, in the style of plugins of errbot with flows."""

from errbot import FLOW_END, BotFlow, FlowRoot, botflow


class RiddleFlows(BotFlow):
    @botflow
    def riddles(self, flow: FlowRoot):
        """A riddle with three guesses"""
        asked = flow.connect("riddle", auto_trigger=True)
        asked.hints = False
        guessed = asked.connect("guess")
        guessed.hints = False
        guessed.connect(guessed)
        solved = guessed.connect("praise", predicate=lambda ctx: ctx["solved"])
        solved.connect(FLOW_END, predicate=lambda ctx: True)
        guessed.connect(FLOW_END, predicate=lambda ctx: ctx["left"] == 0)

    @botflow
    def order(self, flow: FlowRoot):
        """An order of tea"""
        flow.connect("order_tea").connect("order_confirm")
