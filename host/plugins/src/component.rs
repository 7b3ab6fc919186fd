//! Examining a file that a stranger wrote, before any of it runs.
//!
//! Time and stack are bounded for any input: nothing here recurses, and all nesting that the parser itself recurses
//! into is counted first. Nothing is compiled and no grants are checked; `engine` and `admission` do that.

mod file;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parlor_base::escape::escape_untrusted;
use parlor_base::id::Digest;
use parlor_session::permissions::table;
use semver::Version;
use wasmparser::{
    ComponentExternalKind, CompositeInnerType, Encoding, FuncValidatorAllocations, KnownCustom, Parser, Payload,
    ProducersSectionReader, ValidPayload, Validator, WasmFeatures, component_types::ComponentEntityType, types::Types,
};

use crate::manifest::{Manifest, ManifestError, SECTION};

pub use self::file::{ReadError, read};

/// The section in which tools record how a component was made, and its field for languages.
const PRODUCERS: &str = "producers";
const LANGUAGE: &str = "language";
/// The maximum number of a file's languages that are shown, and the maximum length of each name in bytes.
const MAX_LANGUAGES: usize = 4;
const LONGEST_LANGUAGE: usize = 32;

/// The maximum size of a plugin's file, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The maximum nesting depth of modules and components, including the outermost.
const MAX_DEPTH: usize = 8;
/// The maximum length of an error about a file, in bytes.
const LONGEST_REASON: usize = 1 << 10;
/// The maximum number of modules and components in one file.
const MAX_PARTS: usize = 200;
/// The maximum number of sections, all parts together.
const MAX_SECTIONS: usize = 20_000;
/// The maximum number of functions with code. `CPython` has 14,000 of them, and 1,400 types.
const MAX_FUNCTIONS: u32 = 40_000;
/// The maximum number of types of core modules.
const MAX_TYPES: u32 = 20_000;
/// The maximum size of one function in bytes, since compiling it takes more than linear time.
const MAX_FUNCTION_BYTES: usize = 1024 * 1024;
/// The maximum number of parameters and results of a function. Checking a jump table takes its length times this
/// number.
const MAX_ARITY: usize = 128;
/// The maximum number of bytes in which a component describes types.
const MAX_TYPE_BYTES: usize = 256 * 1024;
/// The maximum number of component or instance types that can be nested in one section of types.
const MAX_TYPE_DEPTH: usize = 500;
/// The time budget for checking a file, for costs that no count predicts. `CPython`, with 25 MB, takes about a second.
const BUDGET: Duration = Duration::from_secs(20);
/// The maximum number of imports and exports of the whole.
const MAX_NAMES: u32 = 1_000;
/// The maximum number of component instances: one for each component of a plugin. With a resource, an instance's type
/// is as large as all of its exports, so a small file can expand to gigabytes. A blocked one may hold a stack.
pub const MAX_INSTANCES: u32 = 3;

/// The versions of the contract that this host serves, one for each `major.minor`.
pub const SERVED: [Version; 1] = [Version::new(0, 1, 0)];

/// The prefix of the contract's package in an import.
const PACKAGE: &str = "parlor:plugin/";
/// The interface that each plugin exports, and its functions.
const GUEST: &str = "guest";
const GUEST_FUNCTIONS: [&str; 3] = ["initialize", "handle-event", "stop"];
/// The interface that holds nothing but types.
const TYPES: &str = "types";

/// The facts found in a plugin's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// The digest of the file.
    pub digest: Digest,
    /// The size of the file, in bytes.
    pub size: usize,
    /// The author's manifest.
    pub manifest: Arc<Manifest>,
    /// The language that it was written in according to the file, escaped for display; `None` = not given.
    pub language: Option<String>,
    /// The functions of the contract that it imports, sorted by name.
    pub imports: Vec<Import>,
    /// Its needs of the engine.
    pub needs: Needs,
}

/// The needs of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Whether its language's runtime needs WASI; it gets an empty one.
    pub wasi: bool,
    /// The number of its component instances.
    pub instances: u32,
}

impl Examined {
    /// Returns whether its language raises an error when memory runs out, so that the author sees where it happened. In
    /// other languages, a program that continues without the memory is worse than one that ends. A file that names a
    /// wrong language harms only itself.
    pub fn raises(&self) -> bool {
        const RAISES: [&str; 3] = ["Python", "JavaScript", "TypeScript"];
        self.language.as_deref().is_some_and(|language| RAISES.contains(&language))
    }
}

/// A function of the contract that a plugin imports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Import {
    /// The interface, such as `chats`.
    pub grouping: String,
    /// The function, such as `send`.
    pub function: String,
}

