//! The encryption of what accounts keep in NATS, of what nodes say to one another, and of the record of the shared plugins.
//!
//! The nodes of a cluster share a key that NATS never has. HKDF-SHA-256 (RFC 5869) derives a key for each text from it and from a
//! new random salt, and ChaCha20-Poly1305 (RFC 8439) encrypts with that. A nonce therefore never comes twice with a key, however
//! many nodes write. Both are those of `ring`.
//!
//! The text's place is authenticated with it: its cluster, its account, and its token, number and kind; or, for a text of the cluster,
//! its kind and its subject. A record that was changed, or that lies where it was not written to, is refused. Nothing here tells
//! whether NATS returns an older state as a whole.

use std::fmt;
use std::sync::Arc;

use parlor_cluster::Token;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::record::{Kind, Position};

/// The most keys in a file: one that encrypts, and those before it.
const MOST_KEYS: usize = 16;
/// The size of a key, and of its id, in bytes.
const KEY: usize = 32;
const ID: usize = 8;
const SALT: usize = 32;
const TAG: usize = 16;
/// The first byte of a sealed text: its format.
const FORMAT: u8 = 1;
/// The size of what stands before an encrypted text: the format, the id of its key, and the salt.
const HEAD: usize = 1 + ID + SALT;
/// By how many bytes a text becomes longer.
pub(crate) const OVERHEAD: usize = HEAD + TAG;

/// The purpose of the keys that encrypt: a key that is derived for another purpose differs.
const PURPOSE: &[u8] = b"parlor cluster: what accounts keep";
const NAMING: &[u8] = b"parlor cluster: the id of a key\n";
/// The first line of a file of keys.
const TITLE: &str =
    "# Keys of a cluster of parlor. The first one encrypts, and all decrypt. Keep a copy in a safe place.";

/// The id of a key, which is no secret: 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID]);

/// The keys of a cluster. Copies share them. Debug output shows their ids.
#[derive(Clone)]
pub struct KeyRing(Arc<[RingKey]>);

struct RingKey {
    id: KeyId,
    secret: Zeroizing<[u8; KEY]>,
}

/// The reason why a text holds no keys of a cluster. It shows nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key.
    #[error("it holds no key; make one with `parlor cluster key`, or copy the file of another node")]
    Empty,
    /// A line is no key.
    #[error("line {line} is no key: {cause}; copy the line of another node")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The mistake in it.
        cause: &'static str,
    },
    /// There are too many keys.
    #[error("it holds more than {MOST_KEYS} keys; remove those with which nothing is encrypted any more")]
    TooMany,
}

/// The kinds of texts that belong to the cluster and to no account. A text of one kind does not open as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A request of a node.
    Request,
    /// A message of a node that was asked.
    Answer,
    /// The record of the version of a shared text.
    Version,
    /// A shared text.
    Text,
}

impl What {
    /// Returns its part of a place. `k`, `r` and `s` are those of other texts.
    fn letter(self) -> u8 {
        match self {
            Self::Request => b'q',
            Self::Answer => b'a',
            Self::Version => b'v',
            Self::Text => b't',
        }
    }
}

/// The reason why a sealed text cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// None of the keys is the one that encrypted it.
    Key(KeyId),
    /// It was changed, or is not that of this place.
    Changed,
}

