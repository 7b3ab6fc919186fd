//! Errors of connecting as a component (XEP-0114).

use parlor_stanza::stream_error::words;

/// An error from connecting as a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The server has another secret for the component.
    #[error(
        "the server refused the secret of the component {domain}{}; it must be the one that the server's own configuration has for this domain: correct it, and run `parlor reload`",
        words(text.as_deref())
    )]
    SecretRefused {
        /// The component's domain.
        domain: String,
        /// The server's explanation.
        text: Option<String>,
    },
    /// Another program is connected as this component.
    #[error(
        "another program is connected as the component {domain}{}; end it, or give this host a domain of its own",
        words(text.as_deref())
    )]
    Taken {
        /// The component's domain.
        domain: String,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The port is for others.
    #[error(
        "what answers at the server of the component {domain} takes no components ({cause}); check that `server` names the port for them (XEP-0114), which is mostly 5347, and its mode of TLS"
    )]
    NoComponents {
        /// The component's domain.
        domain: String,
        /// The violation of the protocol.
        cause: &'static str,
    },
    /// The connection would leave the machine without TLS.
    #[error(
        "{address} is not on this machine, and nothing is sent unencrypted; set tls = \"direct\" for the component, or name an address of this machine as its `server`"
    )]
    Unencrypted {
        /// The address and port.
        address: String,
    },
}

impl ComponentError {
    /// Returns whether the server judged the component itself.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::SecretRefused { .. })
    }

    /// Returns whether a retry is pointless unless somebody changes something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::SecretRefused { .. } | Self::NoComponents { .. } | Self::Unencrypted { .. } => true,
            // The other one may be an earlier connection of this host, which the server still takes for alive.
            Self::Taken { .. } => false,
        }
    }
}
