//! A guest for tests: it subscribes and sets timers in `initialize`, and handles each event at once.

use std::fmt::Write as _;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A step that the guest takes in `initialize`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Subscribes to an event.
    On(&'static str),
    /// Subscribes to one event.
    Once(&'static str),
    /// Sets a timer, in milliseconds.
    After(u64),
    /// Sets a repeating timer, in milliseconds.
    Every(u64),
    /// Traps if a setting of this name has a value.
    TrapIf(&'static str),
}

/// Returns the component of a guest that does this in `initialize`.
pub(crate) fn component(steps: &[Step]) -> Vec<u8> {
    let (mut texts, mut body) = (String::new(), String::new());
    for (number, step) in steps.iter().enumerate() {
        let at = 64 * number;
        let mut text = |words: &str| {
            let _ = writeln!(texts, "(data (i32.const {at}) {words:?})");
            words.len()
        };
        let _ = match step {
            Step::On(name) => {
                writeln!(body, "(call $subscribe (i32.const {at}) (i32.const {}) (i32.const 0))", text(name))
            }
            Step::Once(name) => {
                writeln!(body, "(call $subscribe (i32.const {at}) (i32.const {}) (i32.const 1))", text(name))
            }
            Step::After(time) => writeln!(body, "(call $after (i64.const {time}) (i32.const 2048))"),
            Step::Every(time) => writeln!(body, "(call $every (i64.const {time}) (i32.const 2048))"),
            Step::TrapIf(name) => writeln!(
                body,
                "(call $setting (i32.const {at}) (i32.const {}) (i32.const 2048))
                 (if (i32.load8_u (i32.const 2052)) (then unreachable))",
                text(name)
            ),
        };
    }
    let guest = "parlor:plugin/guest@0.1.0";
    let module = format!(
        r#"(module
            (import "parlor:plugin/listen@0.1.0" "on" (func $on (param i32 i32)))
            (import "parlor:plugin/listen@0.1.0" "once" (func $once (param i32 i32)))
            (import "parlor:plugin/timers@0.1.0" "after" (func $after (param i64 i32)))
            (import "parlor:plugin/timers@0.1.0" "every" (func $every (param i64 i32)))
            (import "parlor:plugin/settings@0.1.0" "get" (func $setting (param i32 i32 i32)))
            (import "[export]{guest}" "[task-return]initialize" (func $initialized (param i32 i32 i32)))
            (import "[export]{guest}" "[task-return]handle-event" (func $handled (param i32)))
            (import "[export]{guest}" "[task-return]stop" (func $stopped))
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 4096))
            {texts}
            (func $subscribe (param $name i32) (param $length i32) (param $once i32)
                (i32.store (i32.const 1024) (local.get $name))
                (i32.store (i32.const 1028) (local.get $length))
                (if (local.get $once)
                    (then (call $once (i32.const 1024) (i32.const 2048)))
                    (else (call $on (i32.const 1024) (i32.const 2048)))))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.set $top (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "[async-lift]{guest}#initialize") (result i32)
                {body}
                (call $initialized (i32.const 0) (i32.const 0) (i32.const 0))
                (i32.const 0))
            (func (export "[callback][async-lift]{guest}#initialize") (param i32 i32 i32) (result i32) unreachable)
            (func (export "[async-lift]{guest}#handle-event") (param i32) (result i32)
                (global.set $top (i32.const 4096))
                (call $handled (i32.const 0))
                (i32.const 0))
            (func (export "[callback][async-lift]{guest}#handle-event") (param i32 i32 i32) (result i32) unreachable)
            (func (export "[async-lift]{guest}#stop") (result i32)
                (call $stopped)
                (i32.const 0))
            (func (export "[callback][async-lift]{guest}#stop") (param i32 i32 i32) (result i32) unreachable))"#
    );
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
