//! Limits of counts, lengths and ages.

/// Prekeys in the own bundle.
pub const PREKEYS: usize = 100;

/// Used prekeys that are kept while an archive is read, and those that were used a moment ago. Beyond it, the oldest is dropped.
pub const USED_PREKEYS: usize = 1_000;

/// Exchanges that may use one prekey before a bundle without it is published.
pub const EXCHANGES_OF_A_PREKEY: usize = 32;

/// Prekeys that are read from a foreign bundle. Clients publish 50 to 100, and a session takes one of them.
pub const FOREIGN_PREKEYS: usize = 200;

/// Devices of the account before the present one that may still be on the server. Beyond it, the oldest is forgotten.
pub const FORMER_DEVICES: usize = 8;

/// Keys of missing messages that a session keeps. It is also the maximum number of messages that may be missing in a
/// row.
pub const SKIPPED_KEYS: usize = 2_000;

/// Keys of missing messages that are derived for one stanza. A stanza may have several messages for a device, and each may belong
/// to several ratchets. Its sender chooses their numbers, and only the last key shows whether they are genuine.
pub const KEYS_OF_ONE_STANZA: u32 = 4_000;

/// Among those keys, the most that may be guesses. libsignal and libomemo-c give the length of a chain as one less than it is, so that
/// one more message may have been sent.
pub const GUESSED_KEYS: usize = 5;

/// Ratchets that a session had before the one in use: both sides may start at once, and a message may come late.
pub const FORMER_RATCHETS: usize = 8;

/// Ratchet keys of the other side that a ratchet remembers, to distinguish repeated messages from forged ones.
pub const PAST_KEYS: usize = 20;

/// Key exchanges that a session remembers, so that none is accepted again after its ratchet was given up.
pub const PAST_EXCHANGES: usize = 64;

/// The longest message for a device, in bytes. Usual are 100 to 250.
pub const KEY_MESSAGE_BYTES: usize = 4_096;

/// The longest key material in a message, in bytes. The versions have 32 and 48.
pub const KEY_BYTES: usize = 128;

/// The longest state of an own device, in bytes.
pub const DEVICE_BYTES: usize = 80 * 1_024;

/// The longest state of a session, in bytes.
pub const SESSION_BYTES: usize = 192 * 1_024;

/// The longest link to an encrypted file, in bytes.
pub const LINK_BYTES: usize = 8_192;

/// An age of the own signed prekey at which it is due for a change, in seconds: a week.
pub const SIGNED_PREKEY_SECONDS: u64 = 7 * 24 * 60 * 60;

/// Messages in a row without an answer after which the other side is owed one, so that both get new keys; and again after so many more.
pub const UNANSWERED_MESSAGES: u32 = 53;
