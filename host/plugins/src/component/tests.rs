//! Tests with files as `parlor plugin build` makes them, and with hostile ones.

use wasm_encoder::{ProducersField, ProducersSection, Section as _};

use super::*;
use crate::sample::{self, GUEST_EXPORT, section};

const MANIFEST: &str =
    "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n";

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A complete plugin with these imports.
fn plugin(imports: &str) -> Vec<u8> {
    wat(&format!("(component {imports} {GUEST_EXPORT} {})", section(MANIFEST)))
}

/// A complete plugin with this manifest, which imports nothing.
pub(crate) fn plugin_with(manifest: &str) -> Vec<u8> {
    wat(&sample::plugin_with(manifest))
}

fn refusal(bytes: &[u8]) -> String {
    examine(bytes).unwrap_err().to_string()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

/// A section: its number, its length, its bytes.
fn raw_section(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number][..], &leb(body.len()), body].concat()
}

fn raw_component(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &sections.concat()].concat()
}

fn raw_module(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat()
}

/// Examines hostile bytes, which must be refused quickly.
fn refused_soon(bytes: &[u8]) -> ComponentError {
    let begin = Instant::now();
    let error = examine(bytes).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(20), "{error} took {:?}", begin.elapsed());
    error
}

#[test]
fn a_plugin_is_read_with_the_functions_that_it_imports() {
    let bytes = plugin(
        r#"
        (import "parlor:plugin/types@0.1.0" (instance $types (type $j string) (export "jid" (type (eq $j)))))
        (alias export $types "jid" (type $jid))
        (import "parlor:plugin/rooms@0.1.0" (instance
            (export "jid" (type (eq $jid))) (type $f (func async (param "jid" string)))
            (export "send" (func (type $f))) (export "open" (func (type $f)))))
        (import "parlor:plugin/chats@0.1.3" (instance (export "send" (func async (param "jid" string)))))
        (import "parlor:plugin/listen@0.1.0" (instance (type $e (record (field "a" string))) (export "event" (type (eq $e)))))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))
        "#,
    );
    let examined = examine(&bytes).unwrap();
    let names: Vec<_> =
        examined.imports.iter().map(|import| format!("{}.{}", import.grouping, import.function)).collect();
    assert_eq!(names, ["chats.send", "rooms.open", "rooms.send"]);
    assert!(examined.needs.wasi);
    assert_eq!((examined.digest, examined.size), (Digest::of(&bytes), bytes.len()));
    assert_eq!(examined.manifest.name.as_str(), "echo");
    let quiet = examine(&plugin("")).unwrap();
    assert!(quiet.imports.is_empty() && !quiet.needs.wasi);
}

#[test]
fn the_language_is_what_the_whole_says_of_itself_bounded_and_harmless() {
    let written_in = |names: &[&str]| {
        let mut languages = ProducersField::new();
        for name in names {
            languages.value(name, "");
        }
        let mut producers = ProducersSection::new();
        producers.field("processed-by", &ProducersField::new()).field("language", &languages);
        let mut bytes = plugin("");
        producers.append_to(&mut bytes);
        examine(&bytes).unwrap().language
    };
    assert_eq!(written_in(&["Rust"]).as_deref(), Some("Rust"));
    assert_eq!(written_in(&["C", "Go"]).as_deref(), Some("C, Go"));
    assert_eq!(written_in(&["\x1b[2J\u{202e}\n"]).as_deref(), Some("\\u{1b}[2J\\u{202e}\\u{a}"));
    let long = "x".repeat(100_000);
    let cut = written_in(&[long.as_str(); 50]).unwrap();
    assert!(cut.starts_with("xxx") && cut.len() < MAX_LANGUAGES * (LONGEST_LANGUAGE + 8), "{cut}");
    let nobody: [&[&str]; 2] = [&[], &[""]];
    for nothing in nobody {
        assert_eq!(written_in(nothing), None);
    }
    let without = |text: &str| examine(&plugin(text)).unwrap().language;
    assert_eq!(without(""), None);
    assert_eq!(without("(@custom \"producers\" \"\\ff\")"), None);
    // A nested module may be an adapter written in another language.
    assert_eq!(without("(core module (@custom \"producers\" \"\\01\\08language\\01\\04Rust\\00\"))"), None);
}

