//! What a plugin may leave out of what it gives to a call, and what stands for it: no text for an option, `false`, an empty list.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use wit_parser::{Function, Resolve, Type, TypeDefKind, TypeId};

use super::super::contract::kind;
use super::types::camel;

/// The SDK's line that the table goes into.
const PLACE: &str = "const ARGUMENTS = {};";

/// The SDK, with what stands for what is left out of the arguments of each call that is in a plugin's contract.
pub(super) fn into_sdk(sdk: &str, wit: &str) -> Result<String, String> {
    let mut contract = Resolve::default();
    contract.push_str("plugin.wit", wit).map_err(|error| format!("{error:#}"))?;
    Ok(sdk.replacen(PLACE, &format!("const ARGUMENTS = {};", table(&contract)), 1))
}

/// For each call from which something may be left out: a shape for each argument, `null` where nothing stands for it but none.
fn table(contract: &Resolve) -> Value {
    let mut table = Map::new();
    for (_, interface) in contract.interfaces.iter().filter(|(_, interface)| interface.name.as_deref() != Some("guest"))
    {
        for function in interface.functions.values() {
            let may_lack = |ty: &Type| may_be_left_out(contract, ty) || fields(contract, ty).is_some();
            if function.params.iter().any(|one| may_lack(&one.ty)) {
                let shapes = function.params.iter().map(|one| match shape(contract, &one.ty) {
                    // A call for nobody in particular is one that its author did not mean.
                    list if list.is_array() || list.get("list").is_some() => Value::Null,
                    shape => shape,
                });
                let name =
                    format!("{}.{}", camel(interface.name.as_deref().unwrap_or_default()), camel(&function.name));
                table.insert(name, shapes.collect());
            }
        }
    }
    Value::Object(table)
}

/// What stands for a value of this type; `null` also where nothing does.
fn shape(contract: &Resolve, ty: &Type) -> Value {
    match kind(contract, ty) {
        None if *ty == Type::Bool => json!(false),
        Some(TypeDefKind::List(of)) => {
            let fields = fields(contract, of).filter(|fields| !fields.is_empty());
            fields.map_or(json!([]), |fields| json!({ "list": { "record": fields } }))
        }
        Some(TypeDefKind::Option(of)) => fields(contract, of).map_or(Value::Null, |fields| json!({ "option": fields })),
        Some(TypeDefKind::Record(_)) => fields(contract, ty).map_or(Value::Null, |fields| json!({ "record": fields })),
        _ => Value::Null,
    }
}

/// The shapes of the fields that a record may lack; none where it is no record.
fn fields(contract: &Resolve, ty: &Type) -> Option<Map<String, Value>> {
    let Some(TypeDefKind::Record(record)) = kind(contract, ty) else { return None };
    let left_out = record.fields.iter().filter(|field| has_default(contract, &field.ty));
    Some(left_out.map(|field| (camel(&field.name), shape(contract, &field.ty))).collect())
}

/// Whether a record may lack a field of this type.
pub(super) fn has_default(contract: &Resolve, ty: &Type) -> bool {
    *ty == Type::Bool || matches!(kind(contract, ty), Some(TypeDefKind::Option(_) | TypeDefKind::List(_)))
}

/// Whether a call may lack an argument of this type: as above, but no list, and a record of which all may be left out. One of
/// options alone would then say nothing at all.
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

/// Who writes which types: plugins in arguments, or the host in results and events.
pub(super) struct Given {
    by_plugin: BTreeSet<TypeId>,
    by_host: BTreeSet<TypeId>,
}

impl Given {
    pub(super) fn of(contract: &Resolve) -> Self {
        let (mut by_plugin, mut by_host) = (BTreeSet::new(), BTreeSet::new());
        for (_, interface) in &contract.interfaces {
            // What a guest is called with is the host's.
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

    /// From which argument on all may be left out.
    pub(super) fn first_left_out(contract: &Resolve, function: &Function) -> usize {
        let needed = function.params.iter().rposition(|one| !may_be_left_out(contract, &one.ty));
        needed.map_or(0, |last| last + 1)
    }
}

/// Notes a type and all that it is made of.
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
    fn what_may_be_left_out_has_something_that_stands_for_it() {
        let table = table(&contract::whole());
        let attributes = &table["rooms.open"][1]["record"];
        assert_eq!((&attributes["nick"], &attributes["autoConfigure"]), (&Value::Null, &json!(false)));
        assert_eq!((&attributes["roomconfig"], &attributes["history"]["option"]["since"]), (&json!([]), &Value::Null));
        assert_eq!(table["rooms.kick"], json!([null, null, null]));
        assert_eq!(table["vcard.get"], json!([null, false]));
        assert_eq!(table["rooms.setBookmark"][0]["record"]["autojoin"], json!(false));
        assert!(table["chats.send"][1]["record"]["extensions"]["option"]["reactions"]["option"]["emojis"].is_array());
        let extensions = &table["chats.send"][1]["record"]["extensions"]["option"];
        assert_eq!(extensions["fallback"]["list"]["record"].as_object().map(Map::len), Some(2), "its parts, too");
        assert!(table.get("rooms.closeMany").is_none(), "closing all rooms is said, and not left out");
    }

    #[test]
    fn the_sdk_has_the_place_for_it() {
        let asks = "[permissions]\n\"rooms.join\" = { scope = [\"*\"], reason = \"to enter them\" }\n";
        let plugin = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n";
        let wit = contract::of(&format!("{plugin}{asks}").parse().unwrap()).unwrap();
        let sdk = into_sdk(SDK, &wit).unwrap();
        assert!(sdk.contains("\"rooms.open\":[null,{\"record\":{"));
        assert!(!sdk.contains("\"rooms.kick\":["), "no more than the plugin may call");
        assert_eq!(sdk.lines().count(), SDK.lines().count(), "lines in stacks stay what they are");
    }
}
