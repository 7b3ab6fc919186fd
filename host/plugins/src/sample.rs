//! A plugin without a language, for tests: the text of a component whose functions trap.

use crate::manifest::SECTION;

/// The export that the host calls, made of core functions that trap.
pub const GUEST_EXPORT: &str = r#"
  (core module $m
    (func (export "start") (result i32) unreachable)
    (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (func $f async (canon lift (core func $i "start") async (callback (core func $i "callback"))))
  (instance $guest
    (export "initialize" (func $f))
    (export "handle-event" (func $f))
    (export "stop" (func $f)))
  (export "parlor:plugin/guest@0.1.0" (instance $guest))
"#;

/// Returns the section with this manifest.
pub fn section(manifest: &str) -> String {
    format!("(@custom \"{SECTION}\" \"{}\")", manifest.escape_default())
}

/// Returns a complete plugin with this manifest, which imports nothing.
pub fn plugin_with(manifest: &str) -> String {
    format!("(component {GUEST_EXPORT} {})", section(manifest))
}
