//! The debug information of a module: the names of its functions, and their files and lines (DWARF).
//!
//! Compilers must write all of it. The author's own file keeps it for backtraces. The file for owners keeps only what
//! the author wants, and is as small as if the rest had never been written.

use wasm_encoder::RawSection;
use wasmparser::{Parser, Payload};

/// The debug information that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DebugInfo {
    /// None.
    Nothing,
    /// The names of functions.
    Functions,
    /// Everything.
    Lines,
}

/// Returns the core module with only this debug information, and otherwise unchanged.
pub(super) fn keep(module: Vec<u8>, kept: DebugInfo) -> wasmparser::Result<Vec<u8>> {
    if kept == DebugInfo::Lines {
        return Ok(module);
    }
    let mut left = wasm_encoder::Module::new();
    for part in Parser::new(0).parse_all(&module) {
        let part = part?;
        let is_left_out = matches!(&part, Payload::CustomSection(section) if match section.name() {
            "name" => kept == DebugInfo::Nothing,
            name => name.starts_with(".debug_"),
        });
        if let Some((id, range)) = part.as_section().filter(|_| !is_left_out) {
            left.section(&RawSection { id, data: &module[range] });
        }
    }
    Ok(left.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of a module's custom sections.
    fn customs(module: &[u8]) -> Vec<String> {
        let parts = Parser::new(0).parse_all(module).filter_map(|part| match part.unwrap() {
            Payload::CustomSection(section) => Some(section.name().to_owned()),
            _ => None,
        });
        parts.collect()
    }

    #[test]
    fn what_is_left_out_is_as_if_it_had_never_been_there() {
        let with =
            r#"(module (@custom ".debug_line" "x") (func $f) (@custom "producers" "\00") (@custom ".debug_info" "y"))"#;
        let without = r#"(module (func) (@custom "producers" "\00"))"#;
        let (with, without) = (wat::parse_str(with).unwrap(), wat::parse_str(without).unwrap());
        assert_eq!(customs(&with), [".debug_line", "producers", ".debug_info", "name"]);
        assert_eq!(keep(with.clone(), DebugInfo::Lines).unwrap(), with);
        assert_eq!(customs(&keep(with.clone(), DebugInfo::Functions).unwrap()), ["producers", "name"]);
        assert_eq!(keep(with, DebugInfo::Nothing).unwrap(), without);
    }
}
