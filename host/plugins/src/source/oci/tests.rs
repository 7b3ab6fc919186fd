//! Tests of references to registries.

use super::*;

#[test]
fn docker_hub_is_asked_where_it_answers() {
    for (text, asked) in [
        ("docker.io/a/b", "https://registry-1.docker.io/v2/a/b/x"),
        ("index.docker.io/a", "https://registry-1.docker.io/v2/library/a/x"),
        ("Docker.IO/a", "https://registry-1.docker.io/v2/library/a/x"),
        ("example.org/a", "https://example.org/v2/a/x"),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.url("x").unwrap().to_string(), asked);
        assert_eq!(reference.to_string(), text.to_ascii_lowercase());
    }
}

#[test]
fn a_reference_is_read_as_it_is_written() {
    let digest = Digest::of(b"");
    for text in ["example.org/a/b", "example.org:5000/a:v1.0_x", &format!("example.org/a@{digest}")] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "example.org",
        "example.org/",
        "example.org/../x",
        "example.org/A",
        "example.org/a:",
        "example.org/a:..",
        "example.org/a:-x",
        "example.org/a:b c",
        "u@h/a",
        "example.org/a@sha256:0",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

#[test]
fn an_error_about_a_manifest_does_not_quote_all_of_it() {
    let reference: Reference = "example.org/a".parse().unwrap();
    let pulled = Pulled { reference, manifest: Digest::of(b""), authorization: None, redirects: Vec::new() };
    let long = format!("{{\"layers\":\"{}\"}}", "x".repeat(LONGEST_MANIFEST / 2));
    let error = pulled.read(long.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("its manifest cannot be read (invalid type: string") && error.len() < 3_000, "{error}");
}
