//! Reads every argument of every call from the contract itself.

use std::collections::BTreeSet;
use std::path::Path;

use wit_parser::{Resolve, Type, TypeDefKind, WorldItem};

/// An argument: the call, and the path by which an error must name it, such as `message.extensions.reply.id`.
pub(super) type Argument = (String, String);

/// Returns every argument that can be invalid: fields of records one by one, a list as a whole. Calls without an error
/// result are left out, and so are booleans and enumerations, which cannot be invalid.
pub(super) fn arguments() -> BTreeSet<Argument> {
    let mut contract = Resolve::default();
    contract.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap();
    let (_, world) = contract.worlds.iter().find(|(_, world)| world.name == "plugin").unwrap();
    let mut found = BTreeSet::new();
    for item in world.imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &contract.interfaces[*id];
        let grouping = interface.name.as_deref().unwrap();
        for function in interface.functions.values().filter(|one| one.result.is_some_and(|it| fails(&contract, it))) {
            let call = format!("{grouping}.{}", function.name);
            for one in &function.params {
                fields(&contract, one.ty, &one.name, &mut |path| found.insert((call.clone(), path)));
            }
        }
    }
    assert!(found.len() > 100, "the contract was read: {} arguments", found.len());
    found
}

fn fails(contract: &Resolve, ty: Type) -> bool {
    matches!(ty, Type::Id(id) if matches!(contract.types[id].kind, TypeDefKind::Result(_)))
}

fn fields(contract: &Resolve, ty: Type, path: &str, note: &mut impl FnMut(String) -> bool) {
    let kind = match ty {
        Type::Bool => return,
        Type::Id(id) => &contract.types[id].kind,
        _ => {
            note(path.to_owned());
            return;
        }
    };
    match kind {
        TypeDefKind::Enum(_) => {}
        TypeDefKind::Type(ty) | TypeDefKind::Option(ty) => fields(contract, *ty, path, note),
        TypeDefKind::Record(record) => {
            for field in &record.fields {
                fields(contract, field.ty, &format!("{path}.{}", field.name), note);
            }
        }
        _ => {
            note(path.to_owned());
        }
    }
}
