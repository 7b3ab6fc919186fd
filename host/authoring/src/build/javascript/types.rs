//! Declares the contract in TypeScript, for editors: generated from `wit/`, with its comments.

use std::fmt::Write as _;

use parlor_session::permissions::table;
use wit_parser::{Docs, Function, Interface, Resolve, Type, TypeDefKind, TypeId};

use super::super::contract::Addressed;
use super::arguments::{Given, has_default};
use super::{contract, texts};

/// A note on streams and futures in terms of JavaScript.
const STREAMED: &str =
    "Here it is read by `for await`: the error that ended it is thrown, and who leaves the loop ends it.";

/// The type that the SDK accepts as an address.
const ADDRESS: &str = "/** An address, or what has one: a contact, chat, view or room stands for its JID, an occupant for its \
                       address in the room. */\nexport type Address = Jid | { jid: Jid } | { room: Jid; nick: string };\n\
                       /** A person's JID, or what has one. An occupant stands for the real JID; where the room does not show it, \
                       the call is `Invalid`. */\nexport type Person = Jid | { jid: Jid | null };\n";

/// The members that the SDK adds to a record.
const ADDED: [(&str, &str); 1] = [(
    "contact",
    "  /** One attribute by its older name, such as `chat_status`; undefined: there is none, or it has no value. */\n  \
     get(name: string): any;\n",
)];

/// The plain values that the SDK accepts for these types of the contract.
const PLAIN: [(&str, &str); 1] = [("config-value", "boolean | string | number | string[]")];

/// Fields with a time, and their types. The SDK writes a `Date` as a text.
const TIMES: [(&str, &str); 3] = [("start", "string | null"), ("end", "string | null"), ("since", "DateTime | null")];

/// Further overloads of calls in the SDK.
const OVERLOADS: [(&str, &str, &str); 1] = [("settings", "set", "set(values: Record<string, unknown>): Promise<void>")];

/// Generates the file `contract.d.ts`.
pub(super) fn of_contract() -> String {
    let contract = contract::whole();
    let mut out = String::from(
        "// The contract of parlor, made from `wit/`; a change here is lost.\nimport type { Element } from \"./parlor.js\";\n",
    );
    let mut groupings: Vec<&Interface> = contract.interfaces.iter().map(|(_, interface)| interface).collect();
    groupings.sort_by_key(|interface| interface.name.clone());
    let file = File { contract: &contract, given: Given::of(&contract) };
    // The SDK declares all but the last itself, which the host calls.
    groupings.retain(|interface| {
        let name = interface.name.as_deref().unwrap_or_default();
        !["dialogs", "files", "hooks", "http", "log", "plugins", "schedules", "storage", "timers", "webhooks", "guest"]
            .contains(&name)
    });
    for few in texts::ALL {
        let values: Vec<_> = few.values.iter().map(|value| format!("{value:?}")).collect();
        let _ = writeln!(out, "export type {} = {};", few.name, values.join(" | "));
    }
    out.push_str(ADDRESS);
    for interface in &groupings {
        for id in interface.types.values() {
            file.declare(&mut out, *id);
        }
    }
    for interface in groupings {
        let name = interface.name.as_deref().unwrap_or_default();
        if interface.functions.is_empty() {
            continue;
        }
        comment(&mut out, "", &interface.docs, &[]);
        let _ = writeln!(out, "export const {}: {{", camel(name));
        for function in interface.functions.values() {
            let needs = table::call(name, &function.name).and_then(|call| call.permission);
            let needs = needs.map(|needs| format!("Permission: `{needs}`."));
            let streamed = file.streamed(function).map(|_| STREAMED.to_owned());
            let more: Vec<_> = [streamed, needs].into_iter().flatten().collect();
            comment(&mut out, "  ", &function.docs, &more);
            let _ = writeln!(out, "  {};", file.signature(name, function));
            let other = OVERLOADS.iter().find(|(of, call, _)| (*of, *call) == (name, &function.name));
            if let Some((.., other)) = other {
                let _ = writeln!(out, "  {other};");
            }
        }
        out.push_str("};\n");
    }
    out.push_str("/** What each event of the host carries. */\nexport interface Events {\n");
    for event in table::EVENTS {
        let carries = match event.payload {
            "none" => "null".to_owned(),
            "json" => "any".to_owned(),
            payload => contract::record_of(file.contract, payload).map_or_else(|| "string".to_owned(), pascal),
        };
        let _ = writeln!(out, "  {:?}: {carries};", event.name);
    }
    out.push_str("}\n");
    out
}

