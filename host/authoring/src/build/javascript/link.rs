//! Links the runtime and the contract into a component, and removes the part that is only used to build it.

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wasm_encoder::{CodeSection, ExportKind, Function, FunctionSection, Module, TypeSection, ValType};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentInstanceSection, ComponentSectionId, ExportSection, MemorySection,
    MemoryType, RawSection,
};
use wasmparser::{ComponentInstance, Payload};
use wit_component::{ComponentEncoder, Linker, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use super::super::sections::{Error, Section, outermost};
use super::contract;

/// The interface from which the runtime loads modules. It is not used after they are evaluated.
pub(super) const LOADER: &str = "local:init/module-loader";

/// The same interface as the exports of a world, for the stand-in.
const NOBODY: &str = "package local:init;
world nobody {
  export resolve: func(referrer: string, specifier: string) -> result<string, string>;
  export load: func(path: string) -> result<string, string>;
}";

/// Links the runtime with the contract.
pub(super) fn with_runtime(wit: &str, runtime: &[u8]) -> Result<Vec<u8>, Error> {
    let (contract, world) = world(wit, contract::WORLD)?;
    let mut bindings = wit_dylib::create(&contract, world, None);
    embed_component_metadata(&mut bindings, &contract, world, StringEncoding::UTF8)?;
    let mut linker = Linker::default();
    linker.encoder().validate(true);
    linker.library("runtime", runtime, false)?;
    linker.library("bindings", &bindings, false)?;
    linker.encoder().adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    Ok(linker.encode()?)
}

fn world(wit: &str, name: &str) -> Result<(Resolve, WorldId), Error> {
    let mut contract = Resolve::default();
    let package = contract.push_str("plugin.wit", wit)?;
    let world = contract.select_world(&[package], Some(name))?;
    Ok((contract, world))
}

/// Replaces the import [`LOADER`] of the component by a stand-in that traps when it is called.
///
/// An instance keeps its index whether it is imported or created, so everything that refers to it stays valid. Only the
/// indices of the nested components increase by one, and only the instances created from them refer to those.
pub(super) fn without_loader(component: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Component::new();
    let mut components = 0;
    let mut put_in = None;
    for section in outermost(component) {
        let Section { id, data, payload } = section?;
        match payload {
            Payload::ComponentImportSection(imports) => {
                // Imports are copied one by one, so that one of them can be replaced.
                let (count, end) = (imports.count(), imports.range().end);
                let mut begins = Vec::new();
                for import in imports.into_iter_with_offsets() {
                    let (offset, import) = import?;
                    begins.push((offset, import.name.name));
                }
                if begins.len() != count as usize {
                    return Err("an import is missing".into());
                }
                for (place, (begin, name)) in begins.iter().enumerate() {
                    let end = begins.get(place + 1).map_or(end, |(next, _)| *next);
                    if *name == LOADER {
                        out.section(&RawSection { id: ComponentSectionId::Component.into(), data: &nobody()? });
                        put_in = Some(components);
                        components += 1;
                        let mut instances = ComponentInstanceSection::new();
                        let nothing: [(&str, ComponentExportKind, u32); 0] = [];
                        instances.instantiate(components - 1, nothing);
                        out.section(&instances);
                    } else {
                        let one = [&[1], &component[*begin..end]].concat();
                        out.section(&RawSection { id, data: &one });
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                out.section(&renumbered(instances, put_in)?);
            }
            Payload::ComponentSection { .. } => {
                components += 1;
                out.section(&RawSection { id, data });
            }
            _ => {
                out.section(&RawSection { id, data });
            }
        }
    }
    put_in.map(|_| out.finish()).ok_or_else(|| "the runtime does not ask for modules".into())
}

/// Returns the stand-in, in which every function traps.
fn nobody() -> Result<Vec<u8>, Error> {
    const FUNCTIONS: [(&str, usize); 3] = [("cabi_realloc", 4), ("resolve", 4), ("load", 2)];
    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    for (number, (name, parameters)) in (0..).zip(FUNCTIONS) {
        types.ty().function(vec![ValType::I32; parameters], [ValType::I32]);
        functions.function(number);
        exports.export(name, ExportKind::Func, number);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        code.function(&body);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code);
    let mut module = module.finish();
    let (contract, world) = world(NOBODY, "nobody")?;
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().module(&module)?.encode()?)
}

/// Returns the instances with the new component indices.
fn renumbered(
    instances: wasmparser::ComponentInstanceSectionReader<'_>,
    put_in: Option<u32>,
) -> Result<ComponentInstanceSection, Error> {
    let moved = |number: u32| number + u32::from(put_in.is_some_and(|first| number >= first));
    let kind = |kind| -> Result<ComponentExportKind, Error> {
        use wasmparser::ComponentExternalKind as Kind;
        Ok(match kind {
            Kind::Module => ComponentExportKind::Module,
            Kind::Func => ComponentExportKind::Func,
            Kind::Type => ComponentExportKind::Type,
            Kind::Instance => ComponentExportKind::Instance,
            Kind::Component | Kind::Value => {
                return Err("a component or a value among what an instance is given".into());
            }
        })
    };
    let mut section = ComponentInstanceSection::new();
    for instance in instances {
        match instance? {
            ComponentInstance::Instantiate { component_index, args } => {
                let mut given = Vec::new();
                for arg in &args {
                    given.push((arg.name, kind(arg.kind)?, arg.index));
                }
                section.instantiate(moved(component_index), given);
            }
            ComponentInstance::FromExports(exports) => {
                let mut given = Vec::new();
                for export in &exports {
                    given.push((export.name.name, kind(export.kind)?, export.index));
                }
                section.export_items(given);
            }
        }
    }
    Ok(section)
}
