//! Data messages: which keys they are encrypted by, and when keys change.
//!
//! Each side has two key pairs. Messages use the older of the own keys, which the other side is known to have, and the
//! newest key of the other side. A message brings the sender's next public key. Once the other side has used a key, the
//! one before it is forgotten, and the MAC keys that went with it are published in the next message: from then on
//! anybody could have written the old ones.

use std::fmt;

use rand::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::ake::{Authenticated, FIRST_KEY};
use super::ctr_mode;
use super::group::{Element, KeyPair};
use super::message::{self, Data, DataFields, Route};
use super::secrets::{MessageKeys, are_equal, mac_sha1};
use super::wire::put_data;

/// The greatest number of MAC keys that wait to be published. Older ones are wiped without it.
const MOST_PUBLISHED: usize = 256;
const MAC_KEY: usize = 20;

/// The place of a key among the two of a side.
const FORMER: usize = 0;
const NEWEST: usize = 1;

/// The keys between one pair of public keys.
struct Pair {
    sending: MessageKeys,
    receiving: MessageKeys,
    /// The counter of the last message sent.
    sent: u64,
    /// The counter of the last message received; 0 before the first.
    received: u64,
}

/// The keys of one encrypted conversation with one instance.
pub(super) struct Channel {
    route: Route,
    ours: [KeyPair; 2],
    /// The number of our newest key.
    our_number: u32,
    theirs: Element,
    their_former: Option<Element>,
    /// The number of their newest key.
    their_number: u32,
    /// By our key, then by theirs.
    pairs: [[Option<Pair>; 2]; 2],
    /// MAC keys that the next message publishes.
    published: Zeroizing<Vec<u8>>,
}

/// Why a data message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It names keys that are not in use.
    UnknownKeys,
    /// Its MAC is wrong.
    NotAuthentic,
    /// Its counter is not greater than the last.
    Replayed,
    /// It is authentic and breaks the protocol.
    Malformed,
}