#[test]
fn a_component_is_not_instantiated_again_and_again() {
    let resource = "(component $c (type $r (resource (rep i32))) (export \"r\" (type $r)))";
    // The instance that is exported to the host counts too.
    let with = |instances: usize| plugin(&format!("{resource} {}", "(instance (instantiate $c))".repeat(instances)));
    let most = MAX_INSTANCES as usize;
    assert!(examine(&with(most - 1)).is_ok());
    let expected = ComponentError::TooMany { what: "instances of components", most };
    for instances in [most, 900] {
        assert_eq!(examine(&with(instances)), Err(expected.clone()), "{instances}");
    }
}

#[test]
fn what_is_no_component_is_told_apart() {
    assert_eq!(examine(b""), Err(ComponentError::Empty));
    assert_eq!(examine(b"\x7fELF\x02\x01\x01"), Err(ComponentError::Precompiled));
    assert_eq!(examine(b"#!/bin/sh\n"), Err(ComponentError::NotWasm));
    assert_eq!(examine(b"\0asm"), Err(ComponentError::NotWasm));
    assert_eq!(examine(b" (component)"), Err(ComponentError::Text));
    assert_eq!(examine(&wat("(module)")), Err(ComponentError::CoreModule));
    assert_eq!(examine(&vec![0; MAX_BYTES + 1]), Err(ComponentError::TooLarge(MAX_BYTES + 1)));
    assert!(refusal(&wat("(module)")).contains("parlor plugin build"));
}

#[test]
fn precompiled_code_is_refused() {
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&wat("(component)")).unwrap();
    assert_eq!(examine(&compiled), Err(ComponentError::Precompiled));
}

#[test]
fn what_this_accepts_the_engine_accepts() {
    wasmtime::component::Component::new(&wasmtime::Engine::default(), plugin("")).unwrap();
}

#[test]
fn cut_and_changed_files_are_malformed_or_otherwise_refused() {
    let whole = plugin(r#"(import "parlor:plugin/chats@0.1.0" (instance (export "send" (func async))))"#);
    // After the manifest there are only names for a debugger.
    let end = whole.windows(MANIFEST.len()).position(|window| window == MANIFEST.as_bytes()).unwrap() + MANIFEST.len();
    for cut in 0..end {
        assert!(examine(&whole[..cut]).is_err(), "cut at {cut}");
    }
    assert!(examine(&whole[..end]).is_ok());
    for at in 8..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            // Any result is acceptable, but no panic.
            let _ = examine(&changed);
        }
    }
    assert!(matches!(examine(&raw_component(&[raw_section(99, b"")])), Err(ComponentError::Malformed { .. })));
}

#[test]
fn one_manifest_and_no_other_number() {
    assert_eq!(examine(&wat(&format!("(component {GUEST_EXPORT})"))), Err(ComponentError::NoManifest));
    let two = format!("(component {GUEST_EXPORT} {0} {0})", section(MANIFEST));
    assert_eq!(examine(&wat(&two)), Err(ComponentError::SeveralManifests));
    // A manifest inside a nested component is not the manifest of the whole.
    let inner = format!("(component (component {}) {GUEST_EXPORT})", section(MANIFEST));
    assert_eq!(examine(&wat(&inner)), Err(ComponentError::NoManifest));
    let bad = format!("(component {GUEST_EXPORT} (@custom \"{SECTION}\" \"\\ff\"))");
    assert_eq!(examine(&wat(&bad)), Err(ComponentError::ManifestNotText));
    assert!(matches!(
        examine(&wat(&format!("(component {GUEST_EXPORT} {})", section("x")))),
        Err(ComponentError::Manifest(_))
    ));
}

