//! The authenticated key exchange with one instance.
//!
//! One side commits to a key, the other answers with its own, then each proves its identity in two encrypted messages.

use std::fmt;
use std::sync::Arc;

use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::ctr_mode;
use super::group::{Element, KeyPair};
use super::key::{Account, PublicKey};
use super::message::{self, Route, Sealed};
use super::secrets::{ExchangeKeys, ExchangeSecrets, are_equal, mac_sha256, mac_sha256_160};
use super::wire::{Reader, put_data};

/// The number of the key that an exchange is made with. The next key, which a data message brings, has number 2.
pub(super) const FIRST_KEY: u32 = 1;

/// A commitment to a key of ours. Until it is answered, only we know the key.
pub(super) struct Commitment {
    revealed: Zeroizing<[u8; 16]>,
    ours: KeyPair,
    hash: [u8; 32],
    /// The message.
    bytes: Vec<u8>,
}

impl Commitment {
    pub(super) fn new<R: CryptoRng + ?Sized>(route: Route, rng: &mut R) -> Self {
        let ours = KeyPair::random(rng);
        let mut revealed = Zeroizing::new([0; 16]);
        rng.fill_bytes(&mut *revealed);
        let mut encrypted = ours.public().to_mpi();
        let hash = Sha256::digest(&encrypted).into();
        ctr_mode::apply(&revealed, 0, &mut encrypted);
        let bytes = message::commit(route, &encrypted, &hash);
        Self { revealed, ours, hash, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commitment(..)")
    }
}

/// The progress of the exchange with one instance.
#[derive(Default)]
pub(super) enum Exchange {
    #[default]
    Idle,
    AwaitingKey(Arc<Commitment>),
    AwaitingReveal(Box<Answered>),
    AwaitingSignature(Box<Revealed>),
}

/// We have answered somebody's commitment with a key of ours.
pub(super) struct Answered {
    ours: KeyPair,
    encrypted: Vec<u8>,
    hash: [u8; 32],
}

/// We have revealed our key, and proven our identity.
pub(super) struct Revealed {
    ours: KeyPair,
    theirs: Element,
    secrets: ExchangeSecrets,
    /// The message that did.
    bytes: Vec<u8>,
}

/// An exchange that has succeeded.
pub(super) struct Authenticated {
    pub(super) ours: KeyPair,
    pub(super) theirs: Element,
    pub(super) their_number: u32,
    pub(super) key: PublicKey,
    pub(super) session_id: Zeroizing<[u8; 8]>,
}

/// The reason why a message does not continue the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No message of this kind is awaited.
    Unexpected,
    /// Not what was committed to, not of the shared secret, or from ourselves.
    NotAuthentic,
    /// Of the shared secret, but not signed by the key that it names.
    BadSignature,
    /// Of the shared secret, but not written as the protocol says.
    Malformed,
}

/// Longer commitments and signatures are refused: a number of 1536 bits, and a key with a signature.
const LONGEST_COMMITTED: usize = 4 + 192;

impl Exchange {
    /// Takes the other side's commitment, and returns what to send. `pending` is a commitment that we have sent to every instance
    /// since, if this one has not taken it up.
    ///
    /// If both sides have committed at once, the greater hash wins: its owner sends its commitment again, the other side answers.
    pub(super) fn on_commit<R: CryptoRng + ?Sized>(
        &mut self,
        route: Route,
        (encrypted, hash): (&[u8], &[u8; 32]),
        pending: Option<&Arc<Commitment>>,
        rng: &mut R,
    ) -> Result<Vec<u8>, Refused> {
        if encrypted.len() > LONGEST_COMMITTED {
            return Err(Refused::Malformed);
        }
        let own = match (pending, &*self) {
            (Some(pending), _) | (None, Self::AwaitingKey(pending)) => Some(Arc::clone(pending)),
            _ => None,
        };
        if let Some(own) = own {
            if own.hash == *hash {
                return Err(Refused::NotAuthentic);
            }
            if own.hash > *hash {
                let bytes = own.bytes.clone();
                *self = Self::AwaitingKey(own);
                return Ok(bytes);
            }
        }
        let ours = match self {
            // Use the same key as before, so that a client that gets both answers is not confused.
            Self::AwaitingReveal(answered) => answered.ours.clone(),
            _ => KeyPair::random(rng),
        };
        let bytes = message::key(route, ours.public());
        *self = Self::AwaitingReveal(Box::new(Answered { ours, encrypted: encrypted.to_vec(), hash: *hash }));
        Ok(bytes)
    }

