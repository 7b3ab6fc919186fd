//! Plugins in JavaScript or TypeScript: `plugin.js` or `plugin.ts`, which imports `parlor`.
//!
//! `QuickJS`, as built by componentize-qjs, is linked with the contract. The plugin's modules are evaluated once, at
//! build time, and the component contains a snapshot of the memory after that. Types are replaced by blanks, so that
//! every line and column in a message or a stack is that of the author's file. npm installs both tools into a folder of
//! parlor's.

mod arguments;
mod imports;
mod link;
mod modules;
mod snapshot;
mod tools;
mod types;

use std::path::Path;

use parlor_plugins::manifest::Manifest;

use self::modules::Modules;
use super::{BuildError, Made, contract, kept, metadata, texts};

/// The files that mark a folder as JavaScript or TypeScript.
pub(super) const MARKS: [&str; 2] = ["plugin.js", "plugin.ts"];

/// The path of the SDK's types in a plugin's folder, for editors.
const PLACE: &str = ".parlor/sdk";

const SDK: &str = include_str!("../../../../plugins-sdk/javascript/parlor.js");
const SDK_TYPES: &str = include_str!("../../../../plugins-sdk/javascript/parlor.d.ts");

/// Puts the types of everything in `parlor` into a plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    let place = folder.join(PLACE);
    kept::write(&place.join("parlor.d.ts"), SDK_TYPES)?;
    kept::write(&place.join("contract.d.ts"), types::of_contract())
}

/// Makes a component of the folder.
pub(super) fn make(folder: &Path, manifest: &Manifest) -> Result<Made, BuildError> {
    let package = manifest.name.to_string();
    let unmade = |reason: String| BuildError::Component { package: package.clone(), reason };
    let tools = tools::Tools::find()?;
    let wit = contract::of(manifest).map_err(unmade)?;
    let linked = link::with_runtime(&wit, &tools.runtime()?).map_err(|error| unmade(format!("{error:#}")))?;
    let sdk = arguments::into_sdk(SDK, &wit).map_err(unmade)?;
    let modules = Modules::new(folder, tools, sdk)?;
    let component = snapshot::take(&linked, modules).map_err(|failure| match failure {
        super::snapshot::Failure::Source(reason) => BuildError::Source { package: package.clone(), reason },
        super::snapshot::Failure::Component(reason) => unmade(reason),
    })?;
    let component = link::without_loader(&component).map_err(|error| unmade(format!("{error:#}")))?;
    Ok(Made { component, metadata: metadata(manifest), output: folder.join(format!("{package}.wasm")), package })
}
