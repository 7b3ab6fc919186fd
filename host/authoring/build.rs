//! Generates the C and Go bindings of the contract, which `parlor plugin build` gives to plugins in these languages.
//! They therefore always match the contract that this parlor serves.

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

const CONTRACT: &str = "../../wit";

/// Makes all imports and exports blocking: C has no functions that wait beside others, so a call returns when it is done.
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
        match name {
            "plugin.c" => write(&folder.join(name), noted_in_c(std::str::from_utf8(text)?).as_bytes())?,
            name => write(&folder.join(name), text)?,
        }
    }
    Ok(())
}

/// Has each call tell the SDK its name and its address, or the first text, so that an error can name both.
fn noted_in_c(text: &str) -> String {
    let mut noted = String::new();
    for line in text.lines() {
        noted.extend([line, "\n"]);
        let Some((name, parameters)) = line.strip_prefix("bool parlor_plugin_").and_then(|rest| rest.split_once('('))
        else {
            continue;
        };
        let Some(parameters) = parameters.strip_suffix("_error_t *err) {") else { continue };
        let texts = || parameters.split(", ").filter_map(|one| one.rsplit_once(" *"));
        let is_address = |of: &str| of.ends_with("_jid_t") && !of.ends_with("_list_jid_t");
        let address = texts().find(|(of, name)| is_address(of) && *name == "jid");
        let about = address.or_else(|| texts().next().filter(|(of, name)| *of == "plugin_string_t" && *name != "ret"));
        let about = about.map_or_else(|| "NULL, 0".to_owned(), |(_, name)| format!("{name}->ptr, {name}->len"));
        noted.extend(["  parlor_note(\"parlor_plugin_", name, "\", ", &about, ");\n"]);
    }
    noted
}

/// Writes one package for each grouping under `parlor/contract`, and `files.rs`, which lists all of them by their names
/// in the SDK.
fn go(folder: &Path) -> anyhow::Result<()> {
    let options = wit_bindgen_go::Opts {
        // A machine that builds parlor need not have Go.
        format: wit_bindgen_go::Format::False,
        pkg_name: Some("parlor/contract".to_owned()),
        ..Default::default()
    };
    let mut list = String::from("&[\n");
    for (name, text) in generate(options.build())?.iter() {
        let name = named_in_go(name);
        let (rest, mut imports) = without_imports(&named_in_go(std::str::from_utf8(text)?));
        let rest = cancelled_in_go(rest, &mut imports);
        let bindings = with_runtime(taken_in_go(&whole_in_go(&returned_in_go(&noted_in_go(&rest)))));
        for (name, text) in [(name.clone(), bindings)].into_iter().chain(beside(&name, &rest, &imports)) {
            write(&folder.join(&name), text.as_bytes())?;
            writeln!(list, "    (\"contract/{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/go/{name}\"))),")?;
        }
    }
    list.push(']');
    write(&folder.join("files.rs"), list.as_bytes())
}

/// Renames packages for Go, and replaces a module that would need a download by the SDK's own packages.
fn named_in_go(text: &str) -> String {
    text.replace("parlor_plugin_", "")
        .replace("go.bytecodealliance.org/pkg/wit/types", "parlor/contract/wit")
        .replace("go.bytecodealliance.org/pkg/wit/runtime", "parlor/internal/abi")
        .replace("go.bytecodealliance.org/pkg/wit/async", "parlor/internal/tasks")
}

/// Has the result of each call name the call and its address, or the first text, so that an error can name both. The result itself
/// has them, since other calls begin and end while it is decoded. A call without an answer fails: the host's call was cancelled whose
/// handler made it.
fn noted_in_go(text: &str) -> String {
    let package = text.lines().find_map(|line| line.strip_prefix("package ")).unwrap_or_default();
    let (mut noted, mut name_it, mut stopped) = (String::new(), String::new(), String::new());
    let mut is_of_handler = false;
    for line in text.lines() {
        if is_of_handler && line.contains("wasm_import_") {
            noted.push_str("witAsync.InTurn()\n");
        }
        if line.starts_with(WAITS) && !name_it.is_empty() {
            noted.extend(["if !", line, " {\n", &stopped, &name_it, "\n}\n"]);
            continue;
        }
        noted.push_str(line);
        if line.contains(" = witTypes.Err[") && line.contains("types.Error](") {
            noted.push_str(&name_it);
        }
        noted.push('\n');
        if line.starts_with("func ") {
            name_it.clear();
            is_of_handler = false;
        }
        let Some((name, rest)) = call_in_go(line) else { continue };
        let parameters = rest.split_once(") ").map_or("", |(parameters, _)| parameters);
        let first = parameters.split(", ").next().and_then(|one| one.strip_suffix(" string"));
        let about = if parameters.split(", ").any(|one| one == "jid string") { Some("jid") } else { first };
        let call = format!("{package}.{name}");
        is_of_handler = OF_HANDLERS.contains(&call.as_str());
        name_it = format!(".Of(\"{call}\", {})", about.unwrap_or("\"\""));
        let types = rest.split_once("witTypes.Result").map_or("", |(_, types)| types.trim_end_matches(" {"));
        stopped = format!("return witTypes.Err{types}(types.MakeErrorStopped())");
    }
    noted
}

