"""Values of the bot's configuration that are a plugin's own: they become settings in plugin.toml."""

import ast
import re
from typing import Any, Optional

import checks
from manifest import Draft, settings_of
from tree import Module

#: The expressions that stand for the configuration.
CONFIG = ("self.bot_config", "self._bot.bot_config")
#: The names of errbot's own values begin so.
OF_ERRBOT = re.compile(
    r"(?:ACCESS_|AUTOINSTALL_|BACKEND|BOT_|CHATROOM_|COMPACT_|CORE_|DEMO_|DISABLE_|DIVERT_|DM_|FLOW_|GROUPCHAT_|HIDE_|IRC_|MESSAGE_|NICK_|NO_|PLUGIN"
    r"|PROXY_|REVERSE_|SENTRY_|SIMULATED_|STORAGE|SUPPRESS_|TEXT_|XMPP_)")
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,60}\Z")
SETTING = "a plugin does not read the bot's configuration: plugin.toml has the setting {} in its place"
INSTEAD = "nothing, once the owner has set it; its `type` and a `default`, if they are not what is meant"


def run(checker: checks.Checker, draft: Draft) -> dict[str, list[str]]:
    """Adds settings for the values that plugins read. Returns, by their names, the names of the settings and how they are read."""
    found: list[tuple[Module, ast.AST, str, Any]] = []
    for module in checker.modules:
        lists = _lists(module)
        for node in ast.walk(module.tree):
            name, default = _read(node)
            if name is not None and NAME.match(name) and not OF_ERRBOT.match(name):
                found.append((module, node, name, [] if node in lists else default))
    names: dict[str, list[str]] = {}
    for module, node, name, _ in found:
        if name not in names:
            defaults = [default for *_, other, default in found if other == name and default is not None]
            try:
                names |= _setting(name, defaults[0] if defaults else None, draft)
            except (ValueError, TypeError):
                # There are too many, or it is no value of a setting: it is told as lacking.
                continue
        checker.apart.update(ast.walk(node))
        checker.tell("check", module, node, f"{CONFIG[0]}.{name}", SETTING.format(names[name][0]), INSTEAD)
    return names


def _setting(name: str, default: Any, draft: Draft) -> dict[str, list[str]]:
    if default == []:
        return {name: [draft.setting(name, "list", None, ""), "plain"]}
    return settings_of({name: default}, {}, draft)


def _read(node: ast.AST) -> tuple[Optional[str], Any]:
    """Returns the name of the value that an expression reads, and its default."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and ast.unparse(node.value) in CONFIG:
        return node.attr, None
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("getattr", "hasattr") or len(node.args) < 2:
        return None, None
    name = node.args[1]
    if ast.unparse(node.args[0]) not in CONFIG or not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None, None
    try:
        return name.value, ast.literal_eval(node.args[2]) if len(node.args) > 2 else None
    except ValueError:
        return name.value, None


def _lists(module: Module) -> set[ast.AST]:
    """Returns the expressions that are gone through, or looked into."""
    found: set[ast.AST] = set()
    for one in ast.walk(module.tree):
        if isinstance(one, (ast.For, ast.comprehension)):
            found.add(one.iter)
        if isinstance(one, ast.Compare) and isinstance(one.ops[-1], (ast.In, ast.NotIn)):
            found.add(one.comparators[-1])
    return found
