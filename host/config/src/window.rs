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

impl SentLinks {
    const ALL: [Self; 3] = [Self::Page, Self::Command, Self::Never];

    /// Returns the value of the key `links`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Command => "command",
            Self::Never => "never",
        }
    }
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
            Some(Written { at, value }) => {
                SentLinks::ALL.into_iter().find(|links| links.as_str() == value).ok_or_else(|| {
                    let expected = "\"page\", \"command\" or \"never\"";
                    let (key, found) = ("window.links".to_owned(), "another text");
                    ConfigError::WrongType { at, key, expected, found }
                })?
            }
        };
        Ok(Self { links })
    }
}