/// No more messages can be sent by these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Channel {
    /// Begins with the keys of an exchange. `former` is the channel that it replaces.
    pub(super) fn new<R: CryptoRng + ?Sized>(
        route: Route,
        by: &Authenticated,
        former: Option<Self>,
        rng: &mut R,
    ) -> Self {
        Self {
            route,
            ours: [by.ours.clone(), KeyPair::random(rng)],
            our_number: FIRST_KEY + 1,
            theirs: by.theirs,
            their_former: None,
            their_number: by.their_number,
            pairs: [[None, None], [None, None]],
            published: former.map(Self::used_keys).unwrap_or_default(),
        }
    }

    /// Returns the keys of one pair, deriving them on first use. `None` if both public keys are one: then somebody sends back to us
    /// what we sent.
    fn pair(&mut self, our: usize, their: usize) -> Option<&mut Pair> {
        let theirs = if their == NEWEST { self.theirs } else { self.their_former? };
        let ours = &self.ours[our];
        let place = &mut self.pairs[our][their];
        if place.is_none() {
            if *ours.public() == theirs {
                return None;
            }
            let shared = ours.shared(&theirs);
            let is_greater = ours.public().is_greater(&theirs);
            *place = Some(Pair {
                sending: MessageKeys::derive(&shared, is_greater),
                receiving: MessageKeys::derive(&shared, !is_greater),
                sent: 0,
                received: 0,
            });
        }
        place.as_mut()
    }

    /// Encrypts a message.
    pub(super) fn seal(&mut self, plain: &[u8], ignore_unreadable: bool) -> Result<Vec<u8>, Exhausted> {
        let next_key = *self.ours[NEWEST].public();
        let (route, our_number, their_number) = (self.route, self.our_number, self.their_number);
        let pair = self.pair(FORMER, NEWEST).ok_or(Exhausted)?;
        pair.sent = pair.sent.checked_add(1).ok_or(Exhausted)?;
        let mut encrypted = plain.to_vec();
        ctr_mode::apply(&pair.sending.cipher, pair.sent, &mut encrypted);
        let fields = DataFields {
            ignore_unreadable,
            sender_key: our_number - 1,
            receiver_key: their_number,
            next_key: &next_key,
            counter: pair.sent,
            encrypted: &encrypted,
        };
        let mut bytes = message::data(route, &fields);
        let mac = mac_sha1(&pair.sending.mac, &bytes);
        bytes.extend_from_slice(&mac);
        put_data(&mut bytes, &std::mem::take(&mut self.published));
        Ok(bytes)
    }

    /// Encrypts the last message of this channel, which publishes every MAC key that was used: nothing is received any more.
    pub(super) fn seal_last(mut self, plain: &[u8]) -> Result<Vec<u8>, Exhausted> {
        for pair in self.pairs.as_flattened() {
            publish(&mut self.published, pair.as_ref());
        }
        self.seal(plain, true)
    }

    /// Decrypts a message. Unless it is authentic and new, nothing changes.
    pub(super) fn open<R: CryptoRng + ?Sized>(
        &mut self,
        data: &Data<'_>,
        rng: &mut R,
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let our = place(data.receiver_key, self.our_number).ok_or(Refused::UnknownKeys)?;
        let their = place(data.sender_key, self.their_number).ok_or(Refused::UnknownKeys)?;
        let pair = self.pair(our, their).ok_or(Refused::UnknownKeys)?;
        if !are_equal(&mac_sha1(&pair.receiving.mac, data.authenticated), data.mac) {
            return Err(Refused::NotAuthentic);
        }
        if data.counter <= pair.received {
            return Err(Refused::Replayed);
        }
        let our_next = self.our_number.checked_add(1).ok_or(Refused::Malformed)?;
        let their_next = self.their_number.checked_add(1).ok_or(Refused::Malformed)?;
        // Keys that come twice would encrypt two messages by one stream.
        let is_former = their == NEWEST && (data.next_key == self.theirs || Some(data.next_key) == self.their_former);
        if is_former || self.ours.iter().any(|ours| *ours.public() == data.next_key) {
            return Err(Refused::Malformed);
        }
        let pair = self.pair(our, their).ok_or(Refused::UnknownKeys)?;
        pair.received = data.counter;
        let mut plain = Zeroizing::new(data.encrypted.to_vec());
        ctr_mode::apply(&pair.receiving.cipher, data.counter, &mut plain);
        if our == NEWEST {
            self.change_ours(our_next, rng);
        }
        if their == NEWEST {
            self.change_theirs(their_next, data.next_key);
        }
        Ok(plain)
    }

    fn change_ours<R: CryptoRng + ?Sized>(&mut self, number: u32, rng: &mut R) {
        let [former, newest] = std::mem::take(&mut self.pairs);
        for pair in &former {
            publish(&mut self.published, pair.as_ref());
        }
        self.pairs = [newest, [None, None]];
        self.ours.swap(FORMER, NEWEST);
        self.ours[NEWEST] = KeyPair::random(rng);
        self.our_number = number;
    }

    fn change_theirs(&mut self, number: u32, next: Element) {
        for pairs in &mut self.pairs {
            publish(&mut self.published, pairs[FORMER].as_ref());
            pairs[FORMER] = pairs[NEWEST].take();
        }
        self.their_former = Some(std::mem::replace(&mut self.theirs, next));
        self.their_number = number;
    }

    /// Returns all MAC keys that may be published after this channel has ended.
    fn used_keys(mut self) -> Zeroizing<Vec<u8>> {
        for pair in self.pairs.as_flattened() {
            publish(&mut self.published, pair.as_ref());
        }
        std::mem::take(&mut self.published)
    }
}

/// Says which of the two keys of a side a number is of.
fn place(number: u32, newest: u32) -> Option<usize> {
    match newest.checked_sub(number)? {
        _ if number == 0 => None,
        0 => Some(NEWEST),
        1 => Some(FORMER),
        _ => None,
    }
}

