//! Reading a file that a stranger wrote, before anything of it runs.
//!
//! Time and stack are bounded whatever the bytes are: nothing here recurses, and what the parser itself would recurse
//! into is counted first. Nothing is compiled, no grant is looked at; that is for `engine` and `admission`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use semver::Version;
use wasmparser::{
    ComponentExternalKind, CompositeInnerType, Encoding, FuncValidatorAllocations, KnownCustom, Parser, Payload,
    ProducersSectionReader, ValidPayload, Validator, WasmFeatures, component_types::ComponentEntityType, types::Types,
};

use super::{
    id::Digest,
    manifest::{Manifest, ManifestError, SECTION},
};
use crate::harmless::harmless;
use crate::permissions::table;

/// The section in which the tools that made a component say what it was made of, and its field for languages.
const PRODUCERS: &str = "producers";
const LANGUAGE: &str = "language";
/// How many languages of a file are told, and how much of the name of each, in bytes.
const MAX_LANGUAGES: usize = 4;
const LONGEST_LANGUAGE: usize = 32;

/// The most bytes of a plugin's file.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How deep modules and components are nested, the outermost counted.
const MAX_DEPTH: usize = 8;
/// How much of what is wrong with a file is told, in bytes.
const LONGEST_REASON: usize = 1 << 10;
/// The most modules and components in one file.
const MAX_PARTS: usize = 200;
/// The most sections, all parts together.
const MAX_SECTIONS: usize = 20_000;
/// The most functions with code. `CPython` has 14,000 of them, and 1,400 types.
const MAX_FUNCTIONS: u32 = 40_000;
/// The most types of core modules.
const MAX_TYPES: u32 = 20_000;
/// The most bytes of one function, since its compilation takes more than linear time.
const MAX_FUNCTION_BYTES: usize = 1024 * 1024;
/// The most parameters and results of a function. A jump table is checked in time of its length times this.
const MAX_ARITY: usize = 128;
/// The most bytes in which a component describes types.
const MAX_TYPE_BYTES: usize = 256 * 1024;
/// The most component or instance types that can be nested in one section of types.
const MAX_TYPE_DEPTH: usize = 500;
/// How long a file may take to be checked, for what no count foresees. `CPython`, which is 20 MB, takes about a second.
const BUDGET: Duration = Duration::from_secs(20);
/// The most imports and exports of the whole.
const MAX_NAMES: u32 = 1_000;
/// The most instances of components. With a resource in it each of them is a type of its own, as large as all that it exports, and
/// again for whatever is made of it: so a file of a few kilobytes can stand for gigabytes. Each may also hold a stack of the engine's
/// while it is blocked, and there is one for each of them. Plugins have one, those that were put together of several have one for
/// each.
pub(super) const MAX_INSTANCES: u32 = 3;

/// The versions of the contract that this host serves, one for each `major.minor`.
pub const SERVED: [Version; 1] = [Version::new(0, 1, 0)];

/// What the package of the contract is called in an import.
const PACKAGE: &str = "parlor:plugin/";
/// The interface that each plugin exports, and its functions.
const GUEST: &str = "guest";
const GUEST_FUNCTIONS: [&str; 3] = ["initialize", "handle-event", "stop"];
/// The interface that holds nothing but types.
const TYPES: &str = "types";

/// What was found in a plugin's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Which bytes it is.
    pub digest: Digest,
    /// How many bytes it is.
    pub size: usize,
    /// What its author declares.
    pub manifest: Arc<Manifest>,
    /// In which language it is written, as it says itself, harmless; none = it does not say.
    pub language: Option<String>,
    /// The functions of the contract that it imports, in the order of their names.
    pub imports: Vec<Import>,
    /// Whether its language's runtime wants WASI; it gets an empty one.
    pub wasi: bool,
}

