//! Sizes and durations as people write them: `32 MiB`, `250 ms`.

use std::{fmt, str::FromStr, time::Duration};

/// A size in bytes, written with the unit `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Units of time, in milliseconds.
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Bytes {
    /// Returns a size of `count` KiB.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// Returns a size of `count` MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// Returns the number of bytes as a float, for rates.
    #[expect(clippy::cast_precision_loss, reason = "what an owner can write has not so many digits")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// Returns the number of bytes as a `usize`, saturating.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The error for a text that is not a size or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a whole number and a unit, one of {units}, such as `{example}`")]
pub struct QuantityError {
    units: &'static str,
    example: &'static str,
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn largest_unit<'u>(amount: u64, units: &[(&'u str, u64)]) -> (u64, &'u str) {
    let fits = units.iter().rev().find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (name, factor) = fits.copied().unwrap_or(units[0]);
    (amount / factor, name)
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, &SIZES).map(Self).ok_or(QuantityError { units: "B, KiB, MiB, GiB", example: "32 MiB" })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = largest_unit(self.0, &SIZES);
        write!(f, "{number} {unit}")
    }
}

/// Parses a duration: a whole number and `ms`, `s`, `min`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    parse(text, &TIMES).map(Duration::from_millis).ok_or(QuantityError { units: "ms, s, min, h, d", example: "10 s" })
}

/// Formats a duration, to the millisecond, in the form that `duration` parses.
pub fn show_duration(duration: Duration) -> String {
    let (number, unit) = largest_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIMES);
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_write_units() {
        assert_eq!("32 MiB".parse(), Ok(Bytes::mib(32)));
        assert_eq!("1KiB".parse(), Ok(Bytes(1024)));
        assert_eq!(duration("1500 ms").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2 min").unwrap(), Duration::from_mins(2));
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500 ms");
        assert_eq!(Bytes(0).to_string(), "0 B");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "32",
            "MiB",
            "-1 MiB",
            "1.5 MiB",
            "1 mib",
            "1 MB",
            "99999999999999999999 B",
            "18446744073709551615 KiB",
            "1 MiB ",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
        assert!(duration("1 S").is_err());
        assert!(duration("18446744073709551615 d").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(amount: u64) {
            prop_assert_eq!(Bytes(amount).to_string().parse(), Ok(Bytes(amount)));
            let span = Duration::from_millis(amount);
            prop_assert_eq!(duration(&show_duration(span)), Ok(span));
        }
    }
}
