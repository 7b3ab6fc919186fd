//! Entry points for bytes that an attacker chose, without a host around them. Each is a target in `tests/fuzz`. Not
//! part of a normal build.
//!
//! The tests below modify the files in `tests/fuzz/seeds`, at random but the same each time, and pass them in. So they
//! run without a fuzzer, with the other unit tests, for a bounded number of cases.

mod encryption;

use std::path::Path;

use parlor_config::{Config, Overrides};
use parlor_plugins::admission::undeclared;
use parlor_plugins::component;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::{Policy, edit};
use toml::Value;

use crate::control;

pub use encryption::{an_omemo_message, an_omemo_state, an_otr_text};
pub use parlor_stanza::fuzz::{from_a_plugin, from_the_server};
pub use parlor_xmpp::fuzz::{over_bosh, over_websocket};

/// Maximum length of any error message: it is shown to people, and logged.
const LONGEST_ERROR: usize = 16 << 10;

/// Examines a plugin's file as is done before anything of it is compiled. The error says why it cannot be a plugin.
pub fn a_component(bytes: &[u8]) -> Result<(), String> {
    let examined = component::examine(bytes).map_err(|error| refused(&error))?;
    assert_eq!(examined.size, bytes.len());
    drop(undeclared(&examined));
    Ok(())
}

/// Parses a plugin's manifest.
pub fn a_manifest(text: &str) -> Result<(), String> {
    Manifest::parse(text).map(drop).map_err(|error| refused(&error))
}

/// Parses the owner's policy, and changes it as a command does.
pub fn a_policy(text: &str) -> Result<(), String> {
    let policy = Policy::parse(text, Path::new("/")).map_err(|error| refused(&error))?;
    for id in policy.plugins.keys() {
        let off = edit::Change::Set(vec!["enabled".to_owned()], Value::Boolean(false));
        let Ok(changed) = edit::edit(text, id.as_str(), &[off]) else { continue };
        let again = Policy::parse(&changed, Path::new("/")).expect("what a command wrote can be read");
        assert!(!again.plugins[id].enabled, "{changed}");
        assert_eq!(again.plugins.len(), policy.plugins.len(), "{changed}");
    }
    Ok(())
}

/// Parses the operator's configuration.
pub fn a_configuration(text: &str) -> Result<(), String> {
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    Config::parse(Path::new("/nowhere/parlor.toml"), text, &overrides).map(drop).map_err(|error| refused(&error))
}

/// Parses a request to the control socket.
pub fn a_request(bytes: &[u8]) -> Result<(), String> {
    control::reads(bytes).map_err(|error| refused(&error))
}

/// Checks that an error gives a reason, at a length that people read.
fn refused(error: &impl ToString) -> String {
    let said = error.to_string();
    assert!(!said.is_empty() && said.len() <= LONGEST_ERROR, "{} bytes: {said:.2000}", said.len());
    said
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A generator of numbers that are always the same (xorshift; any would do).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 16).unwrap() % most.max(1)
        }

        fn range(&mut self, length: usize) -> std::ops::Range<usize> {
            let start = self.below(length);
            start..length.min(start + 1 + self.below(24))
        }

        /// Modifies the bytes a little, as fuzzers do.
        fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
            const ODD: [&[u8]; 16] = [
                b"\0",
                b"\xff\xff\xff\xff\x0f",
                b"\xed\xa0\x80",
                b"<",
                b">",
                b"'",
                b"\"",
                b"&#0;",
                b"=",
                b"[[",
                b"]",
                b"\n",
                b"\r\n\r\n",
                b"{",
                b"-9223372036854775808",
                b"\xe2\x80\xae",
            ];
            let at = self.below(bytes.len() + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => drop(bytes.splice(at..at, ODD[self.below(ODD.len())].iter().copied())),
                3 if !bytes.is_empty() => drop(bytes.drain(self.range(bytes.len()))),
                4 if !bytes.is_empty() => {
                    let again = bytes[self.range(bytes.len())].to_vec();
                    bytes.splice(at..at, again);
                }
                5 if !other.is_empty() => {
                    let piece = &other[self.range(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                6 => bytes.truncate(at),
                _ => {}
            }
        }
    }

    pub(super) fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Passes in each seed unchanged, which must be accepted, and the given number of modified ones.
    pub(super) fn fuzz(name: &str, seeds: &[Vec<u8>], cases: usize, take: impl Fn(&[u8]) -> Result<(), String>) {
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            assert_eq!(take(seed), Ok(()), "{name} refuses its seed {}", String::from_utf8_lossy(seed));
        }
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut taken = 0;
        for _ in 0..cases {
            let mut bytes = seeds[dice.below(seeds.len())].clone();
            for _ in 0..=dice.below(4) {
                let other = dice.below(seeds.len());
                dice.change(&mut bytes, &seeds[other]);
            }
            taken += usize::from(take(&bytes).is_ok());
        }
        // Otherwise one of the two outcomes was never tried.
        assert!(taken > 0 && taken < cases, "{name}: {taken} of {cases} were taken");
    }

    pub(super) fn text(take: fn(&str) -> Result<(), String>) -> impl Fn(&[u8]) -> Result<(), String> {
        move |bytes| take(&String::from_utf8_lossy(bytes))
    }

    #[test]
    fn whatever_a_server_sends() {
        fuzz("decode", &seeds("decode"), 4_000, |bytes| match from_the_server(bytes) {
            0 => Err("nothing was understood".to_owned()),
            _ => Ok(()),
        });
    }

    #[test]
    fn whatever_a_server_answers_over_bosh() {
        fuzz("bosh", &seeds("bosh"), 4_000, |bytes| {
            over_bosh(bytes).then_some(()).ok_or_else(|| "it was refused".to_owned())
        });
    }

    #[test]
    fn whatever_a_server_says_over_websocket() {
        fuzz(
            "websocket",
            &seeds("websocket"),
            4_000,
            text(|text| over_websocket(text).then_some(()).ok_or_else(|| "it was refused".to_owned())),
        );
    }

    #[test]
    fn whatever_a_plugin_sends() {
        fuzz(
            "send",
            &seeds("send"),
            4_000,
            text(|text| from_a_plugin(text).then_some(()).ok_or_else(|| "it was refused".to_owned())),
        );
    }

    #[test]
    fn whatever_a_plugins_file_holds() {
        let seeds: Vec<_> =
            seeds("component").iter().map(|text| wat::parse_bytes(text).unwrap().into_owned()).collect();
        fuzz("component", &seeds, 4_000, a_component);
    }

    #[test]
    fn whatever_an_author_declares() {
        fuzz("manifest", &seeds("manifest"), 4_000, text(a_manifest));
    }

    #[test]
    fn whatever_the_owner_writes() {
        fuzz("policy", &seeds("policy"), 4_000, text(a_policy));
    }

    #[test]
    fn whatever_the_operator_writes() {
        fuzz("config", &seeds("config"), 4_000, text(a_configuration));
    }

    #[test]
    fn whatever_is_said_to_the_control_socket() {
        fuzz("control", &seeds("control"), 4_000, a_request);
    }
}
