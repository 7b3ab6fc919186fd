//! The nodes of publish-subscribe that the host keeps for itself, on every service, and the form of a node's name.

use parlor_stanza::raw::is_one_line;
use unicode_normalization::char::decompose_compatible;

/// Maximum length of the name of a node, in bytes.
pub const LONGEST_NODE: usize = 1_024;

/// The reasons why a node is reserved.
const KEPT: &str = "the host keeps it itself";
const KEYS: &str = "it has to do with keys of encryption";
const CARD: &str = "it is a card or a picture of a person, for which there is `vcard`";
const PRIVATE: &str = "it is private storage of the account's clients";
const MOVED: &str = "it makes contacts of the account those of another address";

/// How the nodes begin that no plugin may have, each with the reason, in small letters of ASCII.
const RESERVED: &[(&str, &str)] = &[
    ("urn:parlor:", KEPT),
    ("urn:xmpp:bookmarks:", KEPT),
    ("eu.siacs.conversations.axolotl", KEYS),
    ("urn:xmpp:omemo:", KEYS),
    ("urn:xmpp:openpgp", KEYS),
    ("urn:xmpp:ox:", KEYS),
    ("urn:xmpp:pubkey:", KEYS),
    ("urn:ietf:params:xml:ns:vcard-4.0", CARD),
    ("urn:xmpp:avatar:", CARD),
    ("urn:xmpp:vcard4", CARD),
    ("vcard-temp", CARD),
    ("storage:", PRIVATE),
    ("urn:xmpp:mds:", PRIVATE),
    ("urn:xmpp:push:", PRIVATE),
    // XEP-0283: contacts believe a move that this node of the former account confirms.
    ("urn:xmpp:moved:", MOVED),
];

/// The length of the longest of them, in bytes.
const LONGEST_RESERVED: usize = 64;
/// Maximum number of letters that stand for one that is no decomposition of others, such as `ss` for a sharp s.
const LETTERS_OF_ONE: usize = 2;

/// A part of a node's name, as a server may compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A character of ASCII, in its small form.
    Plain(u8),
    /// A number of other characters. Each may match nothing, or up to [`LETTERS_OF_ONE`] letters.
    Other(usize),
}

/// Returns why no plugin may have this node; `None` if one may.
///
/// Some servers compare the names of nodes as their database does: without regard to case, to accents, to how wide a
/// letter is, or to characters that nobody sees. How far that goes depends on the database and its version: `ø` is an
/// `o` for some. So every name is reserved that begins like a reserved one if the characters that are no ASCII, after
/// their decomposition, are left out or stand for any letters. At least half of the beginning must be spelled out, since
/// a name of other letters alone could be anything, and is no reserved one for any database.
pub fn reserved_node(node: &str) -> Option<&'static str> {
    let parts = parts(node);
    RESERVED.iter().find(|(begin, _)| may_begin(&parts, begin.as_bytes())).map(|(_, why)| *why)
}

/// Returns the parts of a name, as far as they matter. Spaces and control characters are left out.
fn parts(node: &str) -> Vec<Part> {
    let (mut parts, mut plain) = (Vec::new(), 0);
    for character in node.chars() {
        if plain >= LONGEST_RESERVED {
            break;
        }
        decompose_compatible(character, |one| match u8::try_from(one) {
            Ok(byte) if byte.is_ascii_graphic() => {
                plain += 1;
                parts.push(Part::Plain(byte.to_ascii_lowercase()));
            }
            Ok(byte) if byte.is_ascii() => {}
            _ => match parts.last_mut() {
                Some(Part::Other(count)) => *count += 1,
                _ => parts.push(Part::Other(1)),
            },
        });
    }
    parts
}

/// Returns whether these parts may be read so that they begin like this.
fn may_begin(parts: &[Part], begin: &[u8]) -> bool {
    let is_enough = |spelled: Option<usize>| spelled.is_some_and(|spelled| 2 * spelled >= begin.len());
    // For each length of the beginning that may have been read: the most characters of it that were spelled out.
    let mut read = vec![None; begin.len() + 1];
    read[0] = Some(0);
    for part in parts {
        let mut next = vec![None; begin.len() + 1];
        for (length, spelled) in read.iter().enumerate() {
            let Some(spelled) = *spelled else { continue };
            match part {
                Part::Plain(byte) if begin.get(length) == Some(byte) => {
                    next[length + 1] = next[length + 1].max(Some(spelled + 1));
                }
                Part::Plain(_) => {}
                Part::Other(count) => {
                    for more in
                        next.iter_mut().skip(length).take(count.saturating_mul(LETTERS_OF_ONE).saturating_add(1))
                    {
                        *more = (*more).max(Some(spelled));
                    }
                }
            }
        }
        if is_enough(next[begin.len()]) {
            return true;
        }
        if next.iter().all(Option::is_none) {
            return false;
        }
        read = next;
    }
    false
}