/// How a line of the bindings begins that waits for the host's answer.
const WAITS: &str = "witAsync.SubtaskWait(";

/// Returns the name of a call that can fail, and the rest of its first line, if this line is one.
fn call_in_go(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("func ")?.split_once('(')?;
    let is_call = !name.is_empty() && !name.starts_with("wasm_") && line.ends_with("types.Error] {");
    is_call.then_some((name, rest))
}

/// The calls that the host treats as calls of a handler: the handler's room may have settings of its own, and a handler that
/// waits for a person takes no place. In Go, such a call waits until the handler's own task has a turn.
const OF_HANDLERS: [&str; 6] =
    ["settings.Get", "http.Fetch", "http.Open", "dialogs.Ask", "dialogs.AskInRoom", "dialogs.Wait"];

/// Declares the functions that give up a read of a stream or a future. The generator leaves them out.
fn cancelled_in_go(mut text: String, imports: &mut Vec<Import>) -> String {
    let mut cancels = Vec::new();
    for Import { of, declared } in &*imports {
        let Some((name, _)) = declared.strip_prefix("func ").and_then(|rest| rest.split_once('(')) else { continue };
        if !of.contains("-drop-readable-") {
            continue;
        }
        let cancel = name.replace("_drop_readable_", "_cancel_read_");
        let given = |cancel: &str| format!("CancelRead: {cancel},\n\tCancelWrite: nil,\n\tDropReadable: {name},");
        text = text.replace(&given("nil"), &given(&cancel));
        let of = of.replace("-drop-readable-", "-cancel-read-");
        cancels.push(Import { of, declared: format!("func {cancel}(handle int32) uint32") });
    }
    imports.extend(cancels);
    text
}

/// Has the SDK give the host a handler's result, since any task's turn may be in progress when the handler returns.
fn returned_in_go(text: &str) -> String {
    let mut returned = String::new();
    for line in text.lines() {
        let line = line.replace("witAsync.Run(func() {", "witAsync.Run(func(task *witAsync.Task) {");
        if line.starts_with("wasm_export_task_return_") {
            returned.extend(["task.Return(func() { ", &line, " })\n"]);
        } else {
            returned.extend([&line, "\n"]);
        }
    }
    returned
}

/// A host function as the bindings declare it.
struct Import {
    /// The import's module and name, for the linker: `parlor:plugin/rooms@0.1.0 get`.
    of: String,
    /// The Go declaration: `func wasm_import_get(arg0 uintptr, arg1 uint32, arg2 uintptr)`.
    declared: String,
}

/// Splits the bindings into the text without imports, and the imports.
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

/// Returns the two files that hold the imports, in addition to the bindings. One declares the host's functions for a
/// component. The other serves an author's own tests, which run without a host: there Go would find nothing to link, so
/// each function panics with a message.
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
        let call = of.split_once('/').map_or(of.as_str(), |(_, of)| of);
        let call = call.replace("@0.1.0 ", ".").replace("[async-lower]", "");
        outside.extend([declared, " { panic(witRuntime.Outside(\"", &call, "\")) }\n\n"]);
    }
    let file = |end: &str| Path::new(name).with_file_name(end).to_string_lossy().into_owned();
    vec![(file("wit_imports.go"), hosted), (file("wit_outside.go"), outside)]
}

/// Makes every text UTF-8, since an author may cut a text anywhere and the host ends a plugin that passes invalid UTF-8.
fn whole_in_go(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        let lowered =
            line.split_once(":= unsafe.Pointer(unsafe.StringData(").and_then(|(_, rest)| rest.strip_suffix("))"));
        if let Some(text) = lowered {
            writeln!(whole, "{text} = witRuntime.Text({text})").expect("a String takes all");
        }
        whole.extend([line, "\n"]);
    }
    whole
}

/// Has memory that the host wrote held by the SDK until it is read. Other tasks run between the two, so no call can hold it.
fn taken_in_go(text: &str) -> String {
    let mut taken = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let list = lines.peek().and_then(|next| next.trim_start().strip_prefix("base := unsafe.Add(unsafe.Pointer("));
        let list = list.and_then(|rest| rest.rsplit_once("), index * "));
        if let (Some(rest), Some((place, size))) = (line.trim_start().strip_prefix("for index := 0;"), list) {
            writeln!(
                taken,
                "for index, items := 0, witRuntime.Take({place});{rest}\nbase := unsafe.Add(items, index * {size}"
            )
            .expect("a String takes all");
            lines.next();
            continue;
        }
        let mut line =
            line.replace("unsafe.String((*uint8)(unsafe.Pointer(", "unsafe.String((*uint8)(witRuntime.Take(");
        if line.contains(":= unsafe.Slice((*") {
            line = line.replacen(")(unsafe.Pointer(", ")(witRuntime.Take(", 1);
        }
        // The event itself has been read.
        taken.extend([&line.replace("witRuntime.Unpin()", "witRuntime.Take(arg0)"), "\n"]);
    }
    taken
}

/// Imports the SDK's package for the bindings, if the text calls it.
fn with_runtime(text: String) -> String {
    let needs_import = text.contains("witRuntime.") && !text.contains("witRuntime \"");
    if needs_import { text.replacen("import (", "import (\nwitRuntime \"parlor/internal/abi\"", 1) } else { text }
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(path, text)?;
    Ok(())
}
