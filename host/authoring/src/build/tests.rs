//! Tests of everything but the compilers; the suite builds real plugins.

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn build_in(folder: &tempfile::TempDir) -> Result<Built, BuildError> {
    build(&Request {
        folder: folder.path().to_owned(),
        output: None,
        traces: Traces::Functions,
        consent: Consent::Given,
    })
}

#[test]
fn a_folder_without_cargo_toml_is_not_a_plugin() {
    let error = build_in(&folder(&[])).expect_err("refused");
    assert!(matches!(error, BuildError::NotAPlugin(_)), "{error}");
}

/// A watched folder may turn into one whose build runs code.
#[test]
fn a_build_that_nobody_agreed_to_is_refused_where_the_compiler_would_be_started() {
    for mark in ["Cargo.toml", "go.mod", "plugin.c"] {
        let folder = folder(&[(mark, ""), ("plugin.toml", "")]);
        let error = fresh(folder.path(), Consent::Remembered).expect_err("refused");
        assert!(matches!(error, BuildError::NotTrusted { .. }), "{mark}: {error}");
    }
}

#[test]
fn a_folder_without_manifest_is_told_what_to_write() {
    let error = build_in(&folder(&[("Cargo.toml", "")])).expect_err("refused");
    assert!(matches!(error, BuildError::NoManifest(_)), "{error}");
    assert!(error.to_string().contains("has no plugin.toml; write one"));
}

#[test]
fn a_broken_manifest_is_refused_before_anything_is_compiled() {
    let manifest = "[plugin]\nname = \"p\"\nversion = \"1\"\n";
    let error = build_in(&folder(&[("Cargo.toml", ""), ("plugin.toml", manifest)])).expect_err("refused").to_string();
    assert!(
        error.ends_with(
            "/plugin.toml:3:1: `plugin.version` has to be a version, three numbers in quotes such as \"1.0.0\""
        ),
        "{error}"
    );
}

#[test]
fn a_plugin_for_another_version_of_the_contract_is_refused_before_anything_is_compiled() {
    let manifest = "[plugin]\nname = \"p\"\nversion = \"0.1.0\"\napi = \"9.0.0\"\ndescription = \"d\"\n";
    let error = build_in(&folder(&[("Cargo.toml", ""), ("plugin.toml", manifest)])).expect_err("refused").to_string();
    assert!(error.contains("plugin.toml:4:1: the plugin is built against version 9.0.0 of the contract"), "{error}");
    assert!(error.ends_with(", and write `api = \"0.1.0\"` here"), "{error}");
}

#[test]
fn the_language_stands_beside_what_tools_say_of_themselves() {
    let text = r#"(component (@custom "producers" "\01\0cprocessed-by\01\05maker\011"))"#;
    let component = wat::parse_str(text).expect("a component");
    let written = written_in(Language::TypeScript, &component).expect("written");
    let sections: Vec<_> = wasmparser::Parser::new(0)
        .parse_all(&written)
        .filter_map(|part| match part.expect("valid") {
            wasmparser::Payload::CustomSection(custom) if custom.name() == "producers" => Some(custom.data()),
            _ => None,
        })
        .collect();
    let expected: &[u8] = b"\x02\x0cprocessed-by\x01\x05maker\x011\x08language\x01\x0aTypeScript\x00";
    assert_eq!(sections, [expected]);
}

#[test]
fn a_section_is_appended_as_a_parser_reads_it() {
    let mut component = wat::parse_str("(component)").expect("a component");
    section(&mut component, SECTION, "[plugin]\n");
    let found = wasmparser::Parser::new(0).parse_all(&component).find_map(|part| match part.expect("valid") {
        wasmparser::Payload::CustomSection(custom) if custom.name() == SECTION => Some(custom.data().to_vec()),
        _ => None,
    });
    assert_eq!(found.as_deref(), Some(b"[plugin]\n".as_slice()));
}
