//! Makes the C bindings of the contract, which `parlor plugin build` gives to plugins in C: so they are always those of the
//! contract that this parlor serves.

use std::path::Path;

use anyhow::Context as _;
use wit_bindgen_core::{AsyncFilterSet, Files};
use wit_parser::Resolve;

fn main() -> anyhow::Result<()> {
    const CONTRACT: &str = "../wit";
    println!("cargo::rerun-if-changed={CONTRACT}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(CONTRACT)?;
    let world = contract.select_world(&[package], Some("plugin"))?;
    // C has no functions that wait beside others: each call returns when it is done.
    let options = wit_bindgen_c::Opts { async_: AsyncFilterSet::all(false), ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut contract, world, &mut files)?;
    let out = std::env::var_os("OUT_DIR").context("cargo sets it")?;
    let folder = Path::new(&out).join("c");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in files.iter() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
