"""Compares the stubs for editors with the bindings that componentize-py generates, and parses all files for editors.

    stubs.py SDK BINDINGS PACKAGE
"""

import ast
import pathlib
import re
import sys

sdk, bindings, package = map(pathlib.Path, sys.argv[1:])
#: The SDK's types for an address, and for plain values in place of a variant.
ENTITY = "Union[str, types.Contact, types.Chat, types.View, types.Room, types.Occupant]"
PLAIN = "Union[bool, int, str, Sequence[str], ConfigValue]"
FIELDS = f"Union[Mapping[str, {PLAIN}], Sequence[Tuple[str, {PLAIN}]]]"
#: The types that the SDK changes: times, spans of time, stanzas, messages that are only a text, enumerations, addresses, headers, and a
#: room's configuration.
ANY = {
    f"jid: {ENTITY}": "jid: str",
    f"jids: Sequence[{ENTITY}]": "jids: List[str]",
    **{f"{name}: {ENTITY}": f"{name}: str" for name in ("user", "inviter", "service", "to", "room")},
    f"alternative: Optional[{ENTITY}]": "alternative: Optional[str]",
    "value: Any": "value: str",
    "attributes: Union[Attributes, str]": "attributes: Attributes",
    **{f"{name}: {FIELDS}": f"{name}: List[Tuple[str, ConfigValue]]" for name in ("roomconfig", "fields")},
    "at: datetime": "at: str",
    "due: datetime": "due: str",
    "late: timedelta": "late: int",
    "iq: Union[str, Element]": "iq: str",
    "message: Union[str, types.Outgoing]": "message: types.Outgoing",
    "role: Role": "role: str",
    "affiliation: Affiliation": "affiliation: str",
    "kind: Kind": "kind: str",
    "headers: Mapping[str, str]": "headers: List[Header]",
    "values: Mapping[str, Any]": "values: List[Tuple[str, Value]]",
    "stanza: Union[str, Element]": "stanza: str",
    "xml: Union[str, Element, None]": "xml: Optional[str]",
    "xml: Union[str, Element]": "xml: str",
    **{f"{name}: Union[str, datetime, None]": f"{name}: Optional[str]" for name in ("start", "end", "since")},
}


def shape(file: pathlib.Path) -> dict[str, str]:
    """Returns the definitions of a module by name, without comments."""
    found = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = "; ".join(declared(one.target, one) for one in node.body if isinstance(one, ast.AnnAssign))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            # Optional arguments and fields in place of a record are the SDK's.
            arguments = ", ".join(declared(ast.Name(one.arg), one) for one in node.args.args)
            found[node.name] = f"{kind} ({arguments}) -> {ast.unparse(node.returns)}"
        elif isinstance(node, ast.Assign):
            found[node.targets[0].id] = ast.unparse(node.value)
    return found


def declared(name: ast.expr, of: ast.AnnAssign | ast.arg) -> str:
    """Returns a field or an argument without its default."""
    text = f"{ast.unparse(name)}: {ast.unparse(of.annotation)}"
    return ANY.get(text, text)


def same(stub: str, real: str) -> bool:
    """Returns whether the stub matches the binding. The SDK combines a stream and its result into one object, and reads the JSON of
    an attribute."""
    real = re.sub(r"^(def \(jid: str, name: str\) -> )Optional\[str\]$", r"\1Any", real)
    return stub == re.sub(r"^async (.* -> )Tuple\[StreamReader\[(.*)\], FutureReader\[.*\]\]$", r"\1AsyncIterator[\2]", real)


compared = 0
for stub in sorted((sdk / "parlor/_contract").glob("*.pyi")):
    if stub.stem == "__init__":
        continue
    stated, real = shape(stub), shape(bindings / "wit_world/imports" / f"{stub.stem}.py")
    if missing := set(real) - set(stated):
        sys.exit(f"{stub.stem}: the stub lacks {sorted(missing)}")
    for name, what in stated.items():
        if name not in real or not same(what, real[name]):
            sys.exit(f"{stub.stem}.{name}: the stub says {what!r}, and there is {real.get(name)!r}")
        compared += 1

for file in [*sdk.rglob("*.pyi"), *sdk.rglob("*.py")]:
    ast.parse(file.read_text())

exported = set(ast.literal_eval(next(
    node.value for node in ast.parse((package / "__init__.py").read_text()).body
    if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
)))
typed = {
    alias.asname for node in ast.parse((sdk / "parlor/__init__.pyi").read_text()).body
    if isinstance(node, ast.ImportFrom) for alias in node.names
}
if exported != typed:
    sys.exit(f"`parlor` exports {sorted(exported - typed)} that editors do not know, or the other way {sorted(typed - exported)}")
print(compared)