#[test]
fn only_served_versions_of_the_contract() {
    let built = |api: &str| {
        let manifest = MANIFEST.replace("api = \"0.1.0\"", &format!("api = \"{api}\""));
        examine(&wat(&format!("(component {GUEST_EXPORT} {})", section(&manifest))))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(built("0.1.7"), Ok(()));
    assert_eq!(
        built("0.2.0").unwrap_err(),
        "the plugin is built against version 0.2.0 of the contract, this host serves 0.1.x; update parlor, or build the plugin with an older SDK"
    );
    assert!(built("1.0.0").unwrap_err().ends_with("update parlor, or build the plugin with an older SDK"));
    assert!(built("0.0.9").unwrap_err().ends_with("build the plugin anew, with the present SDK"));
    assert!(built("0.1.0-rc.1").is_err());
    let import =
        |name: &str| refusal(&plugin(&format!("(import \"{name}\" (instance (export \"send\" (func async))))")));
    assert!(import("parlor:plugin/chats@0.2.0").starts_with("`parlor:plugin/chats` is built against version 0.2.0"));
    assert!(import("parlor:plugin/chats").contains("names no version"));
}

#[test]
fn a_lie_about_the_version_is_found_in_the_export_too() {
    let text = format!("(component {GUEST_EXPORT} {})", section(MANIFEST)).replace("guest@0.1.0", "guest@0.3.0");
    assert!(refusal(&wat(&text)).starts_with("`parlor:plugin/guest` is built against version 0.3.0"));
}

#[test]
fn nothing_but_the_contract_and_wasi_is_imported() {
    let import = |text: &str| refusal(&plugin(&format!("(import {text})")));
    let call = "(instance (export \"get\" (func)))";
    assert!(
        import(&format!("\"evil:corp/files@0.1.0\" {call}"))
            .starts_with("the plugin imports `evil:corp/files@0.1.0`; a plugin gets")
    );
    assert!(import("\"env\" (func)").contains("`env`"));
    assert!(import("\"wasi\" (func)").contains("`wasi`"));
    assert!(import(&format!("\"parlor:plugin-evil/chats@0.1.0\" {call}")).contains("a plugin gets nothing but"));
    assert!(
        import(&format!("\"parlor:plugin/nonsense@0.1.0\" {call}"))
            .contains("`parlor:plugin/nonsense@0.1.0`, which is not in the contract")
    );
    assert!(
        import("\"parlor:plugin/chats@0.1.0\" (instance (export \"wipe\" (func)))")
            .contains("`parlor:plugin/chats.wipe`, which is not")
    );
    assert!(
        import("\"parlor:plugin/types@0.1.0\" (instance (export \"get\" (func)))")
            .contains("`parlor:plugin/types.get`")
    );
    assert!(import("\"parlor:plugin/chats@0.1.0\" (instance (export \"get\" (instance)))").contains("chats.get"));
}

#[test]
fn the_host_finds_what_it_calls() {
    let without = |from: &str, to: &str| {
        refusal(&wat(&format!("(component {} {})", GUEST_EXPORT.replace(from, to), section(MANIFEST))))
    };
    assert!(
        without("(export \"parlor:plugin/guest@0.1.0\" (instance $guest))", "")
            .contains("does not export `parlor:plugin/guest`")
    );
    assert!(without("(export \"stop\" (func $f))", "").contains("no async function `stop`"));
    let plain = "(func $f (canon lift (core func $i \"start\")))";
    let lift = "(func $f async (canon lift (core func $i \"start\") async (callback (core func $i \"callback\"))))";
    assert!(GUEST_EXPORT.contains(lift));
    assert!(without(lift, &plain.replace("(canon", "(result u32) (canon")).contains("no async function `initialize`"));
}

#[test]
fn types_inside_types_without_end_do_not_end_the_host() {
    for kind in [0x41, 0x42] {
        // Each level: one declaration, which is a type, which is again a component or instance type.
        let levels = 300_000;
        let body = [&[0x01][..], &[kind, 0x01, 0x01].repeat(levels), &[kind, 0x00]].concat();
        assert!(matches!(refused_soon(&raw_component(&[raw_section(7, &body)])), ComponentError::TooMany { .. }));
        // At the maximum depth the validator refuses the file, and no stack overflows.
        let body = [&[0x01][..], &[kind, 0x01, 0x01].repeat(MAX_TYPE_DEPTH - 1), &[kind, 0x00]].concat();
        assert!(matches!(
            refused_soon(&raw_component(&[raw_section(7, &body)])),
            ComponentError::Malformed { .. } | ComponentError::NoManifest
        ));
    }
}

#[test]
fn components_inside_components_without_end_are_refused() {
    let mut bytes = raw_component(&[]);
    for _ in 0..2_000 {
        bytes = raw_component(&[raw_section(4, &bytes)]);
    }
    assert!(matches!(refused_soon(&bytes), ComponentError::TooMany { what: "levels of nested components", .. }));
}

#[test]
fn too_many_parts_sections_functions_and_types_are_refused() {
    let parts = vec![raw_section(1, &raw_module(&[])); MAX_PARTS + 1];
    assert!(matches!(
        refused_soon(&raw_component(&parts)),
        ComponentError::TooMany { what: "modules and components", .. }
    ));
    let sections = vec![raw_section(0, b"\x01x"); MAX_SECTIONS + 1];
    assert!(matches!(refused_soon(&raw_component(&sections)), ComponentError::TooMany { what: "sections", .. }));

    let types = raw_section(1, &[&leb(1)[..], &[0x60, 0, 0]].concat());
    let count = 50_000;
    let functions = raw_section(3, &[leb(count), vec![0; count]].concat());
    let code = raw_section(10, &[leb(count), [2, 0, 0x0b].repeat(count)].concat());
    let module = raw_module(&[types, functions, code]);
    assert!(matches!(
        refused_soon(&raw_component(&[raw_section(1, &module)])),
        ComponentError::TooMany { what: "functions", .. }
    ));

    let types = raw_section(1, &[leb(count), [0x60, 0, 0].repeat(count)].concat());
    assert!(matches!(
        refused_soon(&raw_component(&[raw_section(1, &raw_module(&[types]))])),
        ComponentError::TooMany { what: "types", .. }
    ));
}

#[test]
fn one_giant_function_is_refused() {
    let body = [&[0][..], &vec![0x01; MAX_FUNCTION_BYTES], &[0x0b]].concat();
    let module = raw_module(&[
        raw_section(1, &[1, 0x60, 0, 0]),
        raw_section(3, &[1, 0]),
        raw_section(10, &[&[1][..], &leb(body.len()), &body].concat()),
    ]);
    assert!(matches!(
        refused_soon(&raw_component(&[raw_section(1, &module)])),
        ComponentError::TooMany { what: "bytes of one function", .. }
    ));
}

#[test]
fn jump_tables_that_take_long_to_check_are_refused() {
    let results = 1_000;
    let types = [&[1, 0x60, 0][..], &leb(results), &vec![0x7f; results]].concat();
    assert_eq!(
        refused_soon(&raw_component(&[raw_section(1, &raw_module(&[raw_section(1, &types)]))])),
        ComponentError::TooMany { what: "parameters and results of one function", most: MAX_ARITY }
    );
    // The worst case that is allowed: a table of many labels, each with the maximum number of results.
    let targets = 100_000;
    let types = [&[1, 0x60, 0][..], &leb(MAX_ARITY), &[0x7f; MAX_ARITY]].concat();
    let values = [0x41, 0].repeat(MAX_ARITY + 1);
    let body = [&[0][..], &values, &[0x0e], &leb(targets), &vec![0; targets + 1], &[0x0b]].concat();
    let module = raw_module(&[
        raw_section(1, &types),
        raw_section(3, &[1, 0]),
        raw_section(10, &[&[1][..], &leb(body.len()), &body].concat()),
    ]);
    let begin = Instant::now();
    assert_eq!(examine(&raw_component(&[raw_section(1, &module)])), Err(ComponentError::NoManifest));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn whatever_else_takes_long_runs_out_of_its_time() {
    let slow = walk(&plugin(""), &mut Found::default(), Duration::ZERO);
    assert_eq!(slow.map(drop), Err(ComponentError::TooSlow(Duration::ZERO)));
}

#[test]
fn blocks_inside_blocks_without_end_take_no_stack() {
    let levels = 300_000;
    let body = [&[0][..], &[0x02, 0x40].repeat(levels), &vec![0x0b; levels + 1]].concat();
    let module = raw_module(&[
        raw_section(1, &[1, 0x60, 0, 0]),
        raw_section(3, &[1, 0]),
        raw_section(10, &[&[1][..], &leb(body.len()), &body].concat()),
    ]);
    refused_soon(&raw_component(&[raw_section(1, &module)]));
}

#[test]
fn types_that_grow_by_doubling_are_refused() {
    let doubling: Vec<_> = (1..60).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
    let doubling = doubling.concat();
    let bytes = wat(&format!("(component (type $t0 (tuple u8 u8)) {doubling})"));
    assert!(matches!(refused_soon(&bytes), ComponentError::Malformed { .. }));
}

#[test]
fn garbage_after_the_header_never_panics() {
    let mut state = 0x2545_f491_u32;
    for _ in 0..5_000 {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for _ in 0..64 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            bytes.push(state.to_le_bytes()[1] & if state & 1 == 0 { 0x0f } else { 0xff });
        }
        assert!(examine(&bytes).is_err());
    }
}
