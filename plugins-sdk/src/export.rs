//! The functions that `plugin!` exports: those of the bindings, with one of them mended.
//!
//! `wit-bindgen` never frees the block in which an event's fields arrive (its generator skips that for every `async`
//! export whose arguments do not fit into registers), and a bot handles events for months. The folders of modules below
//! have the names that the generated macro looks for.

pub mod exports {
    pub mod parlor {
        pub mod plugin {
            pub mod guest {
                pub use crate::bindings::exports::parlor::plugin::guest::*;

                /// Starts the handling of an event, and frees the block with its fields.
                ///
                /// # Safety
                ///
                /// Only the host calls it, with a block that `cabi_realloc` gave.
                #[expect(unsafe_code, reason = "the block has no owner in the generated code")]
                pub unsafe fn _export_handle_event_cabi<T: Guest>(fields: *mut u8) -> i32 {
                    // SAFETY: it is what the host gave, for this very function.
                    let code = unsafe {
                        crate::bindings::exports::parlor::plugin::guest::_export_handle_event_cabi::<T>(fields)
                    };
                    // The first poll has taken everything out of the block, and that poll is over: see `start_task` in
                    // `wit_bindgen::rt::async_support`. SAFETY: `cabi_realloc` made it with the layout of the
                    // arguments, and only this code frees it.
                    unsafe { std::alloc::dealloc(fields, crate::export::FIELDS) };
                    code
                }
            }
        }
    }
}

/// The layout of an event's fields in the memory of a plugin, by the canonical ABI. A test compares it with the contract.
const FIELDS: std::alloc::Layout = match std::alloc::Layout::from_size_align(576, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two, and a small size"),
};

#[cfg(test)]
mod tests {
    use wit_parser::{Resolve, SizeAlign};

    #[test]
    fn the_block_of_an_events_fields_has_the_contracts_layout() {
        let mut contract = Resolve::default();
        contract.push_path("../wit").unwrap();
        let mut sizes = SizeAlign::default();
        sizes.fill(&contract);
        let guest = contract.interfaces.iter().find(|(_, one)| one.name.as_deref() == Some("guest")).unwrap().1;
        let fields = sizes.record(guest.functions["handle-event"].params.iter().map(|one| &one.ty));
        let layout = (super::FIELDS.size(), super::FIELDS.align());
        assert_eq!(layout, (fields.size.size_wasm32(), fields.align.align_wasm32()));
    }
}
