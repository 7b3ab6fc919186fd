//! The section `[audit]`: how much of the audit is kept.

use parlor_base::quantity::Bytes;

use super::error::ConfigError;
use super::keys::AUDIT_NAMES;
use super::sections::Section;

/// The bounds of `days`.
const DAYS: std::ops::RangeInclusive<u64> = 1..=36_500;
/// The bounds of `size`.
const SIZE: std::ops::RangeInclusive<u64> = (1 << 20)..=(16 << 30);

/// The section `[audit]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// The number of days that entries are kept.
    pub days: u32,
    /// The size of all entries together.
    pub size: Bytes,
}

impl Default for Audit {
    fn default() -> Self {
        Self { days: 400, size: Bytes::mib(64) }
    }
}

impl Audit {
    /// Reads `[audit]`.
    pub(crate) fn read(section: Option<&Section<'_>>) -> Result<Self, ConfigError> {
        let mut audit = Self::default();
        let Some(section) = section else { return Ok(audit) };
        section.allow_only(&AUDIT_NAMES)?;
        for (key, written) in section.json()? {
            let wrong = |expected| ConfigError::WrongType {
                at: written.at.clone(),
                key: format!("audit.{key}"),
                expected,
                found: "something else",
            };
            if key == "days" {
                let days = written.value.as_u64().filter(|days| DAYS.contains(days));
                let days = days.and_then(|days| u32::try_from(days).ok());
                audit.days = days.ok_or_else(|| wrong("a whole number of days, 1 to 36500"))?;
            } else {
                let size = written.value.as_str().and_then(|size| size.parse::<Bytes>().ok());
                let size = size.filter(|size| SIZE.contains(&size.0));
                audit.size = size.ok_or_else(|| wrong("a size such as \"64 MiB\", 1 MiB to 16 GiB"))?;
            }
        }
        Ok(audit)
    }
}
