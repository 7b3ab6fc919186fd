//! The engine resources that the code of one instance may take: memory, tables, core instances. Also translates the
//! errors of limits that the engine enforces itself.
//!
//! A guest that wants more is ended, since it could only abort with a less helpful reason. If its language raises an
//! error when memory runs out, the growth fails instead, so that the author sees where it happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use parlor_base::quantity::Bytes;
use parlor_plugins::limits::Limits;
use wasmtime::ResourceLimiter;
use wasmtime::component::{Component, ResourceTableError};

/// The resource limits of one Store. Nothing is given back before the Store is dropped.
#[derive(Debug)]
pub(super) struct Ceiling {
    memory: Bytes,
    table_elements: usize,
    instances: usize,
    tables: usize,
    memories: usize,
    /// The bytes of all its memories together.
    taken: usize,
    /// Whether memory growth beyond the limit fails, instead of ending the guest.
    raises: bool,
    /// The same figures, for readers outside of the Store.
    shown: Arc<Taken>,
}

/// The resources that an instance holds, for readers outside of its Store.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Bytes of linear memory.
    pub(super) memory: AtomicU64,
    /// Elements of its largest table.
    pub(super) table_elements: AtomicU64,
    /// Number of its memories.
    pub(super) memories: AtomicU64,
    /// Number of its tables.
    pub(super) tables: AtomicU64,
    /// Set when memory growth was refused, until a handler returns.
    pub(super) is_full: AtomicBool,
}

impl Taken {
    fn count(&self, component: &Component) {
        // This is unknown only for components that import modules, which no plugin does.
        if let Some(required) = component.resources_required() {
            self.memories.store(required.num_memories.into(), Relaxed);
            self.tables.store(required.num_tables.into(), Relaxed);
        }
    }
}

/// The resources that the guest of an instance holds. They take no memory while the plugin is parked.
#[derive(Debug, Default)]
pub(super) struct TakenNow(ArcSwapOption<Taken>);

impl TakenNow {
    /// Begins with the Store of another guest, which holds nothing yet.
    pub(super) fn begin(&self) -> Arc<Taken> {
        let taken = Arc::<Taken>::default();
        self.0.store(Some(Arc::clone(&taken)));
        taken
    }

    /// Records that there is no guest any more.
    pub(super) fn end(&self) {
        self.0.store(None);
    }

    /// Returns one of the numbers.
    pub(super) fn now(&self, number: fn(&Taken) -> &AtomicU64) -> u64 {
        self.0.load().as_ref().map_or(0, |taken| number(taken).load(Relaxed))
    }

    /// Records the memories and tables of this component, which an instance has for all of its life.
    pub(super) fn count(&self, component: &Component) {
        if let Some(taken) = self.0.load().as_ref() {
            taken.count(component);
        }
    }

    /// Returns whether memory growth was refused and no handler has returned since.
    pub(super) fn is_full(&self) -> bool {
        self.0.load().as_ref().is_some_and(|taken| taken.is_full.load(Relaxed))
    }

    /// Records that a handler has returned.
    pub(super) fn is_not_full(&self) {
        if let Some(taken) = self.0.load().as_ref() {
            taken.is_full.store(false, Relaxed);
        }
    }
}

/// A resource of which a guest wanted too much.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("it wanted more memory than its limit of {0}")]
    Memory(Bytes),
    #[error("it wanted more memory than it declares itself, or than the machine has")]
    MemoryGrowth,
    #[error("it wanted more table elements than its limit of {0}")]
    Table(usize),
    #[error("it wanted more table elements than it declares itself")]
    TableGrowth,
    #[error("it wanted more handles than its limit of {0}")]
    Handles(u32),
    #[error("it handed over more in one call than its limit `hostcall_bytes` of {0}")]
    Hostcall(Bytes),
}

impl Exceeded {
    /// Names our limit in the error if wasmtime's own text does not tell the owner which limit to raise.
    pub(super) fn named(error: wasmtime::Error, limits: &Limits) -> wasmtime::Error {
        // The handles and the resource table that backs them are counted separately, and either may be full first.
        let is_full = matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full));
        // For these errors wasmtime has no type that can be named here.
        let words = error.root_cause().to_string();
        if is_full || words.ends_with("store handle limit exceeded") {
            error.context(Self::Handles(limits.handles))
        } else if words.ends_with("fuel allocated for hostcalls has been exhausted") {
            error.context(Self::Hostcall(limits.hostcall_bytes))
        } else {
            error
        }
    }
}

