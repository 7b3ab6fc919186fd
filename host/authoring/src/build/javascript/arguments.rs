//! The types of the arguments of a plugin's calls. With them the SDK detects wrong arguments, for which the runtime
//! would end the plugin, and fills in omitted ones: nothing for an option, `false`, an empty list.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use wit_parser::{Function, Resolve, Type, TypeDefKind, TypeId};

use super::super::contract::{Addressed, addressed, kind, needs};
use super::types::camel;

/// The SDK's line that the table replaces.
const PLACE: &str = "const ARGUMENTS = {};";

/// The line for the calls that return a promise.
const AWAITED: &str = "const AWAITED = [];";

/// The line for the permissions of calls that a plugin may not make.
const NEEDS: &str = "const NEEDS = {};";

/// Returns the SDK with the argument types of each call in a plugin's contract, and the permissions of all other calls.
pub(super) fn into_sdk(sdk: &str, wit: &str) -> Result<String, String> {
    let mut contract = Resolve::default();
    contract.push_str("plugin.wit", wit).map_err(|error| format!("{error:#}"))?;
    let sdk = sdk.replacen(PLACE, &format!("const ARGUMENTS = {};", table(&contract)), 1);
    let sdk = sdk.replacen(AWAITED, &format!("const AWAITED = {};", awaited(&contract)), 1);
    Ok(sdk.replacen(NEEDS, &format!("const NEEDS = {};", needs(camel)), 1))
}

/// Returns the names of the async calls.
fn awaited(contract: &Resolve) -> Value {
    let interfaces = contract.interfaces.iter().filter_map(|(_, one)| Some((camel(one.name.as_deref()?), one)));
    let calls = interfaces.flat_map(|(name, one)| {
        let waiting = one.functions.values().filter(|function| function.kind.is_async());
        waiting.map(move |function| Value::from(format!("{name}.{}", camel(&function.name))))
    });
    calls.collect()
}

/// Returns the names and types of each call's arguments.
fn table(contract: &Resolve) -> Value {
    let mut table = Map::new();
    for (_, interface) in contract.interfaces.iter().filter(|(_, interface)| interface.name.as_deref() != Some("guest"))
    {
        for function in interface.functions.values() {
            let arguments =
                function.params.iter().map(|one| json!([camel(&one.name), wanted(contract, &one.name, &one.ty)]));
            let name = format!("{}.{}", camel(interface.name.as_deref().unwrap_or_default()), camel(&function.name));
            table.insert(name, arguments.collect());
        }
    }
    Value::Object(table)
}

/// Returns the type of the value of this name: a kind that the SDK knows, and its parts.
fn wanted(contract: &Resolve, name: &str, ty: &Type) -> Value {
    let part = |of: &Type| wanted(contract, name, of);
    let named =
        |name: &str, ty: &Option<Type>| (name.to_owned(), ty.map_or(Value::Null, |ty| wanted(contract, name, &ty)));
    match (kind(contract, ty), ty) {
        (Some(TypeDefKind::Type(_)), _) if addressed(contract, name, ty) == Some(Addressed::Entity) => {
            json!(["address"])
        }
        (Some(TypeDefKind::Type(_)), _) if addressed(contract, name, ty) == Some(Addressed::Person) => {
            json!(["person"])
        }
        (Some(TypeDefKind::Type(plain)), _) | (None, plain) => match plain {
            Type::String | Type::Char => json!(["text"]),
            Type::Bool => json!(["flag"]),
            Type::U8 => json!(["number", u8::MAX]),
            Type::U16 => json!(["number", u16::MAX]),
            Type::U32 => json!(["number", u32::MAX]),
            // JavaScript numbers are exact only below this maximum.
            Type::U64 => json!(["number"]),
            _ => json!(["any"]),
        },
        (Some(TypeDefKind::List(Type::U8)), _) => json!(["bytes"]),
        (Some(TypeDefKind::List(of)), _) => json!(["list", part(of)]),
        (Some(TypeDefKind::Option(of)), _) => json!(["option", part(of)]),
        (Some(TypeDefKind::Tuple(tuple)), _) => {
            json!(["tuple", tuple.types.iter().map(part).collect::<Vec<_>>()])
        }
        (Some(TypeDefKind::Record(record)), _) => {
            let fields =
                record.fields.iter().map(|field| (camel(&field.name), wanted(contract, &field.name, &field.ty)));
            json!(["record", fields.collect::<Map<_, _>>()])
        }
        (Some(TypeDefKind::Variant(variant)), _) => {
            json!(["variant", variant.cases.iter().map(|case| named(&case.name, &case.ty)).collect::<Map<_, _>>()])
        }
        _ => json!(["any"]),
    }
}

/// Returns whether a field of this type may be omitted from a record.
pub(super) fn has_default(contract: &Resolve, ty: &Type) -> bool {
    *ty == Type::Bool || matches!(kind(contract, ty), Some(TypeDefKind::Option(_) | TypeDefKind::List(_)))
}

/// Returns whether an argument of this type may be omitted from a call. Unlike for fields, lists may not be, and
/// records may if all of their fields may be. A record of options alone may not: omitting it would say nothing at all.
fn may_be_left_out(contract: &Resolve, ty: &Type) -> bool {
    match kind(contract, ty) {
        Some(TypeDefKind::List(_)) => false,
        Some(TypeDefKind::Record(record)) => {
            let is_option = |ty: &Type| matches!(kind(contract, ty), Some(TypeDefKind::Option(_)));
            record.fields.iter().all(|field| has_default(contract, &field.ty))
                && !record.fields.iter().all(|field| is_option(&field.ty))
        }
        _ => has_default(contract, ty),
    }
}

