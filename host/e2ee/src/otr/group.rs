//! The group of the key exchange: 1536 bits (RFC 3526, section 2), generator 2.
//!
//! Powers, products, inverses and numbers modulo the order are computed in constant time.

use std::fmt;

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U256, U320, U1536, Uint, const_monty_params};
use rand::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::wire::{Reader, put_mpi};

/// The length of a number below the modulus, in bytes.
const BYTES: usize = 192;

const_monty_params!(
    Modulus,
    U1536,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
    "The modulus p of the group."
);

const_monty_params!(
    Order,
    U1536,
    "7FFFFFFFFFFFFFFFE487ED5110B4611A62633145C06E0E68948127044533E63A\
     0105DF531D89CD9128A5043CC71A026EF7CA8CD9E69D218D98158536F92F8A1B\
     A7F09AB6B6A8E122F242DABB312F3F637A262174D31BF6B585FFAE5B7A035BF6\
     F71C35FDAD44CFD2D74F9208BE258FF324943328F6722D9EE1003E5C50B1DF82\
     CC6D241B0E2AE9CD348B1FD47E9267AFC1B2AE91EE51D6CB0E3179AB1042A95D\
     CF6A9483B84B4B36B3861AA7255E4C0278BA36046511B993FFFFFFFFFFFFFFFF",
    "The order of the squares, q = (p - 1) / 2."
);

type Residue = ConstMontyForm<Modulus, { U1536::LIMBS }>;
type Exponent = ConstMontyForm<Order, { U1536::LIMBS }>;

/// A number modulo p.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Element(Residue);

impl Element {
    /// The generator.
    pub(super) fn generator() -> Self {
        Self(Residue::new(&U1536::from_u8(2)))
    }

    /// Reads a number that the other side chose: at least 2 and at most p - 2. So no secret is ever raised to a power
    /// of two values.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let number = number(reader.mpi()?)?;
        let greatest = Residue::MODULUS.get().wrapping_sub(&U1536::from_u8(2));
        (number >= U1536::from_u8(2) && number <= greatest).then(|| Self(Residue::new(&number)))
    }

    /// Appends the number as an MPI.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_mpi(out, self.0.retrieve().to_be_bytes().as_ref());
    }

    /// Returns the number as an MPI.
    pub(super) fn to_mpi(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES + 4);
        self.write(&mut out);
        out
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0))
    }

    /// Returns the quotient, or `None` if `other` is 0.
    pub(super) fn over(&self, other: &Self) -> Option<Self> {
        let inverse = other.0.invert().into_option()?;
        Some(Self(self.0.mul(&inverse)))
    }

    pub(super) fn pow(&self, exponent: &Scalar) -> Self {
        let exponent = Zeroizing::new(exponent.0.retrieve());
        Self(self.0.pow(&*exponent))
    }

    /// Raises to a hash. It is public.
    pub(super) fn pow_hash(&self, hash: &Hash) -> Self {
        Self(self.0.pow(&hash.0))
    }

    /// Says whether this number is greater, as a number.
    pub(super) fn is_greater(&self, other: &Self) -> bool {
        self.0.retrieve() > other.0.retrieve()
    }

    fn pow_short<const LIMBS: usize>(self, exponent: &Uint<LIMBS>) -> Self {
        Self(self.0.pow(exponent))
    }
}

impl Zeroize for Element {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// The number of at most 1536 bits that these bytes are.
fn number(big_endian: &[u8]) -> Option<U1536> {
    let mut padded = Zeroizing::new([0; BYTES]);
    let start = BYTES.checked_sub(big_endian.len())?;
    padded[start..].copy_from_slice(big_endian);
    Some(U1536::from_be_slice(&*padded))
}

/// A secret number modulo the order.
#[derive(Clone)]
pub(super) struct Scalar(Zeroizing<Exponent>);

impl Scalar {
    /// Draws a number. 1536 bits are drawn, and the order is next to 2^1535: none is noticeably likelier than another.
    pub(super) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
        rng.fill_bytes(&mut *bytes);
        let number = Zeroizing::new(U1536::from_be_slice(&*bytes));
        Self(Zeroizing::new(Exponent::new(&number)))
    }