impl Ceiling {
    /// Creates the limits. From now on `shown` holds what is taken.
    pub(super) fn new(limits: &Limits, raises: bool, shown: Arc<Taken>) -> Self {
        Self {
            raises,
            memory: limits.memory,
            table_elements: limits.table_elements as usize,
            instances: limits.instances as usize,
            tables: limits.tables as usize,
            memories: limits.memories as usize,
            taken: 0,
            shown,
        }
    }
}

impl ResourceLimiter for Ceiling {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        if taken > self.memory.as_usize() {
            // If the initial memory is too large, no code runs that could handle a failed growth.
            if self.raises && current > 0 {
                self.shown.is_full.store(true, Relaxed);
                return Ok(false);
            }
            return Err(Exceeded::Memory(self.memory).into());
        }
        self.taken = taken;
        self.shown.memory.store(taken as u64, Relaxed);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context(Exceeded::MemoryGrowth))
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.table_elements {
            return Err(Exceeded::Table(self.table_elements).into());
        }
        self.shown.table_elements.fetch_max(desired as u64, Relaxed);
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context(Exceeded::TableGrowth))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    /// Runs the function `go` of a module under these limits and returns the outcome.
    fn run(text: &str, limits: &Limits) -> Result<(), String> {
        run_with(text, Ceiling::new(limits, false, Arc::default()))
    }

    fn run_with(text: &str, ceiling: Ceiling) -> Result<(), String> {
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ceiling);
        store.limiter(|ceiling| ceiling);
        let ran = Instance::new(&mut store, &module, &[])
            .and_then(|instance| instance.get_typed_func::<(), ()>(&mut store, "go")?.call(&mut store, ()));
        ran.map_err(|error| error.downcast_ref::<Exceeded>().expect("a reason of ours").to_string())
    }

    #[test]
    fn all_memories_together_keep_to_the_limit() {
        // A page is 64 KiB.
        let limits = Limits { memory: Bytes::mib(1), ..Limits::default() };
        let grow = |first: u32, second: u32| {
            format!(
                "(module (memory $a 1) (memory $b 1) (func (export \"go\")
                    (drop (memory.grow $a (i32.const {first}))) (drop (memory.grow $b (i32.const {second})))))"
            )
        };
        assert_eq!(run(&grow(7, 7), &limits), Ok(()));
        assert_eq!(run(&grow(7, 8), &limits).unwrap_err(), "it wanted more memory than its limit of 1 MiB");
        let born_too_large = "(module (memory 9) (memory 8) (func (export \"go\")))";
        assert_eq!(run(born_too_large, &limits).unwrap_err(), "it wanted more memory than its limit of 1 MiB");
    }

    #[test]
    fn a_language_that_raises_an_error_is_told_that_there_is_no_more_memory() {
        let limits = Limits { memory: Bytes::mib(1), ..Limits::default() };
        let grow = "(module (memory 1) (func (export \"go\")
            (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))))";
        let shown = Arc::<Taken>::default();
        assert_eq!(run_with(grow, Ceiling::new(&limits, true, Arc::clone(&shown))), Ok(()));
        assert!(shown.is_full.load(Relaxed));
        assert_eq!(shown.memory.load(Relaxed), 64 << 10);
        let born_too_large = "(module (memory 17) (func (export \"go\")))";
        let reason = run_with(born_too_large, Ceiling::new(&limits, true, Arc::default())).unwrap_err();
        assert_eq!(reason, "it wanted more memory than its limit of 1 MiB");
    }

    #[test]
    fn what_grows_beyond_its_own_declaration_is_ended_as_well() {
        let grow = "(module (memory 1 2) (func (export \"go\") (drop (memory.grow (i32.const 2)))))";
        let reason = run(grow, &Limits::default()).unwrap_err();
        assert_eq!(reason, "it wanted more memory than it declares itself, or than the machine has");
    }

    #[test]
    fn each_table_keeps_to_the_limit() {
        let limits = Limits { table_elements: 10, ..Limits::default() };
        let table = |elements: u32| format!("(module (table {elements} funcref) (func (export \"go\")))");
        assert_eq!(run(&table(10), &limits), Ok(()));
        assert_eq!(run(&table(11), &limits).unwrap_err(), "it wanted more table elements than its limit of 10");
    }
}
