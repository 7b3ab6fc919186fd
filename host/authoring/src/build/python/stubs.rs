//! Declares the contract for Python's editors: a stub (PEP 484) for each grouping, generated from `wit/` with its
//! comments. The names are those that componentize-py generates.

use std::fmt::Write as _;

use parlor_session::permissions::table;
use wit_parser::{Docs, Field, Function, Interface, Param, Record, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use super::{contract, texts};

/// The groupings that the SDK declares itself, and the one that the host calls.
const LEFT_OUT: [&str; 14] = [
    "dialogs",
    "files",
    "guest",
    "hooks",
    "http",
    "listen",
    "log",
    "plugins",
    "promises",
    "schedules",
    "settings",
    "storage",
    "timers",
    "webhooks",
];

/// The fields with the time of an event or of a schedule: the SDK converts them to a `datetime`. Other times are texts.
const EVENT_TIMES: [&str; 2] = ["at", "due"];

/// The fields with spans of time: the SDK converts them to a `timedelta`.
const SPANS: [&str; 1] = ["late"];

/// The fields with times in queries: the SDK also accepts a `datetime`.
const WANTED_TIMES: [&str; 3] = ["start", "end", "since"];

/// The members that the SDK adds to a record.
const ADDED: [(&str, &str); 4] = [
    (
        "Command",
        "    @property\n    def rest(self) -> str:\n        \"\"\"What was typed after the name, without the \
         white space around it: no quotes are resolved.\"\"\"\n        ...\n",
    ),
    (
        "Contact",
        "    def get(self, name: str) -> Any:\n        \"\"\"One attribute by its name, such as `chat_status`; None: there \
         is none, or it has no value.\"\"\"\n        ...\n",
    ),
    (
        "Message",
        "    @property\n    def files(self) -> List[File]:\n        \"\"\"The files that it refers to; `files.open` reads one.\"\"\"\n        \
         ...\n",
    ),
    (
        "Webhook",
        "    @property\n    def text(self) -> str:\n        \"\"\"The body as text; bytes that are no UTF-8 are \
         replaced.\"\"\"\n        ...\n    def json(self) -> Any:\n        \"\"\"The body as JSON. `ValueError`: it is \
         none.\"\"\"\n        ...\n",
    ),
];

/// The records that may replace an address: contact, chat, view and room with their JID, an occupant with the address
/// in the room.
const ENTITY: [&str; 5] = ["Contact", "Chat", "View", "Room", "Occupant"];

/// The type that the SDK accepts for a field of a room's configuration.
const PLAIN: &str = "Union[bool, int, str, Sequence[str], ConfigValue]";

/// The calls that accept an element of the SDK in place of XML.
const TAKES_ELEMENTS: [&str; 2] = ["send", "send-iq"];

/// The record of a message to be sent.
const OUTGOING: &str = "types.Outgoing";

/// The type into which the SDK combines a stream and its end.
const STREAM: &str = "AsyncIterator";

/// Returns the stubs of the groupings that `parlor` exports under their own names, by file name.
pub(super) fn of_contract() -> Vec<(String, String)> {
    let contract = contract::whole();
    let stub = |interface: &Interface| Some((interface.name.clone()?, Stub { contract: &contract, interface }.text()));
    let all = contract.interfaces.iter().filter_map(|(_, interface)| stub(interface));
    all.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).collect()
}

/// Returns modules of the same that run without a host: records, and functions of which only the parameters matter.
pub(super) fn outside() -> Vec<(String, String)> {
    let contract = contract::whole();
    let module =
        |interface: &Interface| Some((interface.name.clone()?, Stub { contract: &contract, interface }.module()));
    let all = contract.interfaces.iter().filter_map(|(_, interface)| module(interface));
    all.filter(|(name, _)| name != "guest").collect()
}

struct Stub<'c> {
    contract: &'c Resolve,
    interface: &'c Interface,
}