    /// Reads a number that the other side computed modulo the order.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let number = number(reader.mpi()?)?;
        let is_reduced = number < Exponent::MODULUS.get() && number != U1536::ZERO;
        is_reduced.then(|| Self(Zeroizing::new(Exponent::new(&number))))
    }

    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        let number = Zeroizing::new(U256::from_be_slice(digest).resize::<{ U1536::LIMBS }>());
        Self(Zeroizing::new(Exponent::new(&number)))
    }

    /// Appends the number as an MPI. Only answers in proofs are written, and they are public.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_mpi(out, self.0.retrieve().to_be_bytes().as_ref());
    }

    /// Returns `self - secret · hash`: the answer in a proof, for which `self` was drawn.
    pub(super) fn answer(&self, secret: &Self, hash: &Hash) -> Self {
        let hash = Exponent::new(&hash.0.resize::<{ U1536::LIMBS }>());
        Self(Zeroizing::new(self.0.sub(&secret.0.mul(&hash))))
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scalar(..)")
    }
}

/// A hash as a number: the challenge in a proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(U256);

impl Hash {
    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        Self(U256::from_be_slice(digest))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bytes = reader.mpi()?;
        let mut padded = [0; 32];
        let start = padded.len().checked_sub(bytes.len())?;
        padded[start..].copy_from_slice(bytes);
        Some(Self(U256::from_be_slice(&padded)))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_mpi(out, self.0.to_be_bytes().as_ref());
    }
}

/// A key pair for the key exchange, with 320 secret bits as the protocol asks for.
#[derive(Clone)]
pub(super) struct KeyPair {
    secret: Zeroizing<U320>,
    public: Element,
}

impl KeyPair {
    pub(super) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; U320::BYTES]);
        loop {
            rng.fill_bytes(&mut *bytes);
            let secret = Zeroizing::new(U320::from_be_slice(&*bytes));
            let public = Element::generator().pow_short(&secret);
            // A public key that others would refuse, as 1 is, comes once in 2^300.
            if Element::read(&mut Reader::new(&public.to_mpi())).is_some() {
                return Self { secret, public };
            }
        }
    }

    pub(super) fn public(&self) -> &Element {
        &self.public
    }

    /// Returns the secret shared with the owner of a public key, as an MPI: everything is derived from its bytes.
    pub(super) fn shared(&self, theirs: &Element) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(theirs.pow_short(&self.secret).to_mpi())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::{Element, Exponent, KeyPair, Residue, Scalar, U1536};
    use crate::otr::wire::{Reader, put_mpi};

    #[test]
    fn the_order_is_half_of_the_modulus() {
        assert_eq!(Exponent::MODULUS.get(), Residue::MODULUS.get() >> 1);
        let squares = Element::generator().0.pow(&Exponent::MODULUS.get());
        assert_eq!(squares, Residue::ONE);
    }

    #[test]
    fn both_sides_share_one_secret() {
        let mut rng = StdRng::seed_from_u64(1);
        let (a, b) = (KeyPair::random(&mut rng), KeyPair::random(&mut rng));
        assert_eq!(*a.shared(b.public()), *b.shared(a.public()));
    }

    #[test]
    fn numbers_of_tiny_groups_are_refused() {
        let modulus = Residue::MODULUS.get();
        let refused = [
            U1536::ZERO,
            U1536::ONE,
            modulus.wrapping_sub(&U1536::ONE),
            modulus,
            modulus.wrapping_add(&U1536::ONE),
            U1536::MAX,
        ];
        let read = |number: U1536| {
            let mut bytes = Vec::new();
            put_mpi(&mut bytes, number.to_be_bytes().as_ref());
            Element::read(&mut Reader::new(&bytes))
        };
        for number in refused {
            assert!(read(number).is_none());
        }
        assert!(read(U1536::from_u8(2)).is_some());
        assert!(read(modulus.wrapping_sub(&U1536::from_u8(2))).is_some());
        let mut long = vec![0, 0, 0, 193, 1];
        long.extend([0; 192]);
        assert!(Element::read(&mut Reader::new(&long)).is_none());
    }

    #[test]
    fn answers_are_computed_modulo_the_order() {
        let mut rng = StdRng::seed_from_u64(2);
        let (drawn, secret) = (Scalar::random(&mut rng), Scalar::random(&mut rng));
        let hash = super::Hash::of_digest(&[0xab; 32]);
        let g = Element::generator();
        let left = g.pow(&drawn.answer(&secret, &hash)).times(&g.pow(&secret).pow_hash(&hash));
        assert!(left == g.pow(&drawn));
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut rng = StdRng::seed_from_u64(3);
        assert_eq!(format!("{:?}", KeyPair::random(&mut rng)), "KeyPair(..)");
        assert_eq!(format!("{:?}", Scalar::random(&mut rng)), "Scalar(..)");
    }
}
