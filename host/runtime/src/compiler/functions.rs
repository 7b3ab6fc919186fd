//! Machine code of single functions, kept between an author's compilations. A Python plugin has the same 13,000
//! functions at each save, with other data: compiling it again then takes 4.5 s of CPU time instead of 11 s. All but a
//! few of them are the same in each Python plugin.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use parlor_base::id::Digest;
use wasmparser::{Parser, Payload};
use wasmtime::CacheStore;

/// The maximum number of bytes kept for one component, or in one process. `CPython` has 35 MB.
pub(super) const MAX_BYTES: usize = 256 << 20;
/// The minimum size of a component whose functions are kept. A smaller one compiles within a second.
pub(super) const FROM: usize = 1 << 20;

/// Returns the name of a component's functions in the cache: a hash of the code of its largest module, and of no data.
/// That module is the interpreter, if there is one; the bindings beside it differ with what a plugin asks for. `None` if
/// the component is invalid.
pub(super) fn name(component: &[u8]) -> Option<String> {
    let mut largest: &[u8] = &[];
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::CodeSectionStart { range, .. } = payload.ok()? {
            let code = component.get(range)?;
            if code.len() > largest.len() {
                largest = code;
            }
        }
    }
    // With a prefix, so that the key, a hash of this name, cannot be the digest of a component, which is a key too.
    Some(format!("functions beside {}", Digest::of(largest)))
}

/// Returns the functions that this process itself compiled for code that need not run fast.
pub(super) fn of_this_process() -> Arc<Functions> {
    static ALL: LazyLock<Arc<Functions>> = LazyLock::new(Arc::default);
    Arc::clone(&ALL)
}

/// Functions by the compiler's key for them.
#[derive(Debug, Default)]
pub(super) struct Functions {
    all: Mutex<HashMap<Vec<u8>, Function>>,
    /// The number of bytes that the compiler made.
    made: AtomicUsize,
}

#[derive(Debug)]
struct Function {
    code: Vec<u8>,
    /// Whether the compiler made it or asked for it this time.
    is_used: bool,
}

impl Functions {
    /// Parses the functions that were written before. Everything after an invalid part is ignored.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let functions = Self::default();
        functions.add(bytes);
        functions
    }

    /// Adds such functions to those that are there.
    pub(super) fn add(&self, mut bytes: &[u8]) {
        let mut all = self.all();
        while let Some((name, rest)) = part(bytes)
            && let Some((code, rest)) = part(rest)
        {
            all.entry(name.to_vec()).or_insert_with(|| Function { code: code.to_vec(), is_used: false });
            bytes = rest;
        }
    }

    /// Returns the functions that were used, for the next time.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, function) in self.all().iter().filter(|(_, function)| function.is_used) {
            if bytes.len() + name.len() + function.code.len() + 2 * size_of::<u32>() > MAX_BYTES {
                break;
            }
            for part in [name, &function.code] {
                // Each length is less than the maximum of all together.
                bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
                bytes.extend(part);
            }
        }
        bytes
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Function>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

impl CacheStore for Functions {
    fn get(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut all = self.all();
        let function = all.get_mut(name)?;
        function.is_used = true;
        Some(Cow::Owned(function.code.clone()))
    }

    fn insert(&self, name: &[u8], code: Vec<u8>) -> bool {
        let bytes = name.len() + code.len();
        if self.made.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_BYTES {
            return false;
        }
        self.all().insert(name.to_vec(), Function { code, is_used: true });
        true
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine};

    use super::*;

    #[test]
    fn functions_are_kept_from_one_time_to_the_next_as_long_as_they_are_used() {
        let first = Functions::default();
        first.insert(b"one", b"code".to_vec());
        first.insert(b"two", Vec::new());
        let second = Functions::default();
        second.insert(b"one", b"code".to_vec());
        second.add(&first.write());
        assert_eq!(second.all().len(), 2);
        let second = Functions::read(&first.write());
        assert_eq!(second.get(b"one").as_deref(), Some(b"code".as_slice()));
        assert_eq!(second.get(b"three"), None);
        let third = Functions::read(&second.write());
        assert!(third.get(b"one").is_some() && third.get(b"two").is_none(), "nobody asked for it");
    }

    #[test]
    fn what_a_long_process_makes_is_kept_as_far_as_there_is_room() {
        let functions = Functions::default();
        functions.made.store(MAX_BYTES - 7, Ordering::Relaxed);
        assert!(functions.insert(b"one", b"code".to_vec()));
        assert!(!functions.insert(b"two", Vec::new()));
        assert!(functions.get(b"one").is_some() && functions.get(b"two").is_none());
    }

    #[test]
    fn what_is_cut_off_or_none_of_theirs_is_no_function() {
        let whole = Functions::default();
        whole.insert(b"one", b"code".to_vec());
        let bytes = whole.write();
        for cut in 0..bytes.len() {
            assert!(Functions::read(&bytes[..cut]).get(b"one").is_none(), "{cut}");
        }
        assert!(Functions::read(&[255; 64]).all().is_empty());
    }

    fn component(number: u32, data: &str) -> Vec<u8> {
        with_bindings(number, data, 1)
    }

    fn with_bindings(number: u32, data: &str, bindings: u32) -> Vec<u8> {
        let text = format!(
            "(component (core module (memory 1) (data (i32.const 0) \"{data}\")
                (func (export \"f\") (result i32) (i32.add (i32.const {number}) (i32.const 1))))
                (core module (func (export \"g\") (result i32) (i32.const {bindings}))))"
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn the_same_code_with_other_data_is_taken_up_again_and_other_code_is_not() {
        assert_eq!(name(&component(1, "a")), name(&component(1, "bcd")));
        assert_ne!(name(&component(1, "a")), name(&component(2, "a")));
        assert_eq!(name(b"no component"), None);

        let compiled = |functions: Functions, component: &[u8]| {
            let functions = Arc::new(functions);
            let mut config = Config::new();
            config.enable_incremental_compilation(Arc::<Functions>::clone(&functions)).unwrap();
            let code = Engine::new(&config).unwrap().precompile_component(component).unwrap();
            (code, functions.write())
        };
        let (_, known) = compiled(Functions::default(), &component(1, "a"));
        assert!(!known.is_empty());
        let (code, after) = compiled(Functions::read(&known), &component(1, "bcd"));
        assert_eq!(known.len(), after.len(), "nothing was compiled anew");
        let other = with_bindings(1, "a", 2);
        assert_eq!(name(&component(1, "a")), name(&other));
        let (_, then) = compiled(Functions::read(&known), &other);
        let count = |functions: &[u8]| Functions::read(functions).all().len();
        assert_eq!(count(&known), count(&then), "the former bindings are not kept");
        assert_eq!(code, compiled(Functions::default(), &component(1, "bcd")).0, "it is what it would have been");
    }
}