impl KeyRing {
    /// Reads keys: each line has an id and a key. Empty lines, and those that begin with `#`, are left out.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys = Vec::<RingKey>::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let wrong = |cause| KeyRingError::Line { line, cause };
            let key = RingKey::parse(content).map_err(wrong)?;
            if keys.iter().any(|one| one.id == key.id) {
                return Err(wrong("it is the same as one above"));
            }
            if keys.len() == MOST_KEYS {
                return Err(KeyRingError::TooMany);
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(Self(keys.into())) }
    }

    /// Makes a key that nobody has. Returns its id, and its line for a file of keys.
    pub fn generate() -> (KeyId, Zeroizing<String>) {
        let secret = Zeroizing::new(rand::random::<[u8; KEY]>());
        let id = KeyId::of(&secret);
        let digits = Zeroizing::new(hex::encode(&secret[..]));
        (id, Zeroizing::new(format!("{id} {}\n", digits.as_str())))
    }

    /// Returns a file of keys with this line.
    pub fn file(line: &str) -> Zeroizing<String> {
        Zeroizing::new(format!("{TITLE}\n{line}"))
    }

    /// Returns the id of the key that encrypts.
    pub fn first(&self) -> KeyId {
        // There is always one.
        self.0.first().map_or(KeyId([0; ID]), |key| key.id)
    }

    /// Returns the ids of all keys. The first one encrypts.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|key| key.id)
    }

    /// Encrypts a text where it is. Returns what stands before it and after it; `None` if the text is too long.
    fn seal_in_place(&self, about: &[u8], text: &mut [u8]) -> Option<([u8; HEAD], [u8; TAG])> {
        let key = self.0.first()?;
        let mut head = [FORMAT; HEAD];
        head[1..=ID].copy_from_slice(&key.id.0);
        head[1 + ID..].copy_from_slice(&rand::random::<[u8; SALT]>());
        let about = Aad::from([&head[..], about].concat());
        let tag = key.derive(&head)?.seal_in_place_separate_tag(nonce(), about, text).ok()?;
        Some((head, tag.as_ref().try_into().ok()?))
    }

    /// Encrypts a text.
    fn seal(&self, about: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(text.len() + OVERHEAD);
        sealed.resize(HEAD, 0);
        sealed.extend_from_slice(text);
        let (head, tag) = self.seal_in_place(about, &mut sealed[HEAD..])?;
        sealed[..HEAD].copy_from_slice(&head);
        sealed.extend_from_slice(&tag);
        Some(sealed)
    }

    /// Decrypts a text where it is.
    fn open(&self, about: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        let id = key_of(&sealed).ok_or(OpenError::Changed)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(OpenError::Key(id))?;
        let head: [u8; HEAD] = sealed[..HEAD].try_into().map_err(|_| OpenError::Changed)?;
        let about = Aad::from([&head[..], about].concat());
        let cipher = key.derive(&head).ok_or(OpenError::Changed)?;
        let opened = cipher.open_within(nonce(), about, &mut sealed, HEAD..).map_err(|_| OpenError::Changed)?;
        let length = opened.len();
        sealed.truncate(length);
        Ok(sealed)
    }

    /// Returns whether there are keys beside the one that encrypts, as while it is being replaced.
    pub(crate) fn has_earlier(&self) -> bool {
        self.0.len() > 1
    }

    /// Encrypts a text that tells nodes whether they have the same keys.
    pub(crate) fn seal_check(&self, cluster: &str) -> Option<Vec<u8>> {
        self.seal(&place(cluster, "", b'k'), b"")
    }

    /// Opens that text.
    pub(crate) fn open_check(&self, cluster: &str, sealed: Vec<u8>) -> Result<(), OpenError> {
        self.open(&place(cluster, "", b'k'), sealed).map(drop)
    }

    /// Encrypts a text of the cluster itself, which is at this place; `None` if it is too long.
    pub(crate) fn seal_own(&self, cluster: &str, what: What, at: &str, text: &[u8]) -> Option<Vec<u8>> {
        self.seal(&place(cluster, at, what.letter()), text)
    }

    /// Decrypts a text of the cluster itself.
    pub(crate) fn open_own(&self, cluster: &str, what: What, at: &str, sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        self.open(&place(cluster, at, what.letter()), sealed)
    }
}