impl Stub<'_> {
    fn text(&self) -> String {
        let name = self.interface.name.as_deref().unwrap_or_default();
        let mut out = String::from("# The contract of parlor, made from `wit/`; a change here is lost.\n");
        docs(&mut out, "", &self.interface.docs, None);
        out.push_str(
            "from dataclasses import dataclass\nfrom datetime import datetime, timedelta\nfrom enum import Enum\n\
             from typing import Any, AsyncIterator, List, Mapping, Optional, Sequence, Tuple, Union\n\n\
             from componentize_py_types import Result\n\n",
        );
        let few: Vec<_> = texts::ALL.iter().map(|few| few.name).filter(|name| !self.declares(name)).collect();
        let _ = writeln!(out, "from ..texts import {}", few.join(", "));
        if name != "types" {
            out.push_str("\nfrom . import types\n");
        }
        if ["api", "iq", "pubsub"].contains(&name) {
            out.push_str("from ..stanza import Element\n");
        }
        for id in self.interface.types.values() {
            self.declare(&mut out, *id);
        }
        for function in self.interface.functions.values() {
            let needs = table::call(name, &function.name).and_then(|call| call.permission);
            let signature = self.signature(function);
            let read =
                if signature.contains(STREAM) { " It is read by `async for`, which raises what ended it." } else { "" };
            let needs = needs.map(|needs| format!("Permission: `{needs}`.{read}"));
            let _ = writeln!(out, "\n{signature}:");
            docs(&mut out, "    ", &function.docs, needs.as_deref());
            out.push_str("    ...\n");
        }
        out
    }

    fn module(&self) -> String {
        let mut out = String::from(
            "# The contract of parlor, made from `wit/`; a change here is lost.\n\
             from dataclasses import dataclass\nfrom enum import Enum\nfrom typing import Any, List, Mapping, Optional, Sequence, Tuple, Union\n",
        );
        if self.interface.name.as_deref() != Some("types") {
            out.push_str("\nfrom . import types\n");
        }
        for id in self.interface.types.values() {
            let mut declared = String::new();
            self.declare(&mut declared, *id);
            // Defaults and times of the standard library are added by the SDK.
            let plain = declared.replace(" = ...", "").replace(": datetime", ": str").replace(": timedelta", ": int");
            out += &plain.replace("Union[str, datetime, None]", "Optional[str]");
            for few in texts::ALL.iter().filter(|few| !self.declares(few.name)) {
                out = out.replace(&format!(": {}\n", few.name), ": str\n");
            }
        }
        for function in self.interface.functions.values() {
            let begin = if function.kind.is_async() { "async def" } else { "def" };
            let parameters = function.params.iter().map(|one| format!("{}: {}", snake(&one.name), self.name(&one.ty)));
            let parameters: Vec<_> = parameters.collect();
            let _ = writeln!(out, "\n{begin} {}({}): ...", snake(&function.name), parameters.join(", "));
        }
        out
    }

    /// Returns whether the grouping itself has a type with this name.
    fn declares(&self, name: &str) -> bool {
        self.interface.types.keys().any(|own| pascal(own) == name)
    }

    fn declare(&self, out: &mut String, id: TypeId) {
        let ty = &self.contract.types[id];
        let Some(name) = ty.name.as_deref().map(pascal) else { return };
        match &ty.kind {
            TypeDefKind::Record(record) => {
                let _ = writeln!(out, "\n@dataclass\nclass {name}:");
                docs(out, "    ", &ty.docs, None);
                let may = self.may_leave_out(record);
                for field in &record.fields {
                    let default = if may && self.is_empty_by_default(&field.ty) { " = ..." } else { "" };
                    let few = texts::of(ty.name.as_deref().unwrap_or_default(), &field.name);
                    let of = few.map_or_else(|| self.field(field), |few| few.name.to_owned());
                    let _ = writeln!(out, "    {}: {of}{default}", snake(&field.name));
                    let converted =
                        SPANS.contains(&field.name.as_str()).then_some("The SDK converts it to a `timedelta`.");
                    docs(out, "    ", &field.docs, converted);
                }
                out.extend(ADDED.iter().filter(|(record, _)| *record == name).map(|(_, more)| *more));
            }
            TypeDefKind::Enum(names) => {
                let _ = writeln!(out, "\nclass {name}(Enum):");
                docs(out, "    ", &ty.docs, None);
                for (number, case) in names.cases.iter().enumerate() {
                    let _ = writeln!(out, "    {} = {number}", snake(&case.name).to_uppercase());
                }
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = Vec::new();
                for case in &variant.cases {
                    let case_name = match pascal(&case.name).as_str() {
                        word @ ("None" | "True" | "False") => format!("{name}_{word}_"),
                        word => format!("{name}_{word}"),
                    };
                    let _ = writeln!(out, "\n@dataclass\nclass {case_name}:");
                    docs(out, "    ", &case.docs, None);
                    match &case.ty {
                        Some(ty) => drop(writeln!(out, "    value: {}", self.name(ty))),
                        None => out.push_str("    ...\n"),
                    }
                    cases.push(case_name);
                }
                let _ = writeln!(out, "\n{name} = Union[{}]", cases.join(", "));
            }
            // An alias is written as the type that it stands for.
            _ => {}
        }
    }

    /// Returns the type of a field in the SDK.
    fn field(&self, field: &Field) -> String {
        match self.name(&field.ty).as_str() {
            "str" if EVENT_TIMES.contains(&field.name.as_str()) => "datetime".to_owned(),
            "int" if SPANS.contains(&field.name.as_str()) => "timedelta".to_owned(),
            // The SDK reads JSON.
            "str" if self.is_json(&field.ty) => "Any".to_owned(),
            // Of several with one name, the SDK joins the values.
            "List[Header]" => "Mapping[str, str]".to_owned(),
            // The SDK reads the values of a command.
            "List[Tuple[str, Value]]" => "Mapping[str, Any]".to_owned(),
            "List[Tuple[str, ConfigValue]]" => format!("Union[Mapping[str, {PLAIN}], Sequence[Tuple[str, {PLAIN}]]]"),
            "Optional[str]" if WANTED_TIMES.contains(&field.name.as_str()) => "Union[str, datetime, None]".to_owned(),
            of => of.to_owned(),
        }
    }

    fn is_json(&self, ty: &Type) -> bool {
        matches!(ty, Type::Id(id) if self.contract.types[*id].name.as_deref() == Some("json"))
    }

    /// Returns whether fields with an empty default may be omitted: they must be the last ones.
    fn may_leave_out(&self, record: &Record) -> bool {
        record.fields.iter().map(|field| self.is_empty_by_default(&field.ty)).is_sorted()
    }

    /// Returns whether the SDK has an empty default for the type: none, false or an empty list.
    fn is_empty_by_default(&self, ty: &Type) -> bool {
        let of = self.name(ty);
        of == "bool" || ["Optional[", "List["].iter().any(|begin| of.starts_with(begin))
    }

    /// Returns the record if it may be omitted as a whole, and its fields passed as keyword arguments instead.
    fn spread(&self, ty: &Type) -> Option<&Record> {
        let Some(TypeDefKind::Record(record)) = contract::kind(self.contract, ty) else { return None };
        record.fields.iter().all(|field| self.is_empty_by_default(&field.ty)).then_some(record)
    }

    fn signature(&self, function: &Function) -> String {
        let parameters = self.parameters(function).join(", ");
        let result = match &function.result {
            _ if contract::GIVES_VALUES.contains(&function.name.as_str()) => "Any".to_owned(),
            result => result.as_ref().map_or("None".to_owned(), |result| self.result(result)),
        };
        let is_awaited = function.kind.is_async() && !result.starts_with(STREAM);
        let begin = if is_awaited { "async def" } else { "def" };
        format!("{begin} {}({parameters}) -> {result}", snake(&function.name))
    }

    /// Returns the parameters of a call. Those with an empty default may be omitted at the end, and the fields of a
    /// record may be passed as keyword arguments.
    fn parameters(&self, function: &Function) -> Vec<String> {
        let needed = function.params.iter().rposition(|one| !self.says_nothing(&one.ty)).map_or(0, |last| last + 1);
        let sends = self.interface.name.as_deref() == Some("api") && TAKES_ELEMENTS.contains(&function.name.as_str());
        let parameter = |(at, one): (usize, &Param)| {
            let grouping = self.interface.name.as_deref().unwrap_or_default();
            let addressed = contract::addressed(self.contract, &one.name, &one.ty);
            let of = match (&*one.name, texts::of(grouping, &one.name), self.name(&one.ty)) {
                (_, Some(few), _) => few.name.to_owned(),
                // The SDK writes and reads JSON.
                ("value", ..) if contract::TAKES_VALUES.contains(&function.name.as_str()) => "Any".to_owned(),
                _ if sends => "Union[str, Element]".to_owned(),
                ("xml", ..) if grouping == "iq" => "Union[str, Element, None]".to_owned(),
                ("xml", ..) if grouping == "pubsub" => "Union[str, Element]".to_owned(),
                ("jids", ..) => format!("Sequence[{}]", entity()),
                (_, _, of) if addressed.is_some() => of.replace("str", &entity()),
                // A text is a nickname.
                ("attributes", _, of) => format!("Union[{of}, str]"),
                ("fields", ..) => format!("Union[Mapping[str, {PLAIN}], Sequence[Tuple[str, {PLAIN}]]]"),
                // A text is a message with only a body.
                (_, _, of) if of == OUTGOING => format!("Union[str, {of}]"),
                (_, _, of) => of,
            };
            format!("{}: {of}{}", snake(&one.name), if at < needed { "" } else { " = ..." })
        };
        let mut parameters: Vec<_> = function.params.iter().enumerate().map(parameter).collect();
        let fields = function.params.iter().skip(needed).filter_map(|one| self.spread(&one.ty));
        let is_taken = |field: &&Field| function.params.iter().any(|one| one.name == field.name);
        let named = fields.flat_map(|record| &record.fields).filter(|field| !is_taken(field));
        let named: Vec<_> = named.map(|field| format!("{}: {} = ...", snake(&field.name), self.field(field))).collect();
        if !named.is_empty() {
            parameters.push("*".to_owned());
            parameters.extend(named);
        }
        parameters
    }

    /// Returns whether an argument may be omitted. A list may not be: without a list of their own, some calls would
    /// apply to everything.
    fn says_nothing(&self, ty: &Type) -> bool {
        self.spread(ty).is_some() || self.is_empty_by_default(ty) && !self.name(ty).starts_with("List[")
    }

    /// Returns the result type of a call, whose error is raised.
    fn result(&self, ty: &Type) -> String {
        if let Type::Id(id) = ty
            && let TypeDefKind::Result(result) = &self.contract.types[*id].kind
        {
            return self.maybe(result.ok.as_ref());
        }
        self.name(ty)
    }

    fn maybe(&self, ty: Option<&Type>) -> String {
        ty.map_or("None".to_owned(), |ty| self.name(ty))
    }

    fn name(&self, ty: &Type) -> String {
        let id = match ty {
            Type::Bool => return "bool".to_owned(),
            Type::Char | Type::String => return "str".to_owned(),
            Type::F32 | Type::F64 => return "float".to_owned(),
            Type::ErrorContext => return "Any".to_owned(),
            Type::Id(id) => *id,
            _ => return "int".to_owned(),
        };
        let ty = &self.contract.types[id];
        match (&ty.kind, &ty.name) {
            (TypeDefKind::Type(of), _) => self.name(of),
            (TypeDefKind::Record(_) | TypeDefKind::Enum(_) | TypeDefKind::Variant(_), Some(name)) => {
                let TypeOwner::Interface(owner) = ty.owner else { return "Any".to_owned() };
                let owner = self.contract.interfaces[owner].name.as_deref();
                match owner {
                    Some(owner) if Some(owner) != self.interface.name.as_deref() => format!("{owner}.{}", pascal(name)),
                    _ => pascal(name),
                }
            }
            (kind, _) => self.kind(kind),
        }
    }

    fn kind(&self, kind: &TypeDefKind) -> String {
        match kind {
            TypeDefKind::Option(of) => format!("Optional[{}]", self.name(of)),
            TypeDefKind::List(Type::U8) => "bytes".to_owned(),
            // `List` is used because some calls are named `list`, which then hides the type.
            TypeDefKind::List(of) => format!("List[{}]", self.name(of)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                match types.as_slice() {
                    [stream, _ended] if stream.starts_with(STREAM) => stream.clone(),
                    types => format!("Tuple[{}]", types.join(", ")),
                }
            }
            TypeDefKind::Result(result) => {
                format!("Result[{}, {}]", self.maybe(result.ok.as_ref()), self.maybe(result.err.as_ref()))
            }
            TypeDefKind::Stream(Some(of)) => format!("{STREAM}[{}]", self.name(of)),
            // The end of a stream is raised as an error.
            _ => "Any".to_owned(),
        }
    }
}

