//! Makes the C and Go bindings of the contract, which `parlor plugin build` gives to plugins in these languages: so they are
//! always those of the contract that this parlor serves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wit_bindgen_core::{AsyncFilterSet, Files, WorldGenerator};
use wit_parser::Resolve;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets it")?);
    c(&out.join("c"))?;
    go(&out.join("go"))
}

const CONTRACT: &str = "../wit";

/// Neither has functions that wait beside others: each call returns when it is done.
fn blocking() -> AsyncFilterSet {
    AsyncFilterSet::all(false)
}

fn generate(mut generator: Box<dyn WorldGenerator>) -> anyhow::Result<Files> {
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(CONTRACT)?;
    let world = contract.select_world(&[package], Some("plugin"))?;
    let mut files = Files::default();
    generator.generate(&mut contract, world, &mut files)?;
    Ok(files)
}

fn c(folder: &Path) -> anyhow::Result<()> {
    let options = wit_bindgen_c::Opts { async_: blocking(), ..Default::default() };
    for (name, text) in generate(options.build())?.iter() {
        write(&folder.join(name), text)?;
    }
    Ok(())
}

/// One package for each grouping, under `parlor/contract`, and `files.rs`, which has all of them by their names in the SDK.
fn go(folder: &Path) -> anyhow::Result<()> {
    let options = wit_bindgen_go::Opts {
        async_: blocking(),
        // Who builds parlor need not have Go.
        format: wit_bindgen_go::Format::False,
        pkg_name: Some("parlor/contract".to_owned()),
        ..Default::default()
    };
    let mut list = String::from("&[\n");
    for (name, text) in generate(options.build())?.iter() {
        let name = named_in_go(name);
        let (rest, imports) = without_imports(&named_in_go(std::str::from_utf8(text)?));
        for (name, text) in [(name.clone(), whole_in_go(&rest))].into_iter().chain(beside(&name, &rest, &imports)) {
            write(&folder.join(&name), text.as_bytes())?;
            writeln!(list, "    (\"contract/{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/go/{name}\"))),")?;
        }
    }
    list.push(']');
    write(&folder.join("files.rs"), list.as_bytes())
}

/// With the names that a package has in Go, and on the SDK's own ground instead of a module that would have to be fetched.
fn named_in_go(text: &str) -> String {
    text.replace("parlor_plugin_", "")
        .replace("go.bytecodealliance.org/pkg/wit/types", "parlor/contract/wit")
        .replace("go.bytecodealliance.org/pkg/wit/runtime", "parlor/internal/abi")
}

/// A function of the host's as the bindings declare it.
struct Import {
    /// Which one it is, for the linker: `parlor:plugin/rooms@0.1.0 get`.
    of: String,
    /// `func wasm_import_get(arg0 uintptr, arg1 uint32, arg2 uintptr)`.
    declared: String,
}

/// The bindings without what they import, and that.
fn without_imports(text: &str) -> (String, Vec<Import>) {
    let (mut rest, mut imports) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        match line.strip_prefix("//go:wasmimport ") {
            Some(of) => {
                let declared = lines.next().unwrap_or_default().trim_end().to_owned();
                imports.push(Import { of: of.to_owned(), declared });
            }
            None => rest.extend([line, "\n"]),
        }
    }
    (rest, imports)
}

/// The files that hold the imports, beside the bindings: the host's own functions in a component, and what says that there is no
/// host where an author's own tests run, for which Go would find nothing to link.
fn beside(name: &str, rest: &str, imports: &[Import]) -> Vec<(String, String)> {
    let Some(package) = rest.lines().find(|line| line.starts_with("package ")).filter(|_| !imports.is_empty()) else {
        return Vec::new();
    };
    let needs_unsafe = imports.iter().any(|one| one.declared.contains("unsafe."));
    let unsafely = if needs_unsafe { "import \"unsafe\"\n\n" } else { "" };
    let mut hosted = format!("//go:build wasip1\n\n{package}\n\n{unsafely}");
    let mut outside =
        format!("//go:build !wasip1\n\n{package}\n\nimport witRuntime \"parlor/internal/abi\"\n{unsafely}");
    for Import { of, declared } in imports {
        hosted.extend(["//go:wasmimport ", of, "\n", declared, "\n\n"]);
        let call = of.split_once('/').map_or(of.as_str(), |(_, of)| of).replace("@0.1.0 ", ".");
        outside.extend([declared, " { panic(witRuntime.Outside(\"", &call, "\")) }\n\n"]);
    }
    let file = |end: &str| name.replace("wit_bindings.go", end);
    vec![(file("wit_imports.go"), hosted), (file("wit_outside.go"), outside)]
}

/// With texts that are UTF-8 wherever an author cut them: the host ends a plugin whose texts are none. And what a call is given is
/// held by the call's own pinner, and so no longer than until it has been read.
fn whole_in_go(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        let lowered =
            line.split_once(":= unsafe.Pointer(unsafe.StringData(").and_then(|(_, rest)| rest.strip_suffix("))"));
        if let Some(text) = lowered {
            writeln!(whole, "{text} = witRuntime.Text({text})").expect("a String takes all");
        }
        // Nothing that needs memory comes but by way of the return area, and whoever has one has a pinner.
        let gives = line.trim_start().starts_with("wasm_import_") && line.ends_with("returnArea)");
        let (begin, end) = if gives { ("witRuntime.Begin(pinner)\n", "witRuntime.End()\n") } else { ("", "") };
        whole.extend([begin, line, "\n", end]);
    }
    let needs_import = whole.contains("witRuntime.") && !whole.contains("witRuntime \"");
    if needs_import { whole.replacen("import (", "import (\nwitRuntime \"parlor/internal/abi\"", 1) } else { whole }
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(path, text)?;
    Ok(())
}