    /// Takes the other side's key, and returns what to send.
    pub(super) fn on_key(&mut self, route: Route, theirs: Element, account: &Account) -> Result<Vec<u8>, Refused> {
        let own = match self {
            Self::AwaitingKey(own) => Arc::clone(own),
            Self::AwaitingSignature(revealed) if revealed.theirs == theirs => return Ok(revealed.bytes.clone()),
            _ => return Err(Refused::Unexpected),
        };
        if theirs == *own.ours.public() {
            return Err(Refused::NotAuthentic);
        }
        let secrets = ExchangeSecrets::derive(&own.ours.shared(&theirs));
        let (encrypted, mac) =
            prove(account, &secrets.committer, own.ours.public(), &theirs).ok_or(Refused::Malformed)?;
        let bytes = message::reveal(route, &own.revealed, &encrypted, &mac);
        let revealed = Revealed { ours: own.ours.clone(), theirs, secrets, bytes: bytes.clone() };
        *self = Self::AwaitingSignature(Box::new(revealed));
        Ok(bytes)
    }

    /// Takes the key that the other side had committed to, with its proof, and returns what to send.
    ///
    /// A forged message changes nothing. If the other side itself violated the protocol, the exchange ends.
    pub(super) fn on_reveal(
        &mut self,
        route: Route,
        (revealed, sealed): (&[u8; 16], &Sealed<'_>),
        account: &Account,
    ) -> Result<(Vec<u8>, Authenticated), Refused> {
        let Self::AwaitingReveal(answered) = self else { return Err(Refused::Unexpected) };
        let mut committed = answered.encrypted.clone();
        ctr_mode::apply(revealed, 0, &mut committed);
        let hash: [u8; 32] = Sha256::digest(&committed).into();
        if !are_equal(&hash, &answered.hash) {
            return Err(Refused::NotAuthentic);
        }
        let mut reader = Reader::new(&committed);
        let theirs = Element::read(&mut reader).filter(|theirs| theirs != answered.ours.public());
        let Some((theirs, ())) = theirs.zip(reader.end()) else { return Err(Refused::NotAuthentic) };
        let secrets = ExchangeSecrets::derive(&answered.ours.shared(&theirs));
        let ours = answered.ours.clone();
        check_mac(&secrets.committer, sealed)?;
        *self = Self::Idle;
        let (key, their_number) = check(account, &secrets.committer, sealed, &theirs, ours.public())?;
        let (encrypted, mac) = prove(account, &secrets.responder, ours.public(), &theirs).ok_or(Refused::Malformed)?;
        let bytes = message::signature(route, &encrypted, &mac);
        Ok((bytes, Authenticated { ours, theirs, their_number, key, session_id: secrets.session_id }))
    }

    /// Takes the other side's proof.
    pub(super) fn on_signature(&mut self, sealed: &Sealed<'_>, account: &Account) -> Result<Authenticated, Refused> {
        let Self::AwaitingSignature(revealed) = self else { return Err(Refused::Unexpected) };
        check_mac(&revealed.secrets.responder, sealed)?;
        let Self::AwaitingSignature(revealed) = std::mem::take(self) else { return Err(Refused::Unexpected) };
        let Revealed { ours, theirs, secrets, .. } = *revealed;
        let (key, their_number) = check(account, &secrets.responder, sealed, &theirs, ours.public())?;
        Ok(Authenticated { ours, theirs, their_number, key, session_id: secrets.session_id })
    }
}

/// Returns the MAC that one side signs.
fn signed_mac(keys: &ExchangeKeys, own: &Element, other: &Element, key: &[u8], number: u32) -> [u8; 32] {
    let mut data = own.to_mpi();
    other.write(&mut data);
    data.extend_from_slice(key);
    data.extend_from_slice(&number.to_be_bytes());
    mac_sha256(&keys.signed, &data)
}

/// Returns our key with a signature, encrypted, and the MAC of that.
fn prove(account: &Account, keys: &ExchangeKeys, ours: &Element, theirs: &Element) -> Option<(Vec<u8>, [u8; 20])> {
    let public = account.public().encoded();
    let signature = account.sign(&signed_mac(keys, ours, theirs, public, FIRST_KEY))?;
    let mut proof = public.to_vec();
    proof.extend_from_slice(&FIRST_KEY.to_be_bytes());
    proof.extend_from_slice(&signature);
    ctr_mode::apply(&keys.cipher, 0, &mut proof);
    let mac = sealing_mac(keys, &proof);
    Some((proof, mac))
}

fn sealing_mac(keys: &ExchangeKeys, encrypted: &[u8]) -> [u8; 20] {
    let mut data = Vec::with_capacity(encrypted.len() + 4);
    put_data(&mut data, encrypted);
    mac_sha256_160(&keys.sealing, &data)
}

fn check_mac(keys: &ExchangeKeys, sealed: &Sealed<'_>) -> Result<(), Refused> {
    let mac = sealing_mac(keys, sealed.encrypted);
    if are_equal(&mac, sealed.mac) { Ok(()) } else { Err(Refused::NotAuthentic) }
}

/// Returns the other side's long-term key, and the number of the key that it made the exchange with.
fn check(
    account: &Account,
    keys: &ExchangeKeys,
    sealed: &Sealed<'_>,
    theirs: &Element,
    ours: &Element,
) -> Result<(PublicKey, u32), Refused> {
    let mut proof = sealed.encrypted.to_vec();
    ctr_mode::apply(&keys.cipher, 0, &mut proof);
    let mut reader = Reader::new(&proof);
    let key = PublicKey::read(&mut reader).ok_or(Refused::Malformed)?;
    let number = reader.int().filter(|number| *number > 0).ok_or(Refused::Malformed)?;
    let mac = signed_mac(keys, theirs, ours, key.encoded(), number);
    let is_signed = key.verify(&mac, &mut reader).ok_or(Refused::Malformed)?;
    reader.end().ok_or(Refused::Malformed)?;
    if !is_signed {
        return Err(Refused::BadSignature);
    }
    // Our own key can only be our message, sent back.
    if key.fingerprint() == account.fingerprint() {
        return Err(Refused::NotAuthentic);
    }
    Ok((key, number))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::{Arc, Commitment, Exchange, ExchangeSecrets, FIRST_KEY, KeyPair, Refused, sealing_mac, signed_mac};
    use crate::otr::ctr_mode;
    use crate::otr::group::Element;
    use crate::otr::message::{Route, Sealed};
    use crate::otr::secrets::ExchangeKeys;
    use crate::otr::tests::account;
    use crate::otr::wire::Reader;

    /// Claims to be the owner of account 0, and signs with account 2.
    fn claim(keys: &ExchangeKeys, ours: &Element, theirs: &Element, number: u32) -> (Vec<u8>, [u8; 20]) {
        let mut proof = account(0).public().encoded().to_vec();
        let signature = account(2).sign(&signed_mac(keys, ours, theirs, &proof, number)).unwrap();
        proof.extend_from_slice(&number.to_be_bytes());
        proof.extend_from_slice(&signature);
        ctr_mode::apply(&keys.cipher, 0, &mut proof);
        let mac = sealing_mac(keys, &proof);
        (proof, mac)
    }

    /// Reads the number at the end of a message that consists of it.
    fn key_in(bytes: &[u8]) -> Element {
        Element::read(&mut Reader::new(&bytes[3..])).unwrap()
    }

    #[test]
    fn whoever_claims_the_key_of_another_is_refused() {
        let mut rng = StdRng::seed_from_u64(100);
        for (number, expected) in [(FIRST_KEY, Refused::BadSignature), (0, Refused::Malformed)] {
            // The impostor begins.
            let own = Commitment::new(Route::V2, &mut rng);
            let mut encrypted = own.ours.public().to_mpi();
            ctr_mode::apply(&own.revealed, 0, &mut encrypted);
            let mut victim = Exchange::Idle;
            let key = victim.on_commit(Route::V2, (&encrypted, &own.hash), None, &mut rng).unwrap();
            let theirs = key_in(&key);
            let secrets = ExchangeSecrets::derive(&own.ours.shared(&theirs));
            let (proof, mac) = claim(&secrets.committer, own.ours.public(), &theirs, number);
            let sealed = Sealed { encrypted: &proof, mac: &mac };
            let refused = victim.on_reveal(Route::V2, (&own.revealed, &sealed), &account(1));
            assert_eq!(refused.map(drop), Err(expected));
            assert!(matches!(victim, Exchange::Idle));

            // The impostor answers.
            let commitment = Arc::new(Commitment::new(Route::V2, &mut rng));
            let theirs = *commitment.ours.public();
            let ours = KeyPair::random(&mut rng);
            let mut victim = Exchange::AwaitingKey(commitment);
            victim.on_key(Route::V2, *ours.public(), &account(1)).unwrap();
            let secrets = ExchangeSecrets::derive(&ours.shared(&theirs));
            let (proof, mac) = claim(&secrets.responder, ours.public(), &theirs, number);
            let refused = victim.on_signature(&Sealed { encrypted: &proof, mac: &mac }, &account(1));
            assert_eq!(refused.map(drop), Err(expected));
            assert!(matches!(victim, Exchange::Idle));
        }
    }

    #[test]
    fn messages_of_somebody_else_do_not_end_an_exchange() {
        let mut rng = StdRng::seed_from_u64(101);
        let mut victim = Exchange::AwaitingKey(Arc::new(Commitment::new(Route::V2, &mut rng)));
        let (real, other) = (KeyPair::random(&mut rng), KeyPair::random(&mut rng));
        let reveal = victim.on_key(Route::V2, *real.public(), &account(1)).unwrap();
        assert_eq!(victim.on_key(Route::V2, *other.public(), &account(1)), Err(Refused::Unexpected));
        assert_eq!(victim.on_key(Route::V2, *real.public(), &account(1)), Ok(reveal));
        let forged = Sealed { encrypted: &[1; 400], mac: &[2; 20] };
        assert_eq!(victim.on_signature(&forged, &account(1)).map(drop), Err(Refused::NotAuthentic));
        assert!(matches!(victim, Exchange::AwaitingSignature(_)));
    }
}