/// Adds the MAC key that messages were received by, if any were.
fn publish(published: &mut Vec<u8>, pair: Option<&Pair>) {
    let Some(pair) = pair.filter(|pair| pair.received > 0) else { return };
    published.extend_from_slice(&*pair.receiving.mac);
    let too_many = published.len().saturating_sub(MOST_PUBLISHED * MAC_KEY);
    published[..too_many].zeroize();
    published.drain(..too_many);
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use zeroize::Zeroizing;

    use super::{Authenticated, Channel, FORMER, KeyPair, NEWEST, Refused, Route, place};
    use crate::otr::message::{Body, decode, encode, read_body, read_head};
    use crate::otr::tests::account;
    use crate::otr::wire::Reader;

    fn channels(rng: &mut StdRng) -> [Channel; 2] {
        let (a, b) = (KeyPair::random(rng), KeyPair::random(rng));
        [(&a, &b), (&b, &a)].map(|(ours, theirs)| {
            let key = account(0).public().clone();
            let (ours, theirs, session_id) = (ours.clone(), *theirs.public(), Zeroizing::new([0; 8]));
            let by = Authenticated { ours, theirs, their_number: 1, key, session_id };
            Channel::new(Route::V2, &by, None, rng)
        })
    }

    fn open(channel: &mut Channel, bytes: &[u8], rng: &mut StdRng) -> Result<Vec<u8>, Refused> {
        let text = encode(bytes);
        let bytes = decode(text.strip_prefix("?OTR:").and_then(|text| text.strip_suffix('.')).unwrap()).unwrap();
        let mut reader = Reader::new(&bytes);
        let (_, kind) = read_head(&mut reader).unwrap();
        let Some(Body::Data(data)) = read_body(kind, &mut reader, &bytes) else { panic!("not a data message") };
        channel.open(&data, rng).map(|plain| plain.to_vec())
    }

    #[test]
    fn a_key_that_comes_twice_is_refused() {
        let mut rng = StdRng::seed_from_u64(110);
        let [mut a, mut b] = channels(&mut rng);
        let former = a.ours[FORMER].clone();
        let newest = std::mem::replace(&mut a.ours[NEWEST], former);
        let bytes = a.seal(b"text", false).unwrap();
        assert_eq!(open(&mut b, &bytes, &mut rng), Err(Refused::Malformed));
        // B's own key comes back to it as a next key.
        a.ours[NEWEST] = b.ours[NEWEST].clone();
        let bytes = a.seal(b"text", false).unwrap();
        assert_eq!(open(&mut b, &bytes, &mut rng), Err(Refused::Malformed));
        a.ours[NEWEST] = newest;
        let bytes = a.seal(b"text", false).unwrap();
        assert_eq!(open(&mut b, &bytes, &mut rng), Ok(b"text".to_vec()));
    }

    #[test]
    fn published_keys_are_bounded_and_go_out_once() {
        let mut rng = StdRng::seed_from_u64(111);
        let [mut a, mut b] = channels(&mut rng);
        // B listens only, while the keys of A change with each message, as they never should.
        for _ in 0..300 {
            let bytes = a.seal(b"", true).unwrap();
            open(&mut b, &bytes, &mut rng).unwrap();
            a.ours.swap(FORMER, NEWEST);
            a.ours[NEWEST] = KeyPair::random(&mut rng);
            a.our_number += 1;
            a.pairs = [[None, None], [None, None]];
        }
        assert_eq!(b.published.len(), 256 * 20);
        assert!(b.seal(b"", true).unwrap().len() > 256 * 20);
        assert!(b.seal(b"", true).unwrap().len() < 400);
    }

    #[test]
    fn two_keys_of_each_side_are_in_use() {
        assert_eq!(place(2, 2), Some(1));
        assert_eq!(place(1, 2), Some(0));
        assert_eq!(place(0, 1), None);
        assert_eq!(place(0, 0), None);
        assert_eq!(place(3, 2), None);
        assert_eq!(place(1, 3), None);
        assert_eq!(place(u32::MAX, u32::MAX), Some(1));
    }
}
