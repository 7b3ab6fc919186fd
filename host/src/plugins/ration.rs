//! What wasmtime asks before a guest gets memory, tables or instances. A refusal ends the guest, with the limit's name.
//!
//! A guest that cannot grow would abort anyway, with a less telling reason.

use wasmtime::ResourceLimiter;

use super::limits::Limits;
use super::quantity::Bytes;

/// What one instance may still take, and has taken. wasmtime counts each memory by itself; the owner's limit is for all.
#[derive(Debug)]
pub(super) struct Ration {
    memory: Bytes,
    memories: usize,
    tables: usize,
    table_elements: u32,
    instances: usize,
    /// Of all linear memories together.
    taken: usize,
}

/// A guest wanted more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    /// Of linear memory, all together.
    #[error("it wanted more memory than its limit of {0}")]
    Memory(Bytes),
    /// Of elements in one table.
    #[error("it wanted more table elements than its limit of {0}")]
    Table(u32),
}

impl Ration {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory,
            memories: limits.memories as usize,
            tables: limits.tables as usize,
            table_elements: limits.table_elements,
            instances: limits.instances as usize,
            taken: 0,
        }
    }
}

impl ResourceLimiter for Ration {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        if taken > self.memory.as_usize() {
            return Err(wasmtime::Error::new(Exceeded::Memory(self.memory)));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own maximum, which it can ask about and live with.
            return Ok(false);
        }
        self.taken = taken;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error.context("the machine has no more memory for it"))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.table_elements as usize {
            return Err(wasmtime::Error::new(Exceeded::Table(self.table_elements)));
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
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
    use super::*;

    #[test]
    fn all_memories_together_have_one_limit() {
        let mut ration = Ration::new(&Limits { memory: Bytes::mib(1), ..Limits::default() });
        assert!(ration.memory_growing(0, 600 << 10, None).unwrap());
        assert!(ration.memory_growing(0, 400 << 10, None).unwrap());
        assert!(ration.memory_growing(400 << 10, 424 << 10, None).unwrap());
        let error = ration.memory_growing(600 << 10, 601 << 10, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory(Bytes::mib(1))));
    }

    #[test]
    fn a_guests_own_maximum_is_no_offence() {
        let mut ration = Ration::new(&Limits { memory: Bytes::mib(1), table_elements: 8, ..Limits::default() });
        assert!(!ration.memory_growing(0, 65_536, Some(0)).unwrap());
        assert!(ration.memory_growing(0, 1 << 20, None).unwrap(), "what it did not get is not counted");
        assert!(!ration.table_growing(0, 5, Some(4)).unwrap());
        assert_eq!(ration.table_growing(0, 9, None).unwrap_err().downcast_ref(), Some(&Exceeded::Table(8)));
    }
}
