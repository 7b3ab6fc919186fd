"""The parts that plugins of other frameworks share on parlor. `parlor plugin port` puts it beside them.

It is written from the use of published plugins, and has no code of those frameworks.
"""