/// Checks that this may be the name of a node. The error is a clause.
pub fn check_node(node: &str) -> Result<(), String> {
    if node.is_empty() || node.len() > LONGEST_NODE {
        return Err(format!("a node has a name of 1 to {LONGEST_NODE} bytes"));
    }
    if !is_one_line(node) {
        return Err("the name of a node has no control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_secrets_or_is_the_hosts_is_reserved() {
        for node in [
            "storage:bookmarks",
            "urn:xmpp:bookmarks:1",
            "urn:xmpp:bookmarks:0",
            "eu.siacs.conversations.axolotl.devicelist",
            "eu.siacs.conversations.axolotl.bundles:1",
            "urn:xmpp:omemo:2:devices",
            "urn:xmpp:omemo:2:bundles",
            "urn:xmpp:openpgp:0:public-keys",
            "urn:xmpp:avatar:data",
            "urn:xmpp:vcard4",
            "urn:xmpp:moved:1",
            "urn:xmpp:pubkey:2",
            "vcard-temp",
            "URN:XMPP:OpenPGP:0:secret-key",
            " storage:bookmarks",
        ] {
            assert!(reserved_node(node).is_some(), "{node}");
        }
        for node in ["news", "urn:example:mood", "http://jabber.org/protocol/tune", "urn:xmpp:microblog:0", "*", ""] {
            assert_eq!(reserved_node(node), None, "{node}");
        }
    }

    /// A database may compare without accents: with its rules for all languages, for example.
    #[test]
    fn no_other_spelling_of_a_reserved_name_is_free() {
        for node in [
            "eu.siacs.conversations.axolotl.devicel\u{ed}st",
            "eu.siacs.conversations.axol\u{f3}tl.devicelist",
            "\u{ff45}u.siacs.conversations.axolotl.devicelist",
            "eu\u{ad}.siacs.conversations.axolotl.devicelist",
            "\u{200b}eu.siacs.\u{200d}conversations.axolotl.devicelist",
            "eu.siac\u{17f}.conversations.axolotl.devicelist",
            "eu.siacs.conversati\u{f8}ns.ax\u{f8}l\u{f8}tl.devicelist",
            "ur\u{f1}:xmpp:omemo:2:devices",
            "\u{1d42e}\u{1d42b}\u{1d427}:xmpp:omemo:2:devices",
            "urn:xmpp:\u{153}penpgp:0",
            "st\u{f8}rage:bookmarks",
            "\u{a0}storage:bookmarks",
            "storage\u{fe55}bookmarks",
            "vc\u{e4}rd-temp",
        ] {
            assert!(reserved_node(node).is_some(), "{node}");
        }
        let long = "\u{e9}".repeat(100_000);
        for node in [
            "\u{142}egacy",
            "\u{43d}\u{43e}\u{432}\u{43e}\u{441}\u{442}\u{438}",
            "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{30cb}\u{30e5}\u{30fc}\u{30b9}",
            "urn:example:\u{17c}\u{f3}\u{142}w",
            "caf\u{e9}",
            &long,
        ] {
            assert_eq!(reserved_node(node), None, "{node:.40}");
        }
    }

    #[test]
    fn reserved_names_are_small_letters_and_as_short_as_is_said() {
        for (begin, _) in RESERVED {
            assert!(begin.len() <= LONGEST_RESERVED && begin.bytes().all(|byte| byte.is_ascii_graphic()), "{begin}");
            assert_eq!(*begin, begin.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_node_has_a_name_on_one_line() {
        assert!(check_node("news").is_ok() && check_node(&"x".repeat(LONGEST_NODE)).is_ok());
        for node in ["", "a\nb", "a\u{0}", &"x".repeat(LONGEST_NODE + 1)] {
            assert!(check_node(node).is_err(), "{node:.10}");
        }
    }
}