impl Examined {
    /// Whether its language raises an error of its own where there is no more memory, so that its author learns where that was. In
    /// the others a program that goes on without the memory is worse than one that ends. A file that names a wrong language harms
    /// nobody but itself.
    pub fn raises(&self) -> bool {
        const RAISES: [&str; 3] = ["Python", "JavaScript", "TypeScript"];
        self.language.as_deref().is_some_and(|language| RAISES.contains(&language))
    }
}

/// One function of the contract that a plugin imports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Import {
    /// The interface, such as `chats`.
    pub grouping: String,
    /// The function, such as `send`.
    pub function: String,
}

/// Why a file cannot be a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// Nothing in it.
    #[error("the file is empty; copy or build it again")]
    Empty,
    /// It is larger than any plugin may be.
    #[error("the file has {0} bytes, a plugin may have at most {MAX_BYTES}")]
    TooLarge(usize),
    /// Machine code that some wasmtime wrote: it would run without any check.
    #[error("the file is precompiled machine code, which is never trusted; give the component it was made from")]
    Precompiled,
    /// The component as text.
    #[error("the file is the text form of WebAssembly; build it with `parlor plugin build`")]
    Text,
    /// Something else.
    #[error("the file is not WebAssembly; build it with `parlor plugin build`")]
    NotWasm,
    /// A module, not yet made into a component.
    #[error("the file is a core module, not a component; build it with `parlor plugin build`")]
    CoreModule,
    /// The bytes break the rules of WebAssembly.
    #[error("the file is malformed at byte {offset}: {reason}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What the validator says.
        reason: String,
    },
    /// More of something than is read.
    #[error("the file has more {what} than the {most} that are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most there may be.
        most: usize,
    },
    /// It keeps the checks busy for longer than any honest file does.
    #[error("the file was not checked within {} s, which no honest file takes", _0.as_secs())]
    TooSlow(Duration),
    /// The author's declaration is missing.
    #[error("the file has no manifest; build it with `parlor plugin build`, which embeds plugin.toml")]
    NoManifest,
    /// Two declarations, and nobody can say which one holds.
    #[error("the file has more than one manifest; build it anew with `parlor plugin build`")]
    SeveralManifests,
    /// The declaration is no text.
    #[error("the manifest is not UTF-8")]
    ManifestNotText,
    /// The declaration is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It was built against another version of the contract.
    #[error(
        "{what} is built against version {wanted} of the contract, this host serves {}; {}",
        served(),
        remedy(wanted)
    )]
    Version {
        /// The manifest or an import.
        what: String,
        /// Which version it needs.
        wanted: Version,
    },
    /// An import or export of the contract without a version.
    #[error("`{}` names no version of the contract; build it anew with `parlor plugin build`", _0.escape_debug())]
    NoVersion(String),
    /// It wants something that no plugin gets.
    #[error("the plugin imports `{}`; a plugin gets nothing but parlor:plugin and an empty WASI", _0.escape_debug())]
    ForeignImport(String),
    /// It wants a part of the contract that does not exist.
    #[error("the plugin imports `{}`, which is not in the contract", _0.escape_debug())]
    UnknownImport(String),
    /// It cannot be started.
    #[error("the plugin does not export `{PACKAGE}{GUEST}`; build it with the parlor SDK")]
    NoGuest,
    /// It cannot be started.
    #[error("the plugin's export `{GUEST}` has no async function `{0}`; build it with the parlor SDK")]
    GuestFunction(&'static str),
}

fn served() -> String {
    SERVED.iter().map(|version| format!("{}.{}.x", version.major, version.minor)).collect::<Vec<_>>().join(", ")
}

fn remedy(wanted: &Version) -> &'static str {
    if SERVED.iter().all(|served| served < wanted) {
        "update parlor, or build the plugin with an older SDK"
    } else {
        "build the plugin anew, with the present SDK"
    }
}

fn is_served(version: &Version) -> bool {
    version.pre.is_empty() && SERVED.iter().any(|served| (served.major, served.minor) == (version.major, version.minor))
}