/// Returns the type of an address, or of a record that has one.
fn entity() -> String {
    format!("Union[str, {}]", ENTITY.map(|record| format!("types.{record}")).join(", "))
}

/// Writes a docstring.
fn docs(out: &mut String, indent: &str, docs: &Docs, more: Option<&str>) {
    let text = docs.contents.as_deref().unwrap_or_default();
    let lines: Vec<String> = text.lines().chain(more).map(|line| line.trim_end().replace('\\', "\\\\")).collect();
    let _ = match lines.as_slice() {
        [] => Ok(()),
        [line] => writeln!(out, "{indent}\"\"\"{line}\"\"\""),
        [first, rest @ ..] => {
            let _ = writeln!(out, "{indent}\"\"\"{first}");
            for line in rest {
                let _ = writeln!(out, "{}", format!("{indent}{line}").trim_end());
            }
            writeln!(out, "{indent}\"\"\"")
        }
    };
}

pub(super) fn snake(name: &str) -> String {
    /// Python's keywords, which cannot be names.
    #[rustfmt::skip]
    const KEYWORDS: [&str; 32] = [
        "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
        "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
        "or", "pass", "raise", "return", "try", "while", "with", "yield",
    ];
    let name = name.replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) { format!("{name}_") } else { name }
}

pub(super) fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_declared_as_python_has_it() {
        let stubs = of_contract();
        let of = |name: &str| &stubs.iter().find(|(grouping, _)| grouping == name).unwrap().1;
        for (grouping, part) in [
            ("types", "@dataclass\nclass Message:\n"),
            ("types", "    stanza_id: Optional[str]\n"),
            ("types", "    from_: str\n"),
            ("types", "    at: datetime\n"),
            ("types", "    due: datetime\n"),
            ("types", "    late: timedelta\n"),
            (
                "chats",
                "\nasync def send(jid: Union[str, types.Contact, types.Chat, types.View, types.Room, types.Occupant], message: Union[str, types.Outgoing] = ..., *, body: Optional[str] = ..., ",
            ),
            (
                "chats",
                "\ndef get_many(jids: Sequence[Union[str, types.Contact, types.Chat, types.View, types.Room, types.Occupant]]) -> List[Optional[types.Chat]]:\n",
            ),
            ("chats", "    Permission: `messages.send`.\n"),
            ("rooms", "class ConfigValue_Flag:\n"),
            ("rooms", "ConfigValue = Union[ConfigValue_Flag, ConfigValue_Text, ConfigValue_Texts]\n"),
            ("rooms", "-> List[Result[types.Room, types.Error]]:"),
            ("rooms", "    auto_configure: bool = ...\n"),
            ("rooms", "types.Occupant], attributes: Union[Attributes, str] = ..., *, nick: Optional[str] = ..., "),
            ("rooms", "roomconfig: Union[Mapping[str, Union[bool, int, str, Sequence[str], ConfigValue]], "),
            ("types", "    def get(self, name: str) -> Any:\n"),
            ("types", "    def files(self) -> List[File]:\n"),
            ("types", "    headers: Mapping[str, str]\n"),
            ("types", "    def json(self) -> Any:\n"),
            ("rooms", "types.Occupant], nick: str, reason: Optional[str] = ...) -> None:"),
            ("rooms", "types.Occupant], attributes: Union[Attributes, str] = ..., create: bool = ..., *, nick: "),
            ("rooms", "types.Occupant]], attributes: Union[Attributes, str] = ..., *, nick: "),
            ("archive", "    start: Union[str, datetime, None] = ...\n"),
            ("archive", "\ndef query_all(options: Options = ..., *, with_: Optional[str] = ..., "),
            ("archive", ") -> AsyncIterator[ArchivedMessage]:\n"),
            ("archive", "    Permission: `archive.read`. It is read by `async for`, which raises what ended it.\n"),
            ("types", "    requesting: bool\n"),
            ("types", "    role: Role\n"),
            ("rooms", "types.Occupant], nick: str, role: Role, reason: Optional[str] = ...) -> None:"),
            ("types", "    def rest(self) -> str:\n"),
            ("types", "    values: Mapping[str, Any]\n"),
            ("commands", "from ..texts import Role, Affiliation\n"),
            ("commands", "    kind: Kind\n"),
            ("rooms", "types.Occupant], user: Union[str, types.Contact, "),
            ("chats", "types.Occupant], name: str) -> Any:\n"),
            ("rooms", "types.Occupant], name: str, value: Any) -> None:\n"),
            ("api", "async def send_iq(iq: Union[str, Element]) -> str:\n"),
        ] {
            assert!(of(grouping).contains(part), "{part} is missing in\n{}", of(grouping));
        }
        assert!(stubs.iter().all(|(name, _)| name != "storage" && name != "guest"));
    }
}
