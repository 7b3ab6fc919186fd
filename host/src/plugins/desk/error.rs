//! Why a wish of the owner's was not done.

use std::io;
use std::path::PathBuf;

use crate::config::AccountName;
use crate::harmless::{EscapedPath as _, shell_word};
use crate::nearest::suggestion;
use crate::permissions::Permission;
use crate::plugins::admission::Refusal;
use crate::plugins::command_names::CommandName;
use crate::plugins::id::{Digest, PluginId};
use crate::plugins::policy::PolicyError;
use crate::plugins::policy::file::EditError;
use crate::plugins::signature::{KeyName, SignatureError};
use crate::plugins::source::{DownloadError, Source};
use crate::plugins::store::Unfit;

/// Why a decision was not written down. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The id is taken.
    #[error(
        "there is a plugin {id} already, from {installed}; {offered} was not installed. If it is another version, run `parlor plugin \
         update {id} FILE`; else give it another id by --id"
    )]
    Taken {
        /// The id.
        id: PluginId,
        /// Where the installed plugin comes from.
        installed: Source,
        /// Where the other one comes from, as it would be written down.
        offered: String,
    },
    /// The id looks like another one.
    #[error(
        "{id} looks like {other}, which is installed, and may be meant to; if it is right, say so with `--id {id}`"
    )]
    LooksLike {
        /// The new id.
        id: PluginId,
        /// The one that it looks like.
        other: PluginId,
    },
    /// There is none of this id.
    #[error("there is no plugin {id} in {}{}", policy.escaped(), suggestion(near.as_deref()))]
    Unknown {
        /// The id.
        id: PluginId,
        /// The policy.
        policy: PathBuf,
        /// What was probably meant.
        near: Option<String>,
    },
    /// An account that is not configured.
    #[error("there is no account {account} in {}; known are {known}", config.escaped())]
    UnknownAccount {
        /// Which.
        account: AccountName,
        /// The configuration.
        config: PathBuf,
        /// Those that there are.
        known: String,
    },
    /// It did not come.
    #[error(transparent)]
    Download(Box<DownloadError>),
    /// It is not what was meant.
    #[error("{from} has the digest {found}, but {wanted} was asked for; it was changed, or it is another file")]
    OtherBytes {
        /// Where it comes from.
        from: Source,
        /// What it is.
        found: Digest,
        /// What it should be.
        wanted: Digest,
    },
    /// Its signature does not count.
    #[error("{from}: {cause}")]
    Signature {
        /// Where it comes from.
        from: Source,
        /// Why not.
        cause: SignatureError,
    },
    /// Nobody signed it, and somebody has to.
    #[error(
        "{from} is not signed by anybody whom you trust, and {} says `require_signature = true`; a signature {}", policy.escaped(), place(from)
    )]
    Unsigned {
        /// Where it comes from.
        from: Source,
        /// Where it is required.
        policy: PathBuf,
    },
    /// What is kept is not signed by anybody who counts today, and somebody has to.
    #[error(
        "version {version} of {id} was not signed by anybody whom you trust today, and {} says `require_signature = true`; `parlor plugin update {id} SOURCE --downgrade` takes one that is", policy.escaped()
    )]
    KeptUnsigned {
        /// The plugin.
        id: PluginId,
        /// Which version.
        version: semver::Version,
        /// Where it is required.
        policy: PathBuf,
    },
    /// The present one was signed, and the new one is not.
    #[error("{id} was signed by {was}, and what is offered now is not signed; --downgrade takes it nevertheless")]
    NotSignedAgain {
        /// The plugin.
        id: PluginId,
        /// Who signed the present one.
        was: KeyName,
    },
    /// The present one was signed by somebody else, who is trusted as well.
    #[error("{id} was signed by {was}, and what is offered now is signed by {now}; --downgrade takes it nevertheless")]
    OtherSigner {
        /// The plugin.
        id: PluginId,
        /// Who signed the present one.
        was: KeyName,
        /// Who signed this one.
        now: KeyName,
    },
    /// The same version is something else now.
    #[error(
        "{from} is still version {version} of {id}, but other bytes than those that were installed: who publishes it changed it under the same name; --downgrade takes it nevertheless"
    )]
    SameVersion {
        /// The plugin.
        id: PluginId,
        /// Which version.
        version: semver::Version,
        /// Where it comes from.
        from: String,
    },
    /// The file is not fit to run.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The file may not run as it was decided.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The plugin does not ask for it.
    #[error("{id} does not ask for {permission}, so it would not get it")]
    NotAsked {
        /// The plugin.
        id: PluginId,
        /// The permission.
        permission: Permission,
    },
    /// It was not granted.
    #[error("{id} was not granted {what}, so there is nothing to take back")]
    NotGranted {
        /// The plugin.
        id: PluginId,
        /// The permission, perhaps with what it was to cover.
        what: String,
    },
    /// It was granted with more, and cannot be taken out of that.
    #[error(
        "{id} was not granted {permission} for {entry} by itself: {by} covers it; `parlor plugin revoke {id} {}` takes that back", wish(*permission, by)
    )]
    Covered {
        /// The plugin.
        id: PluginId,
        /// The permission.
        permission: Permission,
        /// What it was to cover no more.
        entry: String,
        /// The entry that covers it.
        by: String,
    },
    /// Another plugin's command goes by that name.
    #[error(
        "{name} is what you named the command {command} of {other}, on the same account; choose another name, or take that one back: \
         `parlor plugin command {other} --unset {command}`"
    )]
    NameTaken {
        /// The name.
        name: CommandName,
        /// The plugin that has it.
        other: PluginId,
        /// Its command.
        command: CommandName,
    },
    /// What was decided is not what `plugins.toml` understands.
    #[error("{0}")]
    Decision(String),
    /// The new file is another plugin.
    #[error(
        "{id} is the plugin “{old}” of its author, but this file is “{new}”; remove {id} first, or add this one under an id of its own"
    )]
    OtherPlugin {
        /// The owner's id.
        id: PluginId,
        /// The author's name for the present one.
        old: PluginId,
        /// The author's name for the new one.
        new: PluginId,
    },
    /// The new file is older.
    #[error(
        "{id} has version {present}, this file has {offered}; --downgrade takes it, `parlor plugin rollback {id}` goes back to the version before"
    )]
    Older {
        /// The plugin.
        id: PluginId,
        /// What it has.
        present: semver::Version,
        /// What is offered.
        offered: semver::Version,
    },
    /// There is no earlier version.
    #[error("no earlier version of {0} is kept")]
    NoEarlier(PluginId),
    /// There is no such version.
    #[error("{id} has no version {wanted} to go back to; kept beside the present one: {}", if kept.is_empty() { "none" } else { kept })]
    NoVersion {
        /// The plugin.
        id: PluginId,
        /// What was asked for.
        wanted: String,
        /// Those that are kept.
        kept: String,
    },
    /// The policy cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The component store cannot be read.
    #[error("what the data folder {} keeps cannot be read ({cause}): run parlor as the user that the host runs as", folder.escaped())]
    Unread {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The component store cannot be written.
    #[error("the data folder {} cannot be written ({cause}); nothing has changed", folder.escaped())]
    Store {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl From<DownloadError> for DeskError {
    fn from(error: DownloadError) -> Self {
        Self::Download(Box::new(error))
    }
}

impl From<PolicyError> for DeskError {
    fn from(error: PolicyError) -> Self {
        Self::Edit(error.into())
    }
}

/// How an entry of a permission is spelled on a command line.
fn wish(permission: Permission, entry: &str) -> String {
    shell_word(&format!("{permission}={entry}"))
}

/// Where the signature of such a file is found.
fn place(from: &Source) -> String {
    match from {
        Source::File(_) | Source::Web(_) => format!("lies beside it as {from}.minisig"),
        Source::Registry(_) => "is an artifact of the type application/vnd.minisign that refers to it".to_owned(),
    }
}
