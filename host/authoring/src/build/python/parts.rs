//! The parts of a Python component that exist only during the build: a function that imports the plugin, and two that
//! make the C library and the adapter of WASI preview 1 forget the files they know. Without these two, a plugin that
//! opens a file would trap, instead of getting an error that the file does not exist.

use std::collections::HashMap;

use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentTypeSection, ComponentValType, ExportKind, RawSection,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ExportSectionReader,
    ExternalKind, Instance, Parser, Payload,
};

use super::super::sections::{Error, Section, outermost};

/// The function that imports the plugin.
pub(super) const EVALUATE: &str = "evaluate";

/// The functions that forget files: the name of the core function, and its export.
pub(super) const FORGETS: [(&str, &str); 2] =
    [("reset_adapter_state", "forget-handles"), ("__wasilibc_reset_preopens", "forget-folders")];

/// The number of sections that [`with_forgetting`] adds.
const ADDED: usize = 4;

/// The numbers of items in a component's index spaces, as far as they matter here.
#[derive(Default)]
struct Counts {
    core_instances: u32,
    core_functions: u32,
    functions: u32,
    types: u32,
}

impl Counts {
    fn item(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Func => self.functions += 1,
            ComponentExternalKind::Type => self.types += 1,
            _ => {}
        }
    }

    /// Adds what a section of the component declares, except instances of modules.
    fn add(&mut self, section: Payload<'_>) -> Result<(), Error> {
        match section {
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    match function? {
                        CanonicalFunction::Lift { .. } => self.functions += 1,
                        _ => self.core_functions += 1,
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.item(import?.ty.kind());
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    self.item(export?.kind);
                }
            }
            Payload::ComponentTypeSection(types) => self.types += types.count(),
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => self.core_functions += 1,
            ComponentAlias::CoreInstanceExport { .. } => {}
            ComponentAlias::InstanceExport { kind, .. } => self.item(*kind),
            ComponentAlias::Outer { kind, .. } => self.types += u32::from(*kind == ComponentOuterAliasKind::Type),
        }
    }
}

/// The numbers of a component's items, and the exports of the functions that forget.
struct Inside {
    counts: Counts,
    /// The module that exports each of these functions.
    exporters: HashMap<&'static str, u32>,
    /// The first instance of each module.
    instances: HashMap<u32, u32>,
}

/// Counts what a component has.
fn inside(component: &[u8]) -> Result<Inside, Error> {
    let (mut counts, mut modules, mut instances) = (Counts::default(), 0, HashMap::new());
    let mut exporters: HashMap<&'static str, u32> = HashMap::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let outermost = depth == 0;
        match payload {
            Payload::ModuleSection { .. } => {
                depth += 1;
                modules += u32::from(outermost);
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            // The module that is being parsed is the last one counted.
            Payload::ExportSection(exports) if depth == 1 => {
                for name in forgetting(exports)? {
                    exporters.insert(name, modules - 1);
                }
            }
            Payload::InstanceSection(made) if outermost => {
                for instance in made {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        instances.insert(module_index, counts.core_instances);
                    }
                    counts.core_instances += 1;
                }
            }
            section if outermost => counts.add(section)?,
            _ => {}
        }
    }
    Ok(Inside { counts, exporters, instances })
}

