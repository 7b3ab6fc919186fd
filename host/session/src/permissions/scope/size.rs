//! The size of a quota, as an owner writes it.

use super::DEFAULT_QUOTA;
use super::error::BadScope;

const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Parses a size. A number without a unit is of bytes.
pub(super) fn parse_size(entry: &str) -> Result<u64, BadScope> {
    let digits = entry.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = entry.split_at(digits);
    let factor = match unit.trim_start_matches(' ') {
        "" | "B" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(MIB),
        "GiB" => Some(GIB),
        _ => None,
    };
    let bytes = factor.zip(number.parse().ok()).and_then(|(factor, number): (u64, u64)| number.checked_mul(factor));
    bytes.ok_or_else(|| BadScope::NoSize {
        entry: entry.chars().take(64).collect(),
        meant: meant_size(number, unit).unwrap_or_else(|| size(DEFAULT_QUOTA)),
    })
}

/// Returns the size of a number with a misspelled unit, such as `16` and `mb`.
fn meant_size(number: &str, unit: &str) -> Option<String> {
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => GIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(size)
}

/// Writes a size in the largest unit that divides it.
pub(super) fn size(bytes: u64) -> String {
    match [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")].iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => bytes.to_string(),
    }
}
