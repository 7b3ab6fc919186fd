//! Write plugins for parlor.
#[expect(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::pedantic, reason = "generated from wit/")]
#[doc(hidden)]
pub mod bindings;
