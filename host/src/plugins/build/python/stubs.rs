//! The contract as Python's editors read it: a stub (PEP 484) for each grouping, made from `wit/`, with its comments. The names
//! are those that componentize-py gives.

use std::fmt::Write as _;

use wit_parser::{Docs, Function, Interface, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use super::contract;
use crate::permissions::table;

/// Groupings for which the SDK has better words, and what is the host's to call.
const LEFT_OUT: [&str; 8] = ["api", "guest", "listen", "log", "promises", "settings", "storage", "timers"];

/// When something happened, in what events carry: the SDK makes a `datetime` of it. Other times are texts.
const EVENT_TIME: &str = "at";

/// The stubs of the groupings that `parlor` has under their own names, by the file's name.
pub(super) fn of_contract() -> Vec<(String, String)> {
    let contract = contract::whole();
    let stub = |interface: &Interface| Some((interface.name.clone()?, Stub { contract: &contract, interface }.text()));
    let all = contract.interfaces.iter().filter_map(|(_, interface)| stub(interface));
    all.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).collect()
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
            "from dataclasses import dataclass\nfrom datetime import datetime\nfrom enum import Enum\n\
             from typing import Any, List, Optional, Tuple, Union\n\nfrom componentize_py_types import Result\n",
        );
        if name != "types" {
            out.push_str("\nfrom . import types\n");
        }
        for id in self.interface.types.values() {
            self.declare(&mut out, *id);
        }
        for function in self.interface.functions.values() {
            let needs = table::call(name, &function.name).and_then(|call| call.permission);
            let needs = needs.map(|needs| format!("Permission: `{needs}`."));
            let _ = writeln!(out, "\n{}:", self.signature(function));
            docs(&mut out, "    ", &function.docs, needs.as_deref());
            out.push_str("    ...\n");
        }
        out
    }

    fn declare(&self, out: &mut String, id: TypeId) {
        let ty = &self.contract.types[id];
        let Some(name) = ty.name.as_deref().map(pascal) else { return };
        match &ty.kind {
            TypeDefKind::Record(record) => {
                let _ = writeln!(out, "\n@dataclass\nclass {name}:");
                docs(out, "    ", &ty.docs, None);
                for field in &record.fields {
                    let is_time = field.name == EVENT_TIME && self.name(&field.ty) == "str";
                    let of = if is_time { "datetime".to_owned() } else { self.name(&field.ty) };
                    let _ = writeln!(out, "    {}: {of}", snake(&field.name));
                    docs(out, "    ", &field.docs, None);
                }
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
            // What stands for another type is written as that.
            _ => {}
        }
    }

    fn signature(&self, function: &Function) -> String {
        let parameters = function.params.iter().map(|one| format!("{}: {}", snake(&one.name), self.name(&one.ty)));
        let parameters: Vec<_> = parameters.collect();
        let result = function.result.as_ref().map_or("None".to_owned(), |result| self.result(result));
        let begin = if function.kind.is_async() { "async def" } else { "def" };
        format!("{begin} {}({}) -> {result}", snake(&function.name), parameters.join(", "))
    }

    /// What a call gives: an error is raised.
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
            // Some calls are named `list`, which is then no type any more.
            TypeDefKind::List(of) => format!("List[{}]", self.name(of)),
            TypeDefKind::Tuple(tuple) => {
                format!("Tuple[{}]", tuple.types.iter().map(|ty| self.name(ty)).collect::<Vec<_>>().join(", "))
            }
            TypeDefKind::Result(result) => {
                format!("Result[{}, {}]", self.maybe(result.ok.as_ref()), self.maybe(result.err.as_ref()))
            }
            // Streams and futures have no types of their own in what componentize-py makes.
            _ => "Any".to_owned(),
        }
    }
}

/// A comment, as Python documents things.
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

fn snake(name: &str) -> String {
    /// The words of Python that are no names.
    #[rustfmt::skip]
    const KEYWORDS: [&str; 32] = [
        "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
        "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
        "or", "pass", "raise", "return", "try", "while", "with", "yield",
    ];
    let name = name.replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) { format!("{name}_") } else { name }
}

fn pascal(name: &str) -> String {
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
            ("chats", "\nasync def send(jid: str, message: types.Outgoing) -> str:\n"),
            ("chats", "\ndef get_many(jids: List[str]) -> List[Optional[types.Chat]]:\n"),
            ("chats", "    Permission: `messages.send`.\n"),
            ("rooms", "class ConfigValue_Flag:\n"),
            ("rooms", "ConfigValue = Union[ConfigValue_Flag, ConfigValue_Text, ConfigValue_Texts]\n"),
            ("rooms", "-> List[Result[types.Room, types.Error]]:"),
        ] {
            assert!(of(grouping).contains(part), "{part} is missing in\n{}", of(grouping));
        }
        assert!(stubs.iter().all(|(name, _)| name != "storage" && name != "guest"));
    }
}
