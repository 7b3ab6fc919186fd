//! The part of wasmtime's configuration that machine code depends on.

use parlor_plugins::limits::WASM_STACK;
use wasmtime::{Config, OptLevel, WasmBacktraceDetails};

use crate::traces::Traces;

/// Returns the configuration that affects code generation. A compiler process and the engine that runs its code must
/// use the same one.
pub(crate) fn base(traces: Traces, optimized: bool) -> Config {
    let mut config = Config::new();
    // This is set explicitly, so that it does not depend on an environment variable that a compiler process does not
    // have.
    let details = match traces {
        Traces::Functions => WasmBacktraceDetails::Disable,
        Traces::Lines => WasmBacktraceDetails::Enable,
    };
    config
        .wasm_backtrace_details(details)
        .cranelift_opt_level(if optimized { OptLevel::Speed } else { OptLevel::None })
        .epoch_interruption(true)
        .wasm_component_model_async(true)
        // Deep recursion ends the guest with a trap.
        .max_wasm_stack(WASM_STACK.as_usize())
        .async_stack_size(2 * WASM_STACK.as_usize())
        // Copy-on-write images double the mappings of an instance, and the kernel limits those of a process.
        .memory_init_cow(false);
    config
}
