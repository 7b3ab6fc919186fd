//! The memory mappings that plugins may take. The kernel allows a process a limited number of them. Beyond it even the host's
//! own allocations fail, and it aborts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parlor_plugins::component::Needs;
use wasmtime::component::Component;

/// The mappings of the process that are reserved for the host itself: the program, libraries, threads, heaps and files.
const OF_THE_HOST: u64 = 2_000;
/// The maximum number of mappings that plugins may take, even if the kernel allows more. It follows from the 47-bit
/// address space of a process: each memory reserves a little more than 4 GiB.
pub const MOST: u32 = 63_530;
/// The mappings of a plugin's code: the part before the instructions, the instructions, and the part after them.
const OF_CODE: u32 = 3;
/// The mappings of a stack: its guard, and the stack.
const OF_A_STACK: u32 = 2;
/// The mappings of a memory: its accessible part, and the rest.
const OF_A_MEMORY: u32 = 2;
/// The mappings of a plugin that is no larger than most: it has one memory and one component instance.
pub const OF_A_PLUGIN: u32 = 2 * OF_A_STACK + OF_A_MEMORY;

/// The mappings that plugins may take, and how many are left.
#[derive(Debug)]
pub(crate) struct Mappings {
    left: AtomicU32,
    most: u32,
}

/// Mappings that somebody has taken. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Reserved {
    of: Arc<Mappings>,
    count: u32,
}

/// The error if too few mappings are left.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host has no room for it: it needs {count} memory mappings, and the other plugins left {left} of {most}{}",
    remedy(*most)
)]
pub(crate) struct NoMappings {
    count: u32,
    left: u32,
    most: u32,
}

fn remedy(most: u32) -> &'static str {
    if most < MOST {
        ": raise `vm.max_map_count`, or run some accounts in another parlor"
    } else {
        ": run some accounts in another parlor"
    }
}

impl Mappings {
    /// Returns the mappings that the kernel allows this process, without those of the host.
    pub(crate) fn of_this_process() -> Arc<Self> {
        let allowed = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let most = for_plugins(allowed.and_then(|text| text.trim().parse().ok()));
        if most < MOST {
            tracing::warn!(
                mappings = most,
                plugins = most / OF_A_PLUGIN,
                "room for fewer plugins than elsewhere, since the kernel allows a process few mappings; raise vm.max_map_count"
            );
        }
        Self::new(most)
    }

    fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(most), most })
    }

    /// Takes this many.
    pub(crate) fn reserve(self: &Arc<Self>, count: u32) -> Result<Reserved, NoMappings> {
        let taken = self.left.try_update(Relaxed, Relaxed, |left| left.checked_sub(count));
        let (of, most) = (Arc::clone(self), self.most);
        taken.map(|_| Reserved { of, count }).map_err(|left| NoMappings { count, left, most })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.of.left.fetch_add(self.count, Relaxed);
    }
}

/// Returns how many of the mappings that the kernel allows are for plugins. None: the kernel does not say so.
fn for_plugins(allowed: Option<u64>) -> u32 {
    let left = allowed.map_or(MOST.into(), |allowed| allowed.saturating_sub(OF_THE_HOST));
    u32::try_from(left).unwrap_or(MOST).clamp(OF_A_PLUGIN, MOST)
}

/// Returns how many mappings an instance of a component may take. Its Store keeps a stack, and each of its component instances
/// may be suspended while it holds one.
pub(crate) fn of_an_instance(component: &Component, needs: Needs) -> u32 {
    // This is unknown only for components that import modules, which no plugin does.
    let memories = component.resources_required().map_or(0, |required| required.num_memories);
    (needs.instances.max(1) + 1) * OF_A_STACK + memories * OF_A_MEMORY
}

/// Takes the mappings of a component's code.
pub(crate) fn of_code(mappings: &Arc<Mappings>) -> Result<Reserved, NoMappings> {
    mappings.reserve(OF_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mappings that plugins do not use must suffice for the host.
    #[test]
    fn plugins_leave_the_host_its_own() {
        assert_eq!(for_plugins(Some(65_530)), 63_530);
        assert_eq!(for_plugins(Some(10_000)), 8_000);
        assert_eq!(for_plugins(Some(0)), OF_A_PLUGIN);
        // The addresses of a process are the limit.
        assert_eq!(for_plugins(Some(u64::MAX)), MOST);
        assert_eq!(for_plugins(None), MOST);
    }

    #[test]
    fn what_is_taken_is_missing_until_it_is_given_back() {
        let mappings = Mappings::new(10);
        let six = mappings.reserve(6).unwrap();
        assert_eq!(mappings.reserve(5).unwrap_err(), NoMappings { count: 5, left: 4, most: 10 });
        let four = mappings.reserve(4).unwrap();
        drop(six);
        assert!(mappings.reserve(7).is_err());
        drop((mappings.reserve(6).unwrap(), four));
        assert!(mappings.reserve(10).is_ok());
    }

    #[test]
    fn the_error_says_what_helps() {
        let words = |most| NoMappings { count: 6, left: 2, most }.to_string();
        assert!(
            words(1_000).ends_with("left 2 of 1000: raise `vm.max_map_count`, or run some accounts in another parlor")
        );
        assert!(words(MOST).ends_with("left 2 of 63530: run some accounts in another parlor"));
    }
}
