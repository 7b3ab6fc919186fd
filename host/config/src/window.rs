//! The section `[window]`: how people get links to log in to the window in the browser.

use super::error::ConfigError;
use super::keys::WINDOW_NAMES;
use super::sections::{Section, Written};

/// The ways to have an account send an owner a link to log in with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SentLinks {
    /// Everybody who reaches the log-in page, and the command.
    #[default]
    Page,
    /// The command alone.
    Command,
    /// Nobody.
    Never,
}

/// The section `[window]` of the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The ways to have links sent.
    pub links: SentLinks,
}

impl Window {
    /// Reads `[window]`.
    pub(crate) fn read(section: Option<&Section<'_>>) -> Result<Self, ConfigError> {
        let Some(section) = section else { return Ok(Self::default()) };
        section.allow_only(&WINDOW_NAMES)?;
        let links = match section.text("links")? {
            None => SentLinks::default(),
            Some(Written { value: "page", .. }) => SentLinks::Page,
            Some(Written { value: "command", .. }) => SentLinks::Command,
            Some(Written { value: "never", .. }) => SentLinks::Never,
            Some(Written { at, .. }) => {
                let expected = "\"page\", \"command\" or \"never\"";
                let (key, found) = ("window.links".to_owned(), "another text");
                return Err(ConfigError::WrongType { at, key, expected, found });
            }
        };
        Ok(Self { links })
    }
}
