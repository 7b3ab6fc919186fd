//! The proofs in a comparison of secrets: that a number was made as the protocol says, without telling how.
//!
//! The first byte of each hash names the place in the protocol, so that no proof serves at another place.

use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::group::{Element, Hash, Scalar};
use super::wire::Reader;

fn hash(place: u8, numbers: &[Element]) -> Hash {
    let mut data = vec![place];
    for number in numbers {
        number.write(&mut data);
    }
    Hash::of_digest(&Sha256::digest(&data).into())
}

/// Proves knowledge of the exponent of a power of the generator.
pub(super) struct Knowledge {
    challenge: Hash,
    answer: Scalar,
}

impl Knowledge {
    pub(super) fn new<R: CryptoRng + ?Sized>(place: u8, exponent: &Scalar, rng: &mut R) -> Self {
        let drawn = Scalar::random(rng);
        let challenge = hash(place, &[Element::generator().pow(&drawn)]);
        Self { challenge, answer: drawn.answer(exponent, &challenge) }
    }

    pub(super) fn holds(&self, place: u8, power: &Element) -> bool {
        let drawn = Element::generator().pow(&self.answer).times(&power.pow_hash(&self.challenge));
        hash(place, &[drawn]) == self.challenge
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { challenge: Hash::read(reader)?, answer: Scalar::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.challenge.write(out);
        self.answer.write(out);
    }
}

/// The two generators that both sides have made together. Nobody else may know them: with them, a short secret can be guessed
/// from what both sides have sent.
pub(super) struct Generators {
    pub(super) second: Element,
    pub(super) third: Element,
}

impl Generators {
    /// Returns them so that they are wiped when they are dropped.
    pub(super) fn of(second: Element, third: Element) -> Zeroizing<Self> {
        Zeroizing::new(Self { second, third })
    }
}

impl Zeroize for Generators {
    fn zeroize(&mut self) {
        self.second.zeroize();
        self.third.zeroize();
    }
}

/// A secret hidden in two numbers: a power of the third generator, and the same power of the first times the second to the secret.
#[derive(Clone, Copy)]
pub(super) struct Hidden {
    pub(super) p: Element,
    pub(super) q: Element,
}

impl Hidden {
    pub(super) fn new(generators: &Generators, exponent: &Scalar, secret: &Scalar) -> Self {
        let q = Element::generator().pow(exponent).times(&generators.second.pow(secret));
        Self { p: generators.third.pow(exponent), q }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { p: Element::read(reader)?, q: Element::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.p.write(out);
        self.q.write(out);
    }
}

/// Proves that a secret was hidden as it should.
pub(super) struct WellHidden {
    challenge: Hash,
    exponent: Scalar,
    secret: Scalar,
}

impl WellHidden {
    pub(super) fn new<R: CryptoRng + ?Sized>(
        place: u8,
        generators: &Generators,
        (exponent, secret): (&Scalar, &Scalar),
        rng: &mut R,
    ) -> Self {
        let (drawn, other) = (Scalar::random(rng), Scalar::random(rng));
        let of = Hidden::new(generators, &drawn, &other);
        let challenge = hash(place, &[of.p, of.q]);
        Self { challenge, exponent: drawn.answer(exponent, &challenge), secret: other.answer(secret, &challenge) }
    }

    pub(super) fn holds(&self, place: u8, generators: &Generators, hidden: &Hidden) -> bool {
        let of = Hidden::new(generators, &self.exponent, &self.secret);
        let p = of.p.times(&hidden.p.pow_hash(&self.challenge));
        let q = of.q.times(&hidden.q.pow_hash(&self.challenge));
        hash(place, &[p, q]) == self.challenge
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { challenge: Hash::read(reader)?, exponent: Scalar::read(reader)?, secret: Scalar::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.challenge.write(out);
        self.exponent.write(out);
        self.secret.write(out);
    }
}

/// Proves that a number is a base to the same exponent as another number is the generator.
pub(super) struct SameExponent {
    challenge: Hash,
    answer: Scalar,
}

impl SameExponent {
    pub(super) fn new<R: CryptoRng + ?Sized>(place: u8, base: &Element, exponent: &Scalar, rng: &mut R) -> Self {
        let drawn = Scalar::random(rng);
        let challenge = hash(place, &[Element::generator().pow(&drawn), base.pow(&drawn)]);
        Self { challenge, answer: drawn.answer(exponent, &challenge) }
    }

    /// Says whether the exponent of `power`, a power of the generator, is that of `result`, a power of `base`.
    pub(super) fn holds(&self, place: u8, power: &Element, base: &Element, result: &Element) -> bool {
        let of_generator = Element::generator().pow(&self.answer).times(&power.pow_hash(&self.challenge));
        let of_base = base.pow(&self.answer).times(&result.pow_hash(&self.challenge));
        hash(place, &[of_generator, of_base]) == self.challenge
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { challenge: Hash::read(reader)?, answer: Scalar::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.challenge.write(out);
        self.answer.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::{Element, Generators, Zeroize as _};

    #[test]
    fn no_generator_is_left_after_it_was_wiped() {
        let mut generators = Generators { second: Element::generator(), third: Element::generator() };
        generators.zeroize();
        for left in [generators.second, generators.third] {
            assert_eq!(left.to_mpi(), [0; 4]);
        }
    }
}
