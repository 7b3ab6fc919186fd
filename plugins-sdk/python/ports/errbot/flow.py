"""Flows, by their other place."""

from .flows import FLOW_END, BotFlow, FlowNode, FlowRoot, botflow

__all__ = ["BotFlow", "FLOW_END", "FlowNode", "FlowRoot", "botflow"]
