//! wasmtime's description of how a plugin ended: the place in its code, and the cause.
//!
//! Names in it are chosen by the plugin's author, and wasmtime is built without C++ demangling: a C++ name of a few
//! hundred bytes can expand to more text than there is memory.

use std::fmt::{self, Write as _};
use std::io;

use parlor_base::escape::escape_untrusted;

/// The maximum length of a description, in bytes.
const LONGEST: usize = 64 << 10;
/// The maximum length of one of its lines, in bytes.
const LONGEST_LINE: usize = 1 << 10;

/// Returns the description of an error, with Rust function names demangled.
pub(super) fn detail(error: &wasmtime::Error) -> String {
    let (mut written, mut read) = (Cut::default(), Cut::default());
    // A write only fails when the text is full, and then the text so far will do.
    let _ = write!(written, "{error:?}");
    let _ = rustc_demangle::demangle_stream(&mut written.0.as_bytes(), &mut read, true);
    let lines: Vec<_> = read.0.lines().map(|line| escape_untrusted(line, LONGEST_LINE)).collect();
    lines.join("\n")
}

/// The minimum number of times that a function appears in the backtrace of infinite recursion. wasmtime shows 20
/// functions.
const DEEP: usize = 8;

/// Returns whether a memory fault is due to a full stack. Languages that keep local variables in memory place their
/// stack at the bottom of memory, so the first access past its end wraps to an address far above all memory.
pub(super) fn is_full_stack(detail: &str) -> bool {
    let after = |text: &str| detail.split_once(text).map(|(_, rest)| rest);
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    let address = after("memory fault at wasm address 0x").and_then(|rest| u64::from_str_radix(&digits(rest), 16).ok());
    let wraps = address.is_some_and(|address| address >= u64::from(u32::MAX) - BELOW);
    let names = || detail.lines().filter_map(|line| line.split_once(": ")?.1.split_once(" - ")).map(|(_, name)| name);
    wraps && names().any(|name| names().filter(|other| *other == name).count() >= DEEP)
}

/// How far below the stack one function may reach: the size of its local variables.
const BELOW: u64 = 16 << 20;

/// A text with a maximum length.
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

    /// Returns the description of a trap in a function of this name.
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
        let detail = detail_of("_ZN6repeat4fall17he8a7393de1e83f76E");
        assert!(detail.contains("repeat::fall::he8a7393de1e83f76"), "{detail}");
        assert!(detail.contains("\n\nCaused by:\n"), "{detail}");
    }

    #[test]
    fn a_full_stack_is_told_from_other_faults_of_memory() {
        let trap = |address: &str, names: &[&str]| {
            let frame = |(at, name): (usize, &&str)| format!("{at:5}: 0xa43d - repeat!{name}\n");
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

    /// Each type name is ten times as long as the one before it.
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