/// Reads a plugin's file.
pub fn examine(bytes: &[u8]) -> Result<Examined, ComponentError> {
    recognise(bytes)?;
    let mut found = Found::default();
    let types = walk(bytes, &mut found, BUDGET)?;
    let manifest = found.manifest.ok_or(ComponentError::NoManifest)?;
    let manifest = Manifest::parse(std::str::from_utf8(manifest).map_err(|_| ComponentError::ManifestNotText)?)?;
    serves(&manifest)?;
    let (mut imports, mut wasi) = (Vec::new(), false);
    for name in &found.imports {
        wasi |= import(&types, name, &mut imports)?;
    }
    imports.sort_unstable();
    imports.dedup();
    guest(&types, &found.exports)?;
    let (digest, language) = (Digest::of(bytes), found.language);
    Ok(Examined { digest, size: bytes.len(), manifest: Arc::new(manifest), language, imports, wasi })
}

/// Whether this host serves the version of the contract that a plugin is for.
pub(super) fn serves(manifest: &Manifest) -> Result<(), ComponentError> {
    if is_served(&manifest.api) {
        return Ok(());
    }
    Err(ComponentError::Version { what: "the plugin".to_owned(), wanted: manifest.api.clone() })
}

/// What kind of file it is, by its first bytes.
fn recognise(bytes: &[u8]) -> Result<(), ComponentError> {
    if bytes.is_empty() {
        Err(ComponentError::Empty)
    } else if bytes.len() > MAX_BYTES {
        Err(ComponentError::TooLarge(bytes.len()))
    } else if bytes.starts_with(b"\x7fELF") {
        Err(ComponentError::Precompiled)
    } else if Parser::is_component(bytes) {
        Ok(())
    } else if Parser::is_core_wasm(bytes) {
        Err(ComponentError::CoreModule)
    } else if bytes.trim_ascii_start().starts_with(b"(component") || bytes.trim_ascii_start().starts_with(b"(module") {
        Err(ComponentError::Text)
    } else {
        Err(ComponentError::NotWasm)
    }
}

/// What the rules of WebAssembly are here: those of `engine`, which has wasmtime's defaults without its GC and threads.
fn features() -> WasmFeatures {
    let absent = WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS | WasmFeatures::THREADS;
    (WasmFeatures::WASM3 - absent) | WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC
}

/// What the outermost component holds, and how much of everything there was.
#[derive(Default)]
struct Found<'b> {
    manifest: Option<&'b [u8]>,
    language: Option<String>,
    imports: Vec<&'b str>,
    exports: Vec<&'b str>,
    parts: usize,
    sections: usize,
    functions: u32,
    types: u32,
    names: u32,
    instances: u32,
    type_bytes: usize,
}

fn malformed(error: &wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::Malformed { offset: error.offset(), reason: harmless(error.message(), LONGEST_REASON) }
}

fn at_most(count: usize, most: usize, what: &'static str) -> Result<(), ComponentError> {
    if count > most { Err(ComponentError::TooMany { what, most }) } else { Ok(()) }
}

/// Validates the whole file and collects what the outermost component says about itself.
fn walk<'b>(bytes: &'b [u8], found: &mut Found<'b>, budget: Duration) -> Result<Types, ComponentError> {
    let begin = Instant::now();
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut parser = Parser::new(0);
    parser.set_features(features());
    // The parsers of the parts around the one that is read; its length is the depth.
    let mut around: Vec<Parser> = Vec::new();
    let mut rest = bytes;
    loop {
        let payload = match parser.parse(rest, true).map_err(|error| malformed(&error))? {
            wasmparser::Chunk::Parsed { consumed, payload } => {
                rest = &rest[consumed..];
                payload
            }
            wasmparser::Chunk::NeedMoreData(_) => {
                return Err(ComponentError::Malformed { offset: bytes.len(), reason: "unexpected end".to_owned() });
            }
        };
        if begin.elapsed() >= budget {
            return Err(ComponentError::TooSlow(budget));
        }
        found.count(&payload, bytes)?;
        if around.is_empty() {
            found.collect(&payload)?;
        }
        match validator.payload(&payload).map_err(|error| malformed(&error))? {
            ValidPayload::Ok => {}
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body).map_err(|error| malformed(&error))?;
                allocations = function.into_allocations();
            }
            ValidPayload::Parser(inner) => {
                around.push(std::mem::replace(&mut parser, inner));
                at_most(around.len() + 1, MAX_DEPTH, "levels of nested components")?;
            }
            ValidPayload::End(types) => match around.pop() {
                Some(outer) => parser = outer,
                None => return Ok(types),
            },
        }
    }
}

