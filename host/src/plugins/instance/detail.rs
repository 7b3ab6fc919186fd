//! wasmtime's account of how a plugin ended: where in its code, and why.
//!
//! The names in it are the plugin's own words, and wasmtime is built so that it does not spell them out: in C++, a name of a few
//! hundred bytes can stand for more text than there is memory.

use std::fmt::{self, Write as _};
use std::io;

use crate::harmless::harmless;

/// How long an account may be, in bytes.
const LONGEST: usize = 64 << 10;
/// How long one of its lines may be.
const LONGEST_LINE: usize = 1 << 10;

/// The account of an error, on lines of their own, with the names of functions in Rust as their authors wrote them.
pub(super) fn detail(error: &wasmtime::Error) -> String {
    let (mut written, mut read) = (Cut::default(), Cut::default());
    // Either fails only where there is no more room, and then what there is will do.
    let _ = write!(written, "{error:?}");
    let _ = rustc_demangle::demangle_stream(&mut written.0.as_bytes(), &mut read, true);
    let lines: Vec<_> = read.0.lines().map(|line| harmless(line, LONGEST_LINE)).collect();
    lines.join("\n")
}

/// How often a function stands in a backtrace at least that has called itself until there was no stack left. wasmtime shows 20
/// functions.
const DEEP: usize = 8;

/// Whether an account of a memory fault is that of a stack which is full: languages that keep local variables in memory have their
/// stack below everything else, so that the first access past its end is one far above all memory.
pub(super) fn is_full_stack(detail: &str) -> bool {
    let after = |text: &str| detail.split_once(text).map(|(_, rest)| rest);
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    let address = after("memory fault at wasm address 0x").and_then(|rest| u64::from_str_radix(&digits(rest), 16).ok());
    let wraps = address.is_some_and(|address| address >= u64::from(u32::MAX) - BELOW);
    let names = || detail.lines().filter_map(|line| line.split_once(": ")?.1.split_once(" - ")).map(|(_, name)| name);
    wraps && names().any(|name| names().filter(|other| *other == name).count() >= DEEP)
}

/// How far below its stack a function may reach at once: its local variables.
const BELOW: u64 = 16 << 20;

/// A text that takes no more than it has room for.
#[derive(Default)]
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

impl io::Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    /// What is said of a trap in a function of this name.
    fn detail_of(name: &str) -> String {
        let engine = Engine::default();
        let text = format!("(module (func (@name \"{name}\") (export \"go\") unreachable))");
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let go = instance.get_typed_func::<(), ()>(&mut store, "go").unwrap();
        detail(&go.call(&mut store, ()).unwrap_err())
    }

    #[test]
    fn a_function_in_rust_has_the_name_that_its_author_gave_it() {
        let detail = detail_of("_ZN6parrot4fall17he8a7393de1e83f76E");
        assert!(detail.contains("parrot::fall::he8a7393de1e83f76"), "{detail}");
        assert!(detail.contains("\n\nCaused by:\n"), "{detail}");
    }

    #[test]
    fn a_full_stack_is_told_from_other_faults_of_memory() {
        let trap = |address: &str, names: &[&str]| {
            let frame = |(at, name): (usize, &&str)| format!("{at:5}: 0xa43d - parrot!{name}\n");
            let frames = names.iter().enumerate().map(frame).collect::<Vec<_>>().concat();
            format!(
                "error while executing at wasm backtrace:\n{frames}\nCaused by:\n    0: memory fault at wasm address \
                 0x{address} in linear memory of size 0x110000\n    1: wasm trap: out of bounds memory access"
            )
        };
        let deep = ["fall"; 20];
        assert!(is_full_stack(&trap("fffffff8", &deep)));
        assert!(!is_full_stack(&trap("fffffff8", &["write", "answer", "dispatch"])), "a pointer of its own");
        assert!(!is_full_stack(&trap("200000", &deep)), "past the end of an array");
        assert!(!is_full_stack("wasm trap: wasm `unreachable` instruction executed"));
    }

    /// Each type is ten times the one before it.
    #[test]
    fn a_name_that_stands_for_more_than_any_memory_is_not_spelled_out() {
        let ten_times = |name: String, place: char| name + "S_I" + &format!("S{place}_").repeat(10) + "E";
        let name = "0123456789".chars().fold("_Z1f1AIiiE".to_owned(), ten_times);
        let detail = detail_of(&name);
        assert!(detail.contains(&name), "{detail}");
    }

    #[test]
    fn no_name_makes_an_account_long_or_moves_a_cursor() {
        let detail = detail_of(&format!("\\1b[2J{}", "x".repeat(99_000)));
        assert!(!detail.contains('\u{1b}') && detail.contains("\\u{1b}[2Jxxx"), "{detail}");
        assert!(detail.lines().all(|line| line.len() < LONGEST_LINE + 8), "{detail}");
    }
}