struct File<'c> {
    contract: &'c Resolve,
    given: Given,
}

/// The side of a call on which a type is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The plugin creates the value, and may omit fields that have a default.
    Argument,
    /// The host creates the value, with all fields.
    Result,
}

impl File<'_> {
    fn declare(&self, out: &mut String, id: TypeId) {
        let ty = &self.contract.types[id];
        let Some(name) = ty.name.as_deref().map(type_name) else { return };
        match &ty.kind {
            // It is declared under its own name, in the interface that it comes from.
            TypeDefKind::Type(Type::Id(_)) => {}
            TypeDefKind::Record(record) => {
                let mut write = |side: Side| {
                    comment(out, "", &ty.docs, &[]);
                    let _ = writeln!(out, "export interface {} {{", self.name(&Type::Id(id), side));
                    for field in &record.fields {
                        comment(out, "  ", &field.docs, &[]);
                        let may_lack = side == Side::Argument && has_default(self.contract, &field.ty);
                        let mark = if may_lack { "?" } else { "" };
                        let few = texts::of(ty.name.as_deref().unwrap_or_default(), &field.name);
                        let of = few.map_or_else(|| self.name(&field.ty, side), |few| few.name.to_owned());
                        let may_be_date = side == Side::Argument && TIMES.contains(&(field.name.as_str(), of.as_str()));
                        let date = if may_be_date { "Date | " } else { "" };
                        let _ = writeln!(out, "  {}{mark}: {date}{of};", camel(&field.name));
                    }
                    out.extend(ADDED.iter().filter(|(of, _)| Some(*of) == ty.name.as_deref()).map(|(_, more)| *more));
                    out.push_str("}\n");
                };
                if self.given.by_host(id) || !self.given.by_plugin(id) {
                    write(Side::Result);
                }
                if self.given.by_plugin(id) {
                    write(Side::Argument);
                }
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| match &case.ty {
                    Some(ty) => format!("{{ tag: {:?}; val: {} }}", case.name, self.name(ty, Side::Result)),
                    None => format!("{{ tag: {:?} }}", case.name),
                });
                comment(out, "", &ty.docs, &[]);
                let plain = PLAIN.iter().filter(|(of, _)| Some(*of) == ty.name.as_deref());
                let cases: Vec<_> = cases.chain(plain.map(|(_, plain)| (*plain).to_owned())).collect();
                let _ = writeln!(out, "export type {name} = {};", cases.join(" | "));
            }
            _ => {
                comment(out, "", &ty.docs, &[]);
                let _ = writeln!(out, "export type {name} = {};", self.kind(&ty.kind, Side::Result));
            }
        }
    }

    fn signature(&self, grouping: &str, function: &Function) -> String {
        let first_left_out = Given::first_left_out(self.contract, function);
        let parameters = function.params.iter().enumerate().map(|(index, one)| {
            let mark = if index >= first_left_out { "?" } else { "" };
            let of = match (&*one.name, texts::of(grouping, &one.name)) {
                (_, Some(few)) => few.name.to_owned(),
                ("value", None) if contract::TAKES_VALUES.contains(&function.name.as_str()) => "unknown".to_owned(),
                // A text in place of a room's attributes is a nickname.
                ("attributes", None) => format!("{} | string", self.name(&one.ty, Side::Argument)),
                // The SDK writes an element as XML.
                ("xml" | "iq" | "stanza", None) => {
                    self.name(&one.ty, Side::Argument).replace("string", "string | Element")
                }
                (_, None) if contract::addressed(self.contract, &one.name, &one.ty) == Some(Addressed::Person) => {
                    self.name(&one.ty, Side::Argument).replace("Address", "Person")
                }
                (_, None) => self.name(&one.ty, Side::Argument),
            };
            format!("{}{mark}: {of}", camel(&one.name))
        });
        let parameters: Vec<_> = parameters.collect();
        let result = || match &function.result {
            _ if contract::GIVES_VALUES.contains(&function.name.as_str()) => "any".to_owned(),
            result => result.as_ref().map_or("void".to_owned(), |result| self.result(result)),
        };
        let result = match self.streamed(function) {
            Some(of) => format!("AsyncIterable<{of}>"),
            None if function.kind.is_async() => format!("Promise<{}>", result()),
            None => result(),
        };
        format!("{}({}): {result}", camel(&function.name), parameters.join(", "))
    }

    /// Returns the result type of a call, whose error is thrown.
    fn result(&self, ty: &Type) -> String {
        if let Type::Id(id) = ty
            && let TypeDefKind::Result(result) = &self.contract.types[*id].kind
        {
            return result.ok.as_ref().map_or("void".to_owned(), |ok| self.name(ok, Side::Result));
        }
        self.name(ty, Side::Result)
    }

    /// Returns the item type of a call that returns a stream and a future for its end, which the SDK combines.
    fn streamed(&self, function: &Function) -> Option<String> {
        let kind = |ty| contract::kind(self.contract, ty);
        let Some(TypeDefKind::Result(result)) = kind(function.result.as_ref()?) else { return None };
        let Some(TypeDefKind::Tuple(pair)) = kind(result.ok.as_ref()?) else { return None };
        let Some(TypeDefKind::Stream(Some(of))) = kind(pair.types.first()?) else { return None };
        Some(self.name(of, Side::Result))
    }

    /// Returns whether the type is a pair of a name and a value.
    fn is_pair(&self, ty: &Type) -> bool {
        let Some(TypeDefKind::Tuple(tuple)) = contract::kind(self.contract, ty) else { return false };
        matches!(tuple.types.as_slice(), [Type::String, _])
    }

    fn name(&self, ty: &Type, side: Side) -> String {
        match ty {
            Type::Bool => "boolean".to_owned(),
            Type::Char | Type::String => "string".to_owned(),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => {
                "number".to_owned()
            }
            Type::F32 | Type::F64 => "number".to_owned(),
            Type::ErrorContext => "unknown".to_owned(),
            Type::Id(id) => {
                let ty = &self.contract.types[*id];
                match (&ty.kind, &ty.name) {
                    // An entity may replace its address.
                    (_, Some(name)) if side == Side::Argument && name == "jid" => "Address".to_owned(),
                    // This is an alias.
                    (TypeDefKind::Type(of), _) if matches!(of, Type::Id(_)) => self.name(of, side),
                    // A record that both sides create has a separate type for arguments, since the host's has all
                    // fields.
                    (TypeDefKind::Record(_), Some(name)) if side == Side::Argument && self.given.by_host(*id) => {
                        format!("{}Argument", type_name(name))
                    }
                    (_, Some(name)) => type_name(name),
                    (kind, None) => self.kind(kind, side),
                }
            }
        }
    }

    fn kind(&self, kind: &TypeDefKind, side: Side) -> String {
        let maybe = |ty: &Option<Type>| ty.as_ref().map_or("undefined".to_owned(), |ty| self.name(ty, side));
        match kind {
            TypeDefKind::Option(of) => format!("{} | null", self.name(of, side)),
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            // A map may replace a list of pairs.
            TypeDefKind::List(of) if side == Side::Argument && self.is_pair(of) => {
                let pair = self.name(of, side);
                let value = pair.trim_end_matches(']').rsplit(", ").next().unwrap_or_default();
                let value = if value == "Json" { "unknown" } else { value };
                format!("({pair})[] | Record<string, {value}>")
            }
            TypeDefKind::List(of) => match self.name(of, side) {
                name if name.contains(' ') => format!("({name})[]"),
                name => format!("{name}[]"),
            },
            TypeDefKind::Tuple(tuple) => {
                format!("[{}]", tuple.types.iter().map(|ty| self.name(ty, side)).collect::<Vec<_>>().join(", "))
            }
            TypeDefKind::Result(result) => {
                format!(
                    "{{ tag: \"ok\"; val: {} }} | {{ tag: \"err\"; val: {} }}",
                    maybe(&result.ok),
                    maybe(&result.err)
                )
            }
            TypeDefKind::Enum(names) => {
                names.cases.iter().map(|case| format!("{:?}", case.name)).collect::<Vec<_>>().join(" | ")
            }
            TypeDefKind::Type(of) => self.name(of, side),
            // The contract has no other kinds, except for streams, which the SDK reads.
            _ => "unknown".to_owned(),
        }
    }
}

