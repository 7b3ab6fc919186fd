//! The enum of the calls of the contract, as a source file of the host.

use std::fmt::Write as _;

use super::contract::Interface;

/// Returns the source file.
pub(super) fn source(interfaces: &[Interface]) -> String {
    let calls: Vec<_> =
        interfaces.iter().flat_map(|one| one.functions().map(move |function| (one.name.as_str(), function))).collect();
    let mut rows = String::new();
    for (grouping, function) in &calls {
        let _ = writeln!(rows, "    {}{} = \"{grouping}\" \"{function}\";", capital(grouping), capital(function));
    }
    FORM.replace("ROWS\n", &rows).replace("NUMBER", &calls.len().to_string())
}

/// Returns a name of the contract as a part of a Rust name: `set-subject` as `SetSubject`.
fn capital(name: &str) -> String {
    let parts = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]);
    parts.collect()
}

const FORM: &str = "\
//! The calls of the contract by name. Made by `cargo xtask docs` from `wit/`; a change here is lost.

/// Declares a variant for each call, and the table of their names.
macro_rules! calls {
    ($($variant:ident = $grouping:literal $function:literal;)*) => {
        /// A call of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CallName {
            $(#[doc = concat!(\"`\", $grouping, \".\", $function, \"`\")] $variant,)*
        }

        /// The grouping, function and name of each call.
        const PARTS: [(&str, &str, &str); CallName::COUNT] =
            [$(($grouping, $function, concat!($grouping, \".\", $function)),)*];
    };
}

calls! {
ROWS
}

impl CallName {
    /// The number of calls.
    pub const COUNT: usize = NUMBER;

    /// Returns the grouping, named after the interface in `wit/`.
    pub const fn grouping(self) -> &'static str {
        PARTS[self as usize].0
    }

    /// Returns the function, as in `wit/`.
    pub const fn function(self) -> &'static str {
        PARTS[self as usize].1
    }

    /// Returns both, such as `rooms.set-subject`.
    pub const fn name(self) -> &'static str {
        PARTS[self as usize].2
    }
}
";