/// The types that plugins create, in arguments, and those that the host creates, in results and events.
pub(super) struct Given {
    by_plugin: BTreeSet<TypeId>,
    by_host: BTreeSet<TypeId>,
}

impl Given {
    pub(super) fn of(contract: &Resolve) -> Self {
        let (mut by_plugin, mut by_host) = (BTreeSet::new(), BTreeSet::new());
        for (_, interface) in &contract.interfaces {
            // The arguments of the guest's functions come from the host.
            let arguments = if interface.name.as_deref() == Some("guest") { &mut by_host } else { &mut by_plugin };
            let functions = interface.functions.values();
            functions.flat_map(|function| &function.params).for_each(|one| reach(contract, &one.ty, arguments));
            let results = interface.functions.values().filter_map(|function| function.result.as_ref());
            results.for_each(|ty| reach(contract, ty, &mut by_host));
        }
        Self { by_plugin, by_host }
    }

    pub(super) fn by_plugin(&self, id: TypeId) -> bool {
        self.by_plugin.contains(&id)
    }

    pub(super) fn by_host(&self, id: TypeId) -> bool {
        self.by_host.contains(&id)
    }

    /// Returns the index of the first argument after the last required one.
    pub(super) fn first_left_out(contract: &Resolve, function: &Function) -> usize {
        let needed = function.params.iter().rposition(|one| !may_be_left_out(contract, &one.ty));
        needed.map_or(0, |last| last + 1)
    }
}

/// Collects a type and all types that it contains.
fn reach(contract: &Resolve, ty: &Type, found: &mut BTreeSet<TypeId>) {
    let Type::Id(id) = ty else { return };
    if !found.insert(*id) {
        return;
    }
    let mut inner: Vec<Option<Type>> = Vec::new();
    match &contract.types[*id].kind {
        TypeDefKind::Record(record) => inner.extend(record.fields.iter().map(|field| Some(field.ty))),
        TypeDefKind::Variant(variant) => inner.extend(variant.cases.iter().map(|case| case.ty)),
        TypeDefKind::Tuple(tuple) => inner.extend(tuple.types.iter().copied().map(Some)),
        TypeDefKind::Result(result) => inner.extend([result.ok, result.err]),
        TypeDefKind::Option(of) | TypeDefKind::List(of) | TypeDefKind::Type(of) => inner.push(Some(*of)),
        TypeDefKind::Stream(of) | TypeDefKind::Future(of) => inner.push(*of),
        _ => {}
    }
    inner.into_iter().flatten().for_each(|ty| reach(contract, &ty, found));
}

#[cfg(test)]
mod tests {
    use super::super::{SDK, contract};
    use super::*;

    #[test]
    fn each_argument_has_its_name_and_its_kind() {
        let table = table(&contract::whole());
        assert_eq!(table["rooms.open"][0], json!(["jid", ["address"]]));
        assert_eq!(table["rooms.getMany"][0], json!(["jids", ["list", ["address"]]]));
        assert_eq!(
            (&table["rooms.ban"][1], &table["rooms.ban"][0][1]),
            (&json!(["user", ["person"]]), &json!(["address"]))
        );
        assert_eq!(table["archive.query"][0][1][1]["with"], json!(["option", ["address"]]));
        let attributes = &table["rooms.open"][1][1][1];
        assert_eq!(
            (&attributes["nick"], &attributes["autoConfigure"]),
            (&json!(["option", ["text"]]), &json!(["flag"]))
        );
        let value = json!(["variant", { "flag": ["flag"], "text": ["text"], "texts": ["list", ["text"]] }]);
        assert_eq!(attributes["roomconfig"], json!(["list", ["tuple", [["text"], value]]]));
        assert_eq!(attributes["history"][1][1]["maxStanzas"], json!(["option", ["number", u32::MAX]]));
        assert_eq!(table["storage.set"][1], json!(["value", ["bytes"]]));
        assert_eq!(table["vcard.get"][1], json!(["force", ["flag"]]));
        let extensions = &table["chats.send"][1][1][1]["extensions"][1][1];
        assert_eq!(table["timers.sleep"][0], json!(["milliseconds", ["number"]]));
        let number = json!(["number", u32::MAX]);
        let part = json!(["option", ["tuple", [number, number]]]);
        assert_eq!(
            extensions["fallback"],
            json!(["list", ["record", { "feature": ["option", ["text"]], "part": part }]])
        );
    }

    #[test]
    fn the_sdk_has_the_place_for_it() {
        let asks = "[permissions]\n\"rooms.join\" = { scope = [\"*\"], reason = \"to enter them\" }\n";
        let plugin = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n";
        let wit = contract::of(&format!("{plugin}{asks}").parse().unwrap()).unwrap();
        let sdk = into_sdk(SDK, &wit).unwrap();
        assert!(sdk.contains("\"rooms.open\":[[\"jid\",[\"address\"]],[\"attributes\",[\"record\",{"));
        assert!(!sdk.contains("\"rooms.kick\":["), "no more than the plugin may call");
        assert!(sdk.contains("\"rooms.kick\":\"rooms.moderate\""), "what it may not call, and why");
        assert!(!sdk.contains("\"api.emit\":\""), "it is free");
        let awaited = sdk.split_once("const AWAITED = [").and_then(|(_, rest)| rest.split_once("];")).unwrap().0;
        assert!(awaited.contains("\"rooms.open\"") && !awaited.contains("\"user.bareJid\""), "{awaited}");
        assert_eq!(sdk.lines().count(), SDK.lines().count(), "lines in stacks stay what they are");
    }
}