/// Returns which of [`FORGETS`] are among the exports of a module.
fn forgetting(exports: ExportSectionReader<'_>) -> Result<Vec<&'static str>, Error> {
    let mut found = Vec::new();
    for export in exports {
        let export = export?;
        let wanted = FORGETS.into_iter().find(|(name, _)| *name == export.name);
        if let (Some((name, _)), ExternalKind::Func) = (wanted, export.kind) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Returns the component with [`FORGETS`] among its exports.
pub(super) fn with_forgetting(component: &[u8]) -> Result<Vec<u8>, Error> {
    let Inside { counts, exporters, instances } = inside(component)?;
    let (mut aliases, mut lifts) = (ComponentAliasSection::new(), CanonicalFunctionSection::new());
    let mut exports = ComponentExportSection::new();
    for (number, (core, name)) in (0..).zip(FORGETS) {
        let instance = exporters.get(core).and_then(|module| instances.get(module));
        let instance = *instance.ok_or_else(|| format!("nothing in it exports {core}"))?;
        aliases.alias(Alias::CoreInstanceExport { instance, kind: ExportKind::Func, name: core });
        lifts.lift(counts.core_functions + number, counts.types, []);
        exports.export(name, ComponentExportKind::Func, counts.functions + number, None);
    }
    let mut types = ComponentTypeSection::new();
    types.function().params::<_, ComponentValType>([]).result(None);
    let mut added = Component::new();
    added.section(&aliases).section(&types).section(&lifts).section(&exports);
    // Without the component header, these are sections like the others.
    Ok([component, &added.finish()[Component::HEADER.len()..]].concat())
}

/// Returns the component without the parts that exist only during the build.
pub(super) fn without_building(component: &[u8]) -> Result<Vec<u8>, Error> {
    let sections = outermost(component).collect::<Result<Vec<_>, _>>()?;
    let exports = |name: &str| {
        let found = sections.iter().position(|section| first_export(section) == Some(name));
        found.ok_or_else(|| format!("it does not export {name}"))
    };
    let evaluate = exports(EVALUATE)?;
    let last = exports(FORGETS[0].1)?;
    let added = (last + 1).checked_sub(ADDED).ok_or("what was added is not there")?;
    let mut out = Component::new();
    for (at, section) in sections.iter().enumerate() {
        // An export adds a function index, which later indices depend on. So it is replaced by a copy of the section
        // before it, which creates the same function once more and takes that index.
        let kept =
            if at == evaluate { sections.get(at.wrapping_sub(1)).ok_or("nothing is exported")? } else { section };
        if !(added..=last).contains(&at) {
            out.section(&RawSection { id: kept.id, data: kept.data });
        }
    }
    Ok(out.finish())
}

/// Returns the name of the first export in a section of exports.
fn first_export<'c>(section: &Section<'c>) -> Option<&'c str> {
    let Payload::ComponentExportSection(exports) = &section.payload else { return None };
    let first = exports.clone().into_iter().next()?;
    first.ok().map(|export| export.name.name)
}

#[cfg(test)]
mod tests {
    use wasmtime::component::{Component as Compiled, Linker};
    use wasmtime::{Engine, Store};

    use super::*;

    /// In the form that componentize-py makes: the C library and the adapter are modules, and the export comes before
    /// those for the host.
    const TEXT: &str = r#"(component
        (core module $adapter
            (global $n (mut i32) (i32.const 1))
            (func (export "reset_adapter_state") (global.set $n (i32.const 0)))
            (func (export "n") (result i32) (global.get $n)))
        (core module $libc
            (global $n (mut i32) (i32.const 1))
            (func (export "__wasilibc_reset_preopens") (global.set $n (i32.const 0)))
            (func (export "n") (result i32) (global.get $n)))
        (core instance $a (instantiate $adapter))
        (core instance $l (instantiate $libc))
        (alias core export $a "n" (core func $an))
        (alias core export $l "n" (core func $ln))
        (type $number (func (result u32)))
        (func $evaluated (type $number) (canon lift (core func $an)))
        (export "evaluate" (func $evaluated))
        (func $handles (type $number) (canon lift (core func $an)))
        (func $folders (type $number) (canon lift (core func $ln)))
        (export "handles" (func $handles))
        (export "folders" (func $folders)))"#;

    fn call(component: &[u8], called: &[&str]) -> Vec<Option<u32>> {
        let engine = Engine::default();
        let component = Compiled::new(&engine, component).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        let mut given = Vec::new();
        for name in called {
            if let Ok(function) = instance.get_typed_func::<(), (u32,)>(&mut store, name) {
                given.push(Some(function.call(&mut store, ()).unwrap().0));
            } else if let Ok(function) = instance.get_typed_func::<(), ()>(&mut store, name) {
                function.call(&mut store, ()).unwrap();
            } else {
                given.push(None);
            }
        }
        given
    }

    #[test]
    fn what_is_known_of_files_is_forgotten_and_what_serves_the_build_goes() {
        let component = wat::parse_str(TEXT).unwrap();
        let building = with_forgetting(&component).unwrap();
        let [handles, folders] = FORGETS.map(|(_, name)| name);
        assert_eq!(
            call(&building, &["handles", "folders", handles, "handles", "folders", folders, "folders"]),
            [1, 1, 0, 1, 0].map(Some)
        );
        let built = without_building(&building).unwrap();
        assert_eq!(call(&built, &["handles", "folders"]), [Some(1), Some(1)]);
        assert_eq!(call(&built, &[EVALUATE, handles, folders]), [None, None, None]);
    }

    #[test]
    fn a_component_of_something_else_is_refused() {
        let error = with_forgetting(&wat::parse_str("(component)").unwrap()).unwrap_err().to_string();
        assert!(error.contains("reset_adapter_state"), "{error}");
        assert!(without_building(&wat::parse_str("(component)").unwrap()).is_err());
    }
}