/// The reason why a file cannot be a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The file is empty.
    #[error("the file is empty; copy or build it again")]
    Empty,
    /// The file is larger than any plugin may be.
    #[error("the file has {0} bytes, a plugin may have at most {MAX_BYTES}")]
    TooLarge(usize),
    /// The file is machine code compiled by wasmtime, which would run without any check.
    #[error("the file is precompiled machine code, which is never trusted; give the component it was made from")]
    Precompiled,
    /// The file is the text form of WebAssembly.
    #[error("the file is the text form of WebAssembly; build it with `parlor plugin build`")]
    Text,
    /// The file has another format.
    #[error("the file is not WebAssembly; build it with `parlor plugin build`")]
    NotWasm,
    /// The file is a core module, not a component.
    #[error("the file is a core module, not a component; build it with `parlor plugin build`")]
    CoreModule,
    /// The bytes are not valid WebAssembly.
    #[error("the file is malformed at byte {offset}: {reason}")]
    Malformed {
        /// The position of the error, in bytes.
        offset: usize,
        /// The validator's message.
        reason: String,
    },
    /// The file has more of something than is accepted.
    #[error("the file has more {what} than the {most} that are read")]
    TooMany {
        /// The name of the items that are too many.
        what: &'static str,
        /// The maximum.
        most: usize,
    },
    /// Checking the file takes longer than for any honest file.
    #[error("the file was not checked within {} s, which no honest file takes", _0.as_secs())]
    TooSlow(Duration),
    /// The file has no manifest.
    #[error("the file has no manifest; build it with `parlor plugin build`, which embeds plugin.toml")]
    NoManifest,
    /// The file has two manifests, so it is unknown which one holds.
    #[error("the file has more than one manifest; build it anew with `parlor plugin build`")]
    SeveralManifests,
    /// The manifest is not text.
    #[error("the manifest is not UTF-8")]
    ManifestNotText,
    /// The manifest has a mistake.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The plugin was built against another version of the contract.
    #[error(
        "{what} is built against version {wanted} of the contract, this host serves {}; {}",
        served(),
        remedy(wanted)
    )]
    Version {
        /// The part that needs the version: the manifest or an import.
        what: String,
        /// The version that it needs.
        wanted: Version,
    },
    /// An import or export of the contract has no version.
    #[error("`{}` names no version of the contract; build it anew with `parlor plugin build`", _0.escape_debug())]
    NoVersion(String),
    /// The plugin imports something that no plugin gets.
    #[error("the plugin imports `{}`; a plugin gets nothing but parlor:plugin and an empty WASI", _0.escape_debug())]
    ForeignImport(String),
    /// The plugin imports a part of the contract that does not exist.
    #[error("the plugin imports `{}`, which is not in the contract", _0.escape_debug())]
    UnknownImport(String),
    /// The plugin lacks the interface that the host calls.
    #[error("the plugin does not export `{PACKAGE}{GUEST}`; build it with the parlor SDK")]
    NoGuest,
    /// The plugin's interface lacks a function that the host calls.
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

/// Examines a plugin's file.
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
    let (digest, language, needs) = (Digest::of(bytes), found.language, Needs { wasi, instances: found.instances });
    Ok(Examined { digest, size: bytes.len(), manifest: Arc::new(manifest), language, imports, needs })
}

/// Checks that this host serves the version of the contract that a plugin was built for.
pub fn serves(manifest: &Manifest) -> Result<(), ComponentError> {
    if is_served(&manifest.api) {
        return Ok(());
    }
    Err(ComponentError::Version { what: "the plugin".to_owned(), wanted: manifest.api.clone() })
}

/// Recognises the kind of file by its first bytes.
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

/// Returns the accepted WebAssembly features: those of `engine`, which has wasmtime's defaults without GC and threads.
fn features() -> WasmFeatures {
    let absent = WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS | WasmFeatures::THREADS;
    (WasmFeatures::WASM3 - absent) | WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC
}

/// The contents of the outermost component, and counts for the limits.
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
    ComponentError::Malformed { offset: error.offset(), reason: escape_untrusted(error.message(), LONGEST_REASON) }
}

fn at_most(count: usize, most: usize, what: &'static str) -> Result<(), ComponentError> {
    if count > most { Err(ComponentError::TooMany { what, most }) } else { Ok(()) }
}

/// Validates the whole file and collects the outermost component's declarations.
fn walk<'b>(bytes: &'b [u8], found: &mut Found<'b>, budget: Duration) -> Result<Types, ComponentError> {
    let begin = Instant::now();
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut parser = Parser::new(0);
    parser.set_features(features());
    // The parsers of the enclosing parts; their number is the depth.
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
    /// Counts a payload, and fails before anything beyond a limit is parsed.
    fn count(&mut self, payload: &Payload<'b>, bytes: &[u8]) -> Result<(), ComponentError> {
        match payload {
            // The code section's header gives the number of bodies, so bodies are not counted as sections.
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
                // The parser recurses into a type inside a type, as deep as the file says. Each level begins with one
                // of these pairs of bytes, so their number bounds the depth. They also occur by chance, but rarely.
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

    /// Collects the declarations of the outermost component. Nested ones declare things for themselves only.
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

/// Returns the languages that a producers section names. They are only for display: an invalid section names none.
fn language(producers: ProducersSectionReader<'_>) -> Option<String> {
    let field = producers.into_iter().map_while(Result::ok).find(|field| field.name == LANGUAGE)?;
    let named = field.values.into_iter().map_while(Result::ok).take(MAX_LANGUAGES);
    let named: Vec<_> = named.map(|value| escape_untrusted(value.name, LONGEST_LANGUAGE)).collect();
    Some(named.join(", ")).filter(|named| !named.trim().is_empty())
}

/// Returns the interface that a name of the contract refers to, if it is one and its version is served.
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

/// Adds the functions of one import. Returns true if it is one of WASI's.
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

/// Checks that the component exports what the host calls.
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
pub(crate) mod tests;