impl RingKey {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let (id, digits) = line.split_once(char::is_whitespace).ok_or("it has one word, and a key has two")?;
        let mut secret = Zeroizing::new([0; KEY]);
        hex::decode_to_slice(digits.trim(), &mut secret[..]).map_err(|_| "it does not end in 64 hex digits")?;
        let key = Self { id: KeyId::of(&secret), secret };
        if key.id.to_string() == id {
            Ok(key)
        } else {
            Err("its id is that of another key, so it was changed or cut off")
        }
    }

    /// Derives the key of one text from the salt in its head.
    fn derive(&self, head: &[u8; HEAD]) -> Option<LessSafeKey> {
        let pseudorandom = Salt::new(HKDF_SHA256, &head[1 + ID..]).extract(&self.secret[..]);
        let derived = pseudorandom.expand(&[PURPOSE], &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

/// The nonce of the only text that a key encrypts.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Returns the id of the key that encrypted a text; `None` if it is none of this format.
pub(crate) fn key_of(sealed: &[u8]) -> Option<KeyId> {
    let rest = sealed.strip_prefix(&[FORMAT]).filter(|_| sealed.len() >= OVERHEAD)?;
    rest.first_chunk().map(|id| KeyId(*id))
}

/// Returns the text that names a place: no two places have the same.
fn place(cluster: &str, at: &str, what: u8) -> Vec<u8> {
    let mut place = b"parlor cluster 1\n".to_vec();
    for name in [cluster, at] {
        place.extend_from_slice(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
        place.extend_from_slice(name.as_bytes());
    }
    place.push(what);
    place
}

/// Encrypts and decrypts what one account keeps.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    keys: KeyRing,
    cluster: Arc<str>,
    account: Arc<str>,
}

impl Seal {
    pub(crate) fn new(keys: &KeyRing, cluster: &Arc<str>, account: &str) -> Self {
        Self { keys: keys.clone(), cluster: Arc::clone(cluster), account: account.into() }
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Encrypts the body of a record; `None` if it is too long.
    pub(crate) fn record(&self, token: Token, number: u64, kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(&self.of_record(token, number, kind), body)
    }

    /// Decrypts the body of a record.
    pub(crate) fn open_record(
        &self,
        token: Token,
        number: u64,
        kind: Kind,
        sealed: Vec<u8>,
    ) -> Result<Vec<u8>, OpenError> {
        self.keys.open(&self.of_record(token, number, kind), sealed)
    }

    /// Encrypts a snapshot where it is. Returns what stands before it and after it; `None` if it is too long.
    pub(crate) fn snapshot(&self, up_to: Position, state: &mut [u8]) -> Option<([u8; HEAD], [u8; TAG])> {
        self.keys.seal_in_place(&self.of_snapshot(up_to), state)
    }

    /// Decrypts a snapshot.
    pub(crate) fn open_snapshot(&self, up_to: Position, sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        self.keys.open(&self.of_snapshot(up_to), sealed)
    }

    fn of_record(&self, token: Token, number: u64, kind: Kind) -> Vec<u8> {
        let mut place = place(&self.cluster, &self.account, b'r');
        place.extend_from_slice(&token.0.to_be_bytes());
        place.extend_from_slice(&number.to_be_bytes());
        place.extend_from_slice(kind.as_str().as_bytes());
        place
    }

    fn of_snapshot(&self, up_to: Position) -> Vec<u8> {
        let mut place = place(&self.cluster, &self.account, b's');
        place.extend_from_slice(&up_to.revision.to_be_bytes());
        place.extend_from_slice(&up_to.number.to_be_bytes());
        place
    }
}

impl KeyId {
    /// Reads an id, which has one way of being written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut id = [0; ID];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id)).filter(|id| id.to_string() == text)
    }

    fn of(secret: &[u8; KEY]) -> Self {
        let digest = Sha256::new().chain_update(NAMING).chain_update(secret).finalize();
        Self(std::array::from_fn(|at| digest[at]))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(lines: &[&str]) -> KeyRing {
        KeyRing::parse(&lines.concat()).unwrap()
    }

    fn seal(keys: &KeyRing, cluster: &str, account: &str) -> Seal {
        Seal::new(keys, &cluster.into(), account)
    }

    #[test]
    fn a_file_of_keys_is_read_as_it_was_made_and_never_shown() {
        let ((first, one), (second, other)) = (KeyRing::generate(), KeyRing::generate());
        let keys = KeyRing::parse(&format!("{}\n{}", KeyRing::file(&one).as_str(), other.as_str())).unwrap();
        assert_eq!((keys.first(), keys.ids().collect::<Vec<_>>()), (first, vec![first, second]));
        let shown = format!("{keys:?} {:?}", seal(&keys, "c", "a"));
        assert!(shown.contains(&first.to_string()));
        for line in [&one, &other] {
            assert!(!shown.contains(line.trim_end().rsplit(' ').next().unwrap()));
        }
    }

    #[test]
    fn an_invalid_line_of_a_key_file_is_refused_without_showing_it() {
        let (_, line) = KeyRing::generate();
        let digits = line.trim_end().rsplit(' ').next().unwrap();
        assert_eq!(KeyRing::parse("# nothing\n\n").unwrap_err(), KeyRingError::Empty);
        let (cut, other) = (line.trim_end().split_at(70).0.to_owned(), format!("{} {digits}", "0".repeat(16)));
        for wrong in [digits, "a b", &cut, &other, &format!("{}x", line.trim_end()), &line.repeat(2)] {
            let error = KeyRing::parse(&format!("# title\n{wrong}")).unwrap_err();
            assert!(matches!(error, KeyRingError::Line { line: 2 | 3, .. }), "{wrong}: {error}");
            assert!(!error.to_string().contains(&digits[..8]), "{error}");
        }
        let many: String = (0..=MOST_KEYS).map(|_| KeyRing::generate().1.to_string()).collect();
        assert_eq!(KeyRing::parse(&many).unwrap_err(), KeyRingError::TooMany);
    }

    #[test]
    fn all_keys_decrypt_and_the_first_one_encrypts() {
        let ((first, one), (second, other)) = (KeyRing::generate(), KeyRing::generate());
        let [old, both, new] = [ring(&[&one]), ring(&[&other, &one]), ring(&[&other])];
        let by = |keys: &KeyRing| seal(keys, "c", "a").record(Token(1), 1, Kind::Change, b"text").unwrap();
        let open =
            |keys: &KeyRing, sealed: Vec<u8>| seal(keys, "c", "a").open_record(Token(1), 1, Kind::Change, sealed);
        assert_eq!((key_of(&by(&old)), key_of(&by(&both))), (Some(first), Some(second)));
        assert_eq!(open(&both, by(&old)).unwrap(), b"text");
        assert_eq!(open(&new, by(&both)).unwrap(), b"text");
        assert_eq!(open(&new, by(&old)), Err(OpenError::Key(first)));
        assert_eq!(open(&old, by(&new)), Err(OpenError::Key(second)));
    }

    /// The text says nothing about the one before it, even if it is the same.
    #[test]
    fn the_same_text_is_never_encrypted_to_the_same_bytes() {
        let keys = ring(&[&KeyRing::generate().1]);
        let one = || seal(&keys, "c", "a").record(Token(1), 1, Kind::Change, b"text").unwrap();
        assert_ne!(one()[HEAD..], one()[HEAD..]);
    }

    #[test]
    fn each_part_of_a_place_counts() {
        let keys = ring(&[&KeyRing::generate().1]);
        let sealed = seal(&keys, "c", "a").record(Token(1), 2, Kind::Change, b"text").unwrap();
        let open = |cluster: &str, account: &str, token: u64, number: u64, kind: Kind| {
            seal(&keys, cluster, account).open_record(Token(token), number, kind, sealed.clone())
        };
        assert_eq!(open("c", "a", 1, 2, Kind::Change).as_deref(), Ok(&b"text"[..]));
        assert_eq!(open("d", "a", 1, 2, Kind::Change), Err(OpenError::Changed));
        assert_eq!(open("c", "b", 1, 2, Kind::Change), Err(OpenError::Changed));
        assert_eq!(open("", "ca", 1, 2, Kind::Change), Err(OpenError::Changed));
        assert_eq!(open("c", "a", 2, 2, Kind::Change), Err(OpenError::Changed));
        assert_eq!(open("c", "a", 1, 1, Kind::Change), Err(OpenError::Changed));
        assert_eq!(open("c", "a", 1, 2, Kind::Part), Err(OpenError::Changed));
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Place {
        cluster: String,
        account: String,
        token: u64,
        number: u64,
        kind: Kind,
    }

    fn places() -> impl Strategy<Value = Place> {
        let kinds = prop_oneof![Just(Kind::Fence), Just(Kind::Part), Just(Kind::Change), Just(Kind::Snapshot)];
        ("[ab]{0,2}", "[ab]{0,2}", 0..2_u64, 0..2_u64, kinds)
            .prop_map(|(cluster, account, token, number, kind)| Place { cluster, account, token, number, kind })
    }

    proptest! {
        #[test]
        fn a_record_is_opened_as_it_was_and_where_it_was_and_no_other(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            (own, other) in (places(), places()),
            (at, bit) in (any::<prop::sample::Index>(), 0..8_u32),
        ) {
            let keys = ring(&[&KeyRing::generate().1]);
            let at_place = |place: &Place| seal(&keys, &place.cluster, &place.account);
            let open = |place: &Place, sealed: &[u8]| {
                at_place(place).open_record(Token(place.token), place.number, place.kind, sealed.to_vec())
            };
            let sealed = at_place(&own).record(Token(own.token), own.number, own.kind, &text).unwrap();
            prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
            prop_assert_eq!(open(&own, &sealed), Ok(text));
            prop_assert_eq!(open(&other, &sealed).is_ok(), own == other);
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(&own, &changed).is_err());
            prop_assert!(open(&own, &sealed[..at.index(sealed.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let keys = ring(&[&KeyRing::generate().1]);
            prop_assert!(seal(&keys, "c", "a").open_record(Token(1), 1, Kind::Change, bytes.clone()).is_err());
            prop_assert!(KeyRing::parse(&String::from_utf8_lossy(&bytes)).is_err());
        }
    }

    /// A snapshot and a record are no more exchanged than two records are.
    #[test]
    fn a_snapshot_is_opened_where_it_was_and_is_no_record() {
        let keys = ring(&[&KeyRing::generate().1]);
        let (own, up_to) = (seal(&keys, "c", "a"), Position { revision: 5, number: 3 });
        let mut state = b"state".to_vec();
        let (head, tag) = own.snapshot(up_to, &mut state).unwrap();
        let sealed = [&head[..], &state, &tag].concat();
        assert_eq!(own.open_snapshot(up_to, sealed.clone()).unwrap(), b"state");
        let later = Position { revision: 5, number: 4 };
        assert_eq!(own.open_snapshot(later, sealed.clone()), Err(OpenError::Changed));
        assert_eq!(seal(&keys, "c", "b").open_snapshot(up_to, sealed.clone()), Err(OpenError::Changed));
        assert_eq!(own.open_record(Token(5), 3, Kind::Snapshot, sealed), Err(OpenError::Changed));
    }
}
