//! Compares the list of mechanisms and channel bindings that arrived with the list that the server claims to have sent
//! (XEP-0474).
//!
//! SCRAM signs the server's claim as well, so no one can change both without the password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minidom::Element;
use parlor_stanza::sieve::mend::{BINDINGS, NOTES};
use ring::digest;
use xmpp_parsers::stream_features::StreamFeatures;

use super::scram::Hash;

/// The separator between names in a list.
const RECORD: &str = "\u{1e}";
/// The separator before the list of channel bindings.
const UNIT: &str = "\u{1f}";

/// A server's offer, serialised for the hash of XEP-0474, section 6.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised(String);

impl Advertised {
    /// Reads the offer from stream features.
    pub(crate) fn of(features: &StreamFeatures) -> Self {
        let mechanisms = features.sasl_mechanisms.iter().map(String::as_str).collect();
        // The library drops types that it does not know; the intake has noted all of them.
        let noted = features.others.iter().find(|other| other.is(BINDINGS, NOTES.as_str())).cloned();
        let bindings = noted.or_else(|| features.sasl_cb.clone().map(Element::from));
        let mut advertised = joined(mechanisms);
        let named: Vec<_> =
            bindings.iter().flat_map(Element::children).filter_map(|binding| binding.attr("type")).collect();
        // An empty list is hashed like an absent one, as ejabberd does.
        if !named.is_empty() {
            advertised += UNIT;
            advertised += &joined(named);
        }
        Self(advertised)
    }

    /// Returns whether the server's claim `said` is the hash of this offer.
    pub(super) fn has_hash(&self, hash: Hash, said: &str) -> bool {
        let own = digest::digest(hash.digest(), self.0.as_bytes());
        BASE64.decode(said).is_ok_and(|said| said == own.as_ref())
    }
}

/// Joins the names in byte order.
fn joined(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.join(RECORD)
}

#[cfg(test)]
mod tests {
    use xmpp_parsers::sasl_cb::{SaslChannelBinding, Type};

    use super::*;

    fn features(mechanisms: &[&str], bindings: Option<&[Type]>) -> StreamFeatures {
        StreamFeatures {
            sasl_mechanisms: mechanisms.iter().map(|name| (*name).to_owned()).collect(),
            sasl_cb: bindings.map(|types| SaslChannelBinding { types: types.to_vec() }),
            ..StreamFeatures::default()
        }
    }

    /// The example of section 6.3.
    #[test]
    fn the_hash_is_the_one_of_the_specification() {
        let mechanisms = ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"];
        let offered = features(&mechanisms, Some(&[Type::TlsServerEndPoint, Type::TlsExporter]));
        let said = "G6k/rBLDqgOhRRaCuuatSDFkJ08=";
        assert!(Advertised::of(&offered).has_hash(Hash::Sha1, said));
        assert!(!Advertised::of(&offered).has_hash(Hash::Sha256, said));
        assert!(!Advertised::of(&offered).has_hash(Hash::Sha1, "?"));
        for changed in [
            features(&mechanisms[1..], Some(&[Type::TlsServerEndPoint, Type::TlsExporter])),
            features(&mechanisms, Some(&[Type::TlsServerEndPoint])),
            features(&mechanisms, None),
        ] {
            assert!(!Advertised::of(&changed).has_hash(Hash::Sha1, said), "{changed:?}");
        }
    }

    #[test]
    fn a_list_of_bindings_without_names_is_hashed_like_none() {
        let of = |bindings| Advertised::of(&features(&["SCRAM-SHA-256"], bindings));
        assert_eq!(of(Some(&[])), of(None));
        assert_ne!(of(Some(&[Type::TlsExporter])), of(None));
    }

    #[test]
    fn types_of_another_day_count_as_they_came() {
        let mut offered = features(&["SCRAM-SHA-256"], Some(&[Type::TlsExporter]));
        let known = Advertised::of(&offered);
        let mut note = Element::bare(BINDINGS, NOTES.as_str());
        for kind in ["tls-of-tomorrow", "tls-exporter"] {
            let binding: Element = format!("<channel-binding xmlns='urn:x' type='{kind}'/>").parse().unwrap();
            note.append_child(binding);
        }
        offered.others.push(note);
        assert_eq!(Advertised::of(&offered).0, format!("{}\u{1e}tls-of-tomorrow", known.0));
    }
}