impl<'b> Found<'b> {
    /// Stops before anything is read that is too much.
    fn count(&mut self, payload: &Payload<'b>, bytes: &[u8]) -> Result<(), ComponentError> {
        match payload {
            // The parser says how many bodies there are, so they are not sections of their own.
            Payload::CodeSectionEntry(body) => {
                return at_most(body.range().len(), MAX_FUNCTION_BYTES, "bytes of one function");
            }
            Payload::CodeSectionStart { count, .. } => self.functions = self.functions.saturating_add(*count),
            Payload::FunctionSection(section) => {
                at_most(section.count() as usize, MAX_FUNCTIONS as usize, "functions")?;
            }
            Payload::TypeSection(section) => {
                self.types = self.types.saturating_add(section.count());
                at_most(self.types as usize, MAX_TYPES as usize, "types")?;
                for group in section.clone() {
                    for subtype in group.map_err(|error| malformed(&error))?.types() {
                        if let CompositeInnerType::Func(function) = &subtype.composite_type.inner {
                            let arity = function.params().len() + function.results().len();
                            at_most(arity, MAX_ARITY, "parameters and results of one function")?;
                        }
                    }
                }
            }
            Payload::CoreTypeSection(section) => {
                self.types = self.types.saturating_add(section.count());
                self.type_bytes = self.type_bytes.saturating_add(section.range().len());
            }
            Payload::ComponentTypeSection(section) => {
                let range = section.range();
                self.type_bytes = self.type_bytes.saturating_add(range.len());
                at_most(self.type_bytes, MAX_TYPE_BYTES, "bytes of component types")?;
                // The parser reads a type inside a type by recursion, as deep as the file says. Each level begins with
                // one of these pairs of bytes, so their number bounds the depth. They also occur by chance, but rarely.
                let levels = bytes[range].windows(2).filter(|pair| matches!(pair, [0x01, 0x41 | 0x42])).count();
                at_most(levels, MAX_TYPE_DEPTH, "nested types")?;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.parts += 1,
            Payload::ComponentImportSection(section) => self.names = self.names.saturating_add(section.count()),
            Payload::ComponentExportSection(section) => self.names = self.names.saturating_add(section.count()),
            Payload::ComponentInstanceSection(section) => {
                self.instances = self.instances.saturating_add(section.count());
            }
            _ => {}
        }
        self.sections += 1;
        at_most(self.sections, MAX_SECTIONS, "sections")?;
        at_most(self.parts, MAX_PARTS, "modules and components")?;
        at_most(self.functions as usize, MAX_FUNCTIONS as usize, "functions")?;
        at_most(self.types as usize, MAX_TYPES as usize, "types")?;
        at_most(self.type_bytes, MAX_TYPE_BYTES, "bytes of component types")?;
        at_most(self.instances as usize, MAX_INSTANCES as usize, "instances of components")?;
        at_most(self.names as usize, MAX_NAMES as usize, "imports and exports")
    }

    /// What the outermost component says; what is nested in it speaks for itself only.
    fn collect(&mut self, payload: &Payload<'b>) -> Result<(), ComponentError> {
        match payload {
            Payload::CustomSection(section) if section.name() == SECTION => {
                let earlier = self.manifest.replace(section.data());
                if earlier.is_some() {
                    return Err(ComponentError::SeveralManifests);
                }
            }
            Payload::CustomSection(section) if section.name() == PRODUCERS && self.language.is_none() => {
                if let KnownCustom::Producers(producers) = section.as_known() {
                    self.language = language(producers);
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.imports.push(import.map_err(|error| malformed(&error))?.name.name);
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export.map_err(|error| malformed(&error))?;
                    if export.kind == ComponentExternalKind::Instance {
                        self.exports.push(export.name.name);
                    }
                }
            }
            Payload::Version { encoding: Encoding::Module, .. } => return Err(ComponentError::CoreModule),
            _ => {}
        }
        Ok(())
    }
}

/// The languages that a section of producers names. It is for people alone: one that is broken names none.
fn language(producers: ProducersSectionReader<'_>) -> Option<String> {
    let field = producers.into_iter().map_while(Result::ok).find(|field| field.name == LANGUAGE)?;
    let named = field.values.into_iter().map_while(Result::ok).take(MAX_LANGUAGES);
    let named: Vec<_> = named.map(|value| harmless(value.name, LONGEST_LANGUAGE)).collect();
    Some(named.join(", ")).filter(|named| !named.trim().is_empty())
}

/// The interface that a name of the contract means, if it is one, and its version is served.
fn interface(name: &str) -> Result<Option<&str>, ComponentError> {
    let Some(interface) = name.strip_prefix(PACKAGE) else { return Ok(None) };
    let no_version = || ComponentError::NoVersion(name.to_owned());
    let (interface, version) = interface.split_once('@').ok_or_else(no_version)?;
    let wanted = Version::parse(version).map_err(|_| no_version())?;
    if is_served(&wanted) {
        Ok(Some(interface))
    } else {
        Err(ComponentError::Version { what: format!("`{PACKAGE}{interface}`"), wanted })
    }
}

/// Adds the functions of one import; true if it is one of WASI's.
fn import(types: &Types, name: &str, imports: &mut Vec<Import>) -> Result<bool, ComponentError> {
    let item = types.as_ref().component_item_for_import(name).map(|item| item.ty);
    let Some(ComponentEntityType::Instance(instance)) = item else {
        return Err(ComponentError::ForeignImport(name.to_owned()));
    };
    if name.starts_with("wasi:") {
        return Ok(true);
    }
    let Some(grouping) = interface(name)? else { return Err(ComponentError::ForeignImport(name.to_owned())) };
    if grouping != TYPES && !table::CALLS.iter().any(|call| call.grouping == grouping) {
        return Err(ComponentError::UnknownImport(name.to_owned()));
    }
    for (function, item) in &types[instance].exports {
        match item.ty {
            ComponentEntityType::Func(_) if table::call(grouping, function).is_some() => {
                imports.push(Import { grouping: grouping.to_owned(), function: function.clone() });
            }
            ComponentEntityType::Type { .. } => {}
            _ => return Err(ComponentError::UnknownImport(format!("{PACKAGE}{grouping}.{function}"))),
        }
    }
    Ok(false)
}

/// Looks for what the host calls.
fn guest(types: &Types, exports: &[&str]) -> Result<(), ComponentError> {
    let guests = exports
        .iter()
        .filter(|name| name.strip_prefix(PACKAGE).is_some_and(|rest| rest.split('@').next() == Some(GUEST)));
    let mut served = None;
    for name in guests {
        interface(name)?;
        served = Some(*name);
    }
    let name = served.ok_or(ComponentError::NoGuest)?;
    let Some(ComponentEntityType::Instance(instance)) =
        types.as_ref().component_item_for_export(name).map(|item| item.ty)
    else {
        return Err(ComponentError::NoGuest);
    };
    for function in GUEST_FUNCTIONS {
        match types[instance].exports.get(function).map(|item| item.ty) {
            Some(ComponentEntityType::Func(id)) if types[id].async_ => {}
            _ => return Err(ComponentError::GuestFunction(function)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::seeds;
