//! The contract as one plugin sees it, without the calls that it did not request.
//!
//! In some languages a component imports every function of its world, called or not. Plugins in these are built against
//! a world with only what their manifest requests, so that they import no more than that.

use parlor_plugins::manifest::Manifest;
use parlor_session::permissions::table;
use serde_json::{Map, Value};
use wit_component::{OutputToString, WitPrinter};
use wit_parser::{PackageId, Resolve, SourceMap, Type, TypeDefKind, WorldItem};

/// The name of a plugin's world.
pub(super) const WORLD: &str = "plugin";

/// The calls whose result is JSON in the contract, and a value of the language in its SDK.
pub(super) const GIVES_VALUES: [&str; 1] = ["get-attribute"];

/// The calls whose argument `value` is JSON in the contract, and a value of the language in its SDK.
pub(super) const TAKES_VALUES: [&str; 1] = ["set-attribute"];

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../wit/", $name, ".wit")))),*]
    };
}

/// The files in `wit/`, by name. A test fails if one is missing.
pub(super) const FILES: &[(&str, &str)] = files![
    "api",
    "archive",
    "chats",
    "chatviews",
    "commands",
    "connection",
    "contacts",
    "dialogs",
    "disco",
    "files",
    "guest",
    "hooks",
    "http",
    "iq",
    "listen",
    "log",
    "plugins",
    "promises",
    "pubsub",
    "rooms",
    "schedules",
    "settings",
    "storage",
    "timers",
    "tokens",
    "types",
    "user",
    "vcard",
    "webhooks",
    "world",
];

/// Returns the contract as WIT, without the functions whose permission the manifest does not request.
pub(super) fn of(manifest: &Manifest) -> Result<String, String> {
    let declared = |grouping: &str, function: &str| match table::call(grouping, function) {
        Some(call) => call.permission.is_none_or(|needed| manifest.permissions.contains_key(&needed)),
        // The functions that the host calls.
        None => true,
    };
    let (mut contract, package) = parsed()?;
    for (_, interface) in &mut contract.interfaces {
        let grouping = interface.name.clone().unwrap_or_default();
        interface.functions.retain(|function, _| declared(&grouping, function));
    }
    let interfaces = &contract.interfaces;
    for (_, world) in &mut contract.worlds {
        // An empty interface that others take types from is still included through them.
        world.imports.retain(|_, item| match item {
            WorldItem::Interface { id, .. } => !interfaces[*id].functions.is_empty(),
            WorldItem::Function(_) | WorldItem::Type { .. } => true,
        });
    }
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.print(&contract, package, &[]).map_err(|error| format!("{error:#}"))?;
    Ok(printer.output.to_string())
}

/// Returns the whole contract.
pub(super) fn whole() -> Resolve {
    parsed().expect("parlor's own contract, which bindings were made from").0
}

/// Returns the name of the record that an event with this payload carries. None: it carries a text, or nothing.
pub(super) fn record_of<'a>(contract: &'a Resolve, payload: &str) -> Option<&'a str> {
    let cases = contract.types.iter().find_map(|(_, ty)| match &ty.kind {
        TypeDefKind::Variant(variant) if ty.name.as_deref() == Some("payload") => Some(&variant.cases),
        _ => None,
    })?;
    match cases.iter().find(|case| case.name == payload)?.ty? {
        Type::Id(id) => contract.types[id].name.as_deref(),
        _ => None,
    }
}

fn parsed() -> Result<(Resolve, PackageId), String> {
    let mut sources = SourceMap::default();
    for (name, text) in FILES {
        sources.push_str(&format!("{name}.wit"), *text);
    }
    let group = sources.parse().map_err(|(_, error)| error.to_string())?;
    let mut contract = Resolve::default();
    let package = contract.push_group(group).map_err(|error| error.to_string())?;
    Ok((contract, package))
}

/// Returns the permission of each call that needs one, by the call's name in a language. If a plugin does not request
/// it, the call does not exist, and only the SDK can tell what is missing.
pub(super) fn needs(spelled: impl Fn(&str) -> String) -> Value {
    let needs = table::CALLS.iter().filter_map(|call| {
        let name = format!("{}.{}", spelled(call.grouping), spelled(call.function));
        call.permission.map(|permission| (name, Value::from(permission.to_string())))
    });
    Value::Object(needs.collect::<Map<_, _>>())
}

/// The arguments that name a person by the real JID, and no occupant by the address in the room.
const PEOPLE: [&str; 2] = ["inviter", "user"];

/// The thing that a JID from a plugin is the address of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressed {
    Entity,
    Person,
}

/// Returns what an argument or field is the address of. None: it is neither a JID nor a list of JIDs.
pub(super) fn addressed(contract: &Resolve, name: &str, ty: &Type) -> Option<Addressed> {
    let Type::Id(id) = ty else { return None };
    let of = &contract.types[*id];
    match &of.kind {
        _ if of.name.as_deref() == Some("jid") => {
            Some(if PEOPLE.contains(&name) { Addressed::Person } else { Addressed::Entity })
        }
        TypeDefKind::Type(of) | TypeDefKind::Option(of) | TypeDefKind::List(of) => addressed(contract, name, of),
        _ => None,
    }
}

/// Returns the kind of a type, resolving aliases; `None` for WIT's built-in types.
pub(super) fn kind<'c>(contract: &'c Resolve, ty: &Type) -> Option<&'c TypeDefKind> {
    let Type::Id(id) = ty else { return None };
    match &contract.types[*id].kind {
        TypeDefKind::Type(of @ Type::Id(_)) => kind(contract, of),
        kind => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(permissions: &str) -> Manifest {
        let text = format!(
            "[plugin]\nname = \"p\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"d\"\n[permissions]\n{permissions}"
        );
        Manifest::parse(&text).unwrap()
    }

    #[test]
    fn every_file_of_the_contract_is_there() {
        let mut names: Vec<_> = std::fs::read_dir("../../wit").unwrap().map(|file| file.unwrap().path()).collect();
        names.sort();
        let names: Vec<_> = names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_is_asked_for_and_what_is_free_is_left() {
        let wit = of(&manifest("\"messages.send\" = { scope = [\"*\"], reason = \"r\" }\n")).unwrap();
        assert!(wit.contains("send: async func(jid: jid, message: outgoing)"), "{wit}");
        assert!(wit.contains("wait-until"), "it is free");
        for gone in ["open-many", "query-all", "send-iq", "compare-and-set"] {
            assert!(!wit.contains(&format!("  {gone}:")), "{gone} is still there");
        }
        assert!(!wit.contains("import tokens;"), "an empty grouping is still imported");
        assert!(wit.contains("export guest;"));
    }

    #[test]
    fn what_is_left_is_a_contract_for_every_permission() {
        for permission in parlor_base::permission::Permission::ALL {
            let scope = match permission.scope_kind() {
                parlor_base::permission::ScopeKind::None => "true",
                parlor_base::permission::ScopeKind::Quota => "[\"1 MiB\"]",
                parlor_base::permission::ScopeKind::Stanzas => "[\"message\"]",
                parlor_base::permission::ScopeKind::Namespaces => "[\"urn:example:weather\"]",
                _ => "[\"*\"]",
            };
            let wit = of(&manifest(&format!("\"{permission}\" = {{ scope = {scope}, reason = \"r\" }}\n"))).unwrap();
            let mut contract = Resolve::default();
            contract.push_str("plugin.wit", &wit).unwrap_or_else(|error| panic!("{permission}: {error}\n{wit}"));
        }
    }
}
