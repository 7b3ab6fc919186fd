//! The contract in Rust: the one `bindgen!` call. Only `api/`, `engine` and `run` name the items in here.
#![allow(missing_docs, reason = "generated from `wit/`, which is documented for authors of plugins")]
#![allow(clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    // Its answer depends on the handler that asks.
    imports: { "parlor:plugin/settings.get": store },
});
