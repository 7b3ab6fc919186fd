//! The arguments of the echo bots that `cargo xtask bench` compares with the plugin. All of them take the same.

use std::path::PathBuf;

use clap::Parser;
use jid::Jid;

/// Answer each chat message with its body.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// The account's address.
    #[arg(long)]
    pub jid: Jid,
    /// The file with the account's password.
    #[arg(long)]
    pub password_file: PathBuf,
    /// The server's port for direct TLS on 127.0.0.1.
    #[arg(long)]
    pub port: u16,
    /// The certificate to trust. It is also in `SSL_CERT_FILE`, for bots that read only the environment.
    #[arg(long)]
    pub ca_file: PathBuf,
    /// Accept PLAIN.
    #[arg(long)]
    pub allow_plain: bool,
}
