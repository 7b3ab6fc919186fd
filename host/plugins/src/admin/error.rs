//! The errors of plugin administration.

use std::io;
use std::path::PathBuf;

use parlor_base::escape::{EscapedPath as _, shell_word};
use parlor_base::id::{Digest, PluginId};
use parlor_base::nearest::suggestion;
use parlor_base::permission::Permission;
use parlor_config::Selector;
use parlor_session::command_names::CommandName;

use crate::admission::Refusal;
use crate::approved::Unfit;
use crate::policy::PolicyError;
use crate::policy::file::EditError;
use crate::secret::MOST_SENDERS;
use crate::setting::LEAST_CREDENTIAL;
use crate::signature::{KeyName, PublisherKey, SignatureError};
use crate::source::{DownloadError, Source};

/// The reason why a decision was not written. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The id is in use.
    #[error(
        "there is a plugin {id} already, from {installed}; {offered} was not installed. If it is another version, run `parlor plugin \
         update {id} FILE`; else give it another id by --id"
    )]
    Taken {
        /// The id.
        id: PluginId,
        /// The source of the installed plugin.
        installed: Source,
        /// The source of the offered one, as it would be written.
        offered: String,
    },
    /// The id resembles another one.
    #[error(
        "{id} looks like {other}, which is installed, and may be meant to; if it is right, say so with `--id {id}`"
    )]
    LooksLike {
        /// The new id.
        id: PluginId,
        /// The installed id that it resembles.
        other: PluginId,
    },
    /// No plugin has this id.
    #[error("there is no plugin {id} in {}{}", policy.escaped(), suggestion(near.as_deref()))]
    Unknown {
        /// The id.
        id: PluginId,
        /// The policy's path.
        policy: PathBuf,
        /// The id that was probably meant.
        near: Option<String>,
    },
    /// An account is not configured.
    #[error("there is no {} in {files}; known are {known}{}", account.described(), suggestion(near.as_deref()))]
    UnknownAccount {
        /// The account.
        account: Selector,
        /// The files that it could be in.
        files: String,
        /// The accounts or groups that are configured.
        known: String,
        /// The one that was probably meant.
        near: Option<String>,
    },
    /// The download failed.
    #[error(transparent)]
    Download(Box<DownloadError>),
    /// The file does not have the expected digest.
    #[error("{from} has the digest {found}, but {wanted} was asked for; it was changed, or it is another file")]
    OtherBytes {
        /// The source of the file.
        from: Source,
        /// The digest of the file.
        found: Digest,
        /// The expected digest.
        wanted: Digest,
    },
    /// The signature is not accepted.
    #[error("{from}: {cause}")]
    Signature {
        /// The source of the file.
        from: Source,
        /// The reason.
        cause: SignatureError,
    },
    /// The file has no trusted signature, and the policy requires one.
    #[error(
        "{from} is not signed by anybody whom you trust, and {} says `require_signature = true`; a signature {}", policy.escaped(), place(from)
    )]
    Unsigned {
        /// The source of the file.
        from: Source,
        /// The path of the policy that requires it.
        policy: PathBuf,
    },
    /// The stored version was not signed by a key that is trusted today, and the policy requires it.
    #[error(
        "version {version} of {id} was not signed by anybody whom you trust today, and {} says `require_signature = true`; `parlor plugin update {id} SOURCE --downgrade` takes one that is", policy.escaped()
    )]
    KeptUnsigned {
        /// The plugin's id.
        id: PluginId,
        /// The version.
        version: semver::Version,
        /// The path of the policy that requires it.
        policy: PathBuf,
    },
    /// The present version was signed, and the new one is not.
    #[error("{id} was signed by {was}, and what is offered now is not signed; --downgrade takes it nevertheless")]
    NotSignedAgain {
        /// The plugin's id.
        id: PluginId,
        /// The signer of the present version.
        was: KeyName,
    },
    /// The present version was signed by another key, even though both are trusted.
    #[error("{id} was signed by {was}, and what is offered now is signed by {now}; --downgrade takes it nevertheless")]
    OtherSigner {
        /// The plugin's id.
        id: PluginId,
        /// The signer of the present version.
        was: KeyName,
        /// The signer of the new version.
        now: KeyName,
    },
    /// The file is not signed by its publisher.
    #[error(
        "{from} is not signed by its publisher, whose key is {key}: the file or the signature was changed, or somebody else made it"
    )]
    NotByPublisher {
        /// The source of the file.
        from: Source,
        /// The publisher's key.
        key: Box<PublisherKey>,
    },
    /// The new version is not of the publisher of the present one.
    #[error(
        "{id} was installed from an index, and its updates have to be signed by the key {key}; --downgrade takes what is offered now nevertheless"
    )]
    OtherPublisher {
        /// The plugin's id.
        id: PluginId,
        /// The key of the publisher of the present version.
        key: Box<PublisherKey>,
    },
    /// The bytes changed although the version is the same.
    #[error(
        "{from} is still version {version} of {id}, but other bytes than those that were installed: who publishes it changed it under the same name; --downgrade takes it nevertheless"
    )]
    SameVersion {
        /// The plugin's id.
        id: PluginId,
        /// The version.
        version: semver::Version,
        /// The source of the file.
        from: String,
    },
    /// The file is not fit to run.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The plugin may not run under this decision.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another version is installed than the one that the owner was asked about.
    #[error(
        "{0} was updated meanwhile, so nothing was granted: `parlor plugin inspect {0}` shows what it asks for now; look at that, and grant it again"
    )]
    Updated(PluginId),
    /// A plugin has other grants, another version or other accounts than when the owner was asked about further ones.
    #[error(
        "{0} was changed meanwhile, so its accounts were not: it has other grants, another version or other accounts now; give the same command again, which asks about them"
    )]
    Changed(PluginId),
    /// A setting does not have the value any more that the owner was shown.
    #[error(
        "{name} of {id} was changed meanwhile, so no setting was changed: look at its value now, and change it again"
    )]
    SettingChanged {
        /// The plugin's id.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The plugin does not request the permission.
    #[error("{id} does not ask for {permission}, so it would not get it")]
    NotAsked {
        /// The plugin's id.
        id: PluginId,
        /// The permission.
        permission: Permission,
    },
    /// The permission was not granted.
    #[error("{id} was not granted {what}, so there is nothing to take back")]
    NotGranted {
        /// The plugin's id.
        id: PluginId,
        /// The permission, possibly with the entry of the scope.
        what: String,
    },
    /// The entry is covered by a wider one and cannot be revoked separately.
    #[error(
        "{id} was not granted {permission} for {entry} by itself: {by} covers it; `parlor plugin revoke {id} {}` takes that back", request(*permission, by)
    )]
    Covered {
        /// The plugin's id.
        id: PluginId,
        /// The permission.
        permission: Permission,
        /// The entry to revoke.
        entry: String,
        /// The entry that covers it.
        by: String,
    },
    /// A command of another plugin has that name.
    #[error(
        "{name} is what you named the command {command} of {other}, on the same account; choose another name, or take that one back: \
         `parlor plugin command {other} --unset {command}`"
    )]
    NameTaken {
        /// The name.
        name: CommandName,
        /// The plugin that uses it.
        other: PluginId,
        /// The command of that plugin.
        command: CommandName,
    },
    /// The decision is not valid in `plugins.toml`.
    #[error("{0}")]
    Decision(String),
    /// The new file is a different plugin.
    #[error(
        "{id} is the plugin “{old}” of its author, but this file is “{new}”; remove {id} first, or add this one under an id of its own"
    )]
    OtherPlugin {
        /// The owner's id.
        id: PluginId,
        /// The author's name for the present plugin.
        old: PluginId,
        /// The author's name for the new one.
        new: PluginId,
    },
    /// The new file is an older version.
    #[error(
        "{id} has version {present}, this file has {offered}; --downgrade takes it, `parlor plugin rollback {id}` goes back to the version before"
    )]
    Older {
        /// The plugin's id.
        id: PluginId,
        /// The present version.
        present: semver::Version,
        /// The offered version.
        offered: semver::Version,
    },
    /// The credential is too short.
    #[error(
        "{name} of {id} was not set: a credential has at least {} bytes, and this one is shorter. Get a longer one from the service that it is \
         for, or set one there, and run `parlor plugin config {id} {name}` again",
        LEAST_CREDENTIAL
    )]
    ShortCredential {
        /// The plugin's id.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// No request to a webhook could be verified by the secret.
    #[error(
        "{name} of {id} was not set: by this secret, every request to its webhook {webhook} would be refused. The form that is needed is {form}. \
         Run `parlor plugin config {id} {name}` again"
    )]
    SecretForm {
        /// The plugin's id.
        id: PluginId,
        /// The setting.
        name: String,
        /// The webhook.
        webhook: String,
        /// The form.
        form: &'static str,
    },
    /// No earlier version exists.
    #[error("no earlier version of {0} is kept")]
    NoEarlier(PluginId),
    /// The version does not exist.
    #[error("{id} has no version {wanted} to go back to; kept beside the present one: {}", if kept.is_empty() { "none" } else { kept })]
    NoVersion {
        /// The plugin's id.
        id: PluginId,
        /// The version or digest that was requested.
        wanted: String,
        /// The versions that are stored.
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
        /// The error of the file system.
        cause: io::Error,
    },
    /// There is no secret that could be a former one.
    #[error("{name} of {id} is not set, so there is no former secret to keep; set it without --former-for")]
    NoPresentSecret {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// No webhook is verified by this setting.
    #[error(
        "no webhook of {id} is verified by {name}, and only the secret of a webhook may have a former one, or those of senders; set it without --former-for and --sender"
    )]
    NoWebhookBy {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The new secret would be where the former one is.
    #[error(
        "{name} of {id} is read from there already, so the former secret would be lost; keep the new one elsewhere, or give it on standard input"
    )]
    SamePlace {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The setting has no secret beside which a sender could have its own.
    #[error(
        "{name} of {id} is not set, so no sender can have a secret beside it; set it first, without --sender: `parlor plugin config {id} {name}`"
    )]
    NoSecretForAll {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// There are as many secrets of senders as there may be.
    #[error(
        "{name} of {id} has secrets for {MOST_SENDERS} senders already, which is the most; remove one by `parlor plugin config {id} --unset {name} --sender NAME`"
    )]
    TooManySenders {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The sender has no secret of its own.
    #[error(
        "{name} of {id} has no secret for the sender {sender}; `parlor plugin hooks {id}` lists those that have one"
    )]
    NoSender {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
        /// The sender.
        sender: String,
    },
    /// There is no former secret.
    #[error("{name} of {id} has no former secret")]
    NoFormerSecret {
        /// The plugin.
        id: PluginId,
        /// The setting.
        name: String,
    },
    /// The audit cannot record the change.
    #[error(
        "the audit cannot be written ({0}), so nothing has changed; to take a permission away all the same, revoke it without a scope, or \
         disable or remove the plugin"
    )]
    Unrecorded(String),
    /// The component store cannot be written.
    #[error("the data folder {} cannot be written ({cause}); nothing has changed", folder.escaped())]
    Store {
        /// The data folder.
        folder: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
}

impl From<DownloadError> for AdminError {
    fn from(error: DownloadError) -> Self {
        Self::Download(Box::new(error))
    }
}

impl From<PolicyError> for AdminError {
    fn from(error: PolicyError) -> Self {
        Self::Edit(error.into())
    }
}

/// Formats an entry of a permission as an argument of the command line.
fn request(permission: Permission, entry: &str) -> String {
    shell_word(&format!("{permission}={entry}"))
}

/// Describes where the signature of such a file is found.
fn place(from: &Source) -> String {
    match from {
        Source::File(_) | Source::Web(_) => format!("lies beside it as {from}.minisig"),
        Source::Registry(_) => "is an artifact of the type application/vnd.minisign that refers to it".to_owned(),
    }
}
