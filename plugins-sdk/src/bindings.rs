//! The bindings that `wit-bindgen` makes of `wit/`: the only place in the crate with unsafe code, none of it by hand.
//!
//! Plugins use the other modules of this crate; only [`plugin!`](crate::plugin) uses this one.

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    // A plugin has no other part that could offer these names, and no need to depend on `wit-bindgen` itself.
    pub_export_macro: true,
    generate_unused_types: true,
    default_bindings_module: "parlor_sdk::bindings",
    additional_derives: [PartialEq],
    additional_type_attributes: {
        "parlor:plugin/types@0.1.0/outgoing": [#[derive(Default)]],
        "parlor:plugin/types@0.1.0/extensions": [#[derive(Default)]],
        "parlor:plugin/types@0.1.0/link-preview": [#[derive(Default)]],
        "parlor:plugin/listen@0.1.0/filter": [#[derive(Default)]],
        "parlor:plugin/archive@0.1.0/options": [#[derive(Default)]],
        "parlor:plugin/commands@0.1.0/declaration": [#[derive(Default)]],
        "parlor:plugin/vcard@0.1.0/card-data": [#[derive(Default)]],
        "parlor:plugin/pubsub@0.1.0/node-options": [#[derive(Default)]],
        "parlor:plugin/rooms@0.1.0/attributes": [#[derive(Default)]],
        "parlor:plugin/rooms@0.1.0/history": [#[derive(Default)]],
        "parlor:plugin/rooms@0.1.0/invitation": [#[derive(Default)]],
    },
});

/// The two interfaces of WASI that a plugin may want. As of the contract, it imports what it calls.
#[cfg(target_arch = "wasm32")]
pub mod wasi {
    wit_bindgen::generate!({
        inline: "
            package parlor:sdk;

            world wasi {
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:random/random@0.2.0;
            }

            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                }
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-u64: func() -> u64;
                }
            }
        ",
        world: "parlor:sdk/wasi",
        generate_all,
    });
}