fn comment(out: &mut String, indent: &str, docs: &Docs, more: &[String]) {
    let text = docs.contents.as_deref().unwrap_or_default();
    let lines: Vec<&str> = text.lines().chain(more.iter().map(String::as_str)).map(str::trim_end).collect();
    let _ = match lines.as_slice() {
        [] => Ok(()),
        [line] => writeln!(out, "{indent}/** {line} */"),
        lines => {
            let _ = writeln!(out, "{indent}/**");
            for line in lines {
                let _ = writeln!(out, "{}", format!("{indent} * {line}").trim_end());
            }
            writeln!(out, "{indent} */")
        }
    };
}

/// Returns the name of a type. The kinds of messages have the word `Kind` for themselves.
fn type_name(name: &str) -> String {
    if name == "kind" { "ArgumentKind".to_owned() } else { pascal(name) }
}

fn pascal(name: &str) -> String {
    name.split('-').map(capital).collect()
}

pub(super) fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let mut letters = pascal.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_declared_as_typescript_has_it() {
        let text = of_contract();
        for part in [
            "export interface Message {",
            "  stanzaId: string | null;",
            "  send(jid: Address, message: Outgoing): Promise<string>;",
            "  getMany(jids: Address[]): (Chat | null)[];",
            "export type ConfigValue = { tag: \"flag\"; val: boolean } | { tag: \"text\"; val: string }",
            " | boolean | string | number | string[];",
            "  get(name: string): any;",
            "  update(values: ([string, Json])[] | Record<string, unknown>): Promise<void>;",
            "  set(values: Record<string, unknown>): Promise<void>;",
            "  \"message\": Message;",
            "   * Permission: `messages.send`.",
            "  open(jid: Address, attributes?: Attributes | string): Promise<Room>;",
            "export type Role = \"none\" | \"visitor\" | \"participant\" | \"moderator\";",
            "  affiliation: Affiliation;",
            "  setRole(jid: Address, nick: string, role: Role, reason?: string | null): Promise<void>;",
            "  autoConfigure?: boolean;",
            "  roomconfig?: ([string, ConfigValue])[] | Record<string, ConfigValue>;",
            "  setBookmark(bookmark: BookmarkArgument): Promise<void>;",
            "  ban(jid: Address, user: Person, reason?: string | null): Promise<void>;",
            "  destroy(jid: Address, reason?: string | null, alternative?: Address | null): Promise<void>;",
            "  with?: Address | null;",
            "  start?: Date | string | null;",
            "  since?: Date | DateTime | null;",
            "  sendIq(iq: string | Element): Promise<string>;",
            "  answer(id: string, xml?: string | Element | null): Promise<void>;",
            "  publish(service: Address, node: string, xml: string | Element, id?: string | null, options?: ",
            "  kick(jid: Address, nick: string, reason?: string | null): Promise<void>;",
            "  getAttribute(jid: Address, name: string): any;",
            "  setAttribute(jid: Address, name: string, value: unknown): Promise<void>;",
            "  closeMany(jids: Address[]): ",
            "): AsyncIterable<ArchivedMessage>;",
            "export type ArgumentKind = { tag: \"text\" } | { tag: \"integer\"; val: [number, number] }",
            "  kind: ArgumentKind;",
            "  values: ([string, Value])[];",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let bookmark = |name: &str| {
            let (_, fields) = text.split_once(&format!("interface {name} {{")).unwrap();
            fields.split_once("\n}").unwrap().0.contains("autojoin: boolean")
        };
        assert!(bookmark("Bookmark") && !bookmark("BookmarkArgument"), "what the host gives is whole");
        let names = text.lines().filter(|line| line.starts_with("export "));
        let names: Vec<_> = names.filter_map(|line| line.split_whitespace().nth(2)).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "two of one name: {names:?}");
    }
}
