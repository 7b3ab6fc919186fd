//! The certificate of a test server. It is generated for each server, and only clients that are given it trust it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use jid::BareJid;
use rcgen::{CertificateParams, CertifiedKey, DnType, IsCa, KeyPair, OtherNameValue, SanType};
use tokio_rustls::TlsAcceptor;
use tokio_xmpp::rustls::ServerConfig;
use tokio_xmpp::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::folder::Folder;

/// The names that the certificate is for.
const NAMES: [&str; 5] =
    ["localhost", "conference.localhost", "anonymous.localhost", "certificate.localhost", "127.0.0.1"];

/// The object identifier of `id-on-xmppAddr`.
const XMPP_ADDRESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 5];

/// A self-signed certificate with its key, on disk as PEM and in memory as DER.
#[derive(Debug)]
pub struct Certificate {
    /// The path of the certificate, in PEM.
    pub certificate_file: PathBuf,
    /// The path of its private key, in PEM.
    pub key_file: PathBuf,
    /// The certificate in DER.
    pub der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    /// Generates a certificate and writes `cert.pem` and `key.pem` into the folder.
    pub fn make(folder: &Folder) -> Result<Self> {
        Self::make_for(folder, &NAMES)
    }

    /// Generates a certificate for these names in the same way.
    pub fn make_for(folder: &Folder, names: &[&str]) -> Result<Self> {
        // The library's default is some two thousand years ahead, which is further than ejabberd can set a timer.
        Self::make_until(folder, names, 2099)
    }

    /// Generates a certificate that expired years ago in the same way.
    pub fn make_expired(folder: &Folder) -> Result<Self> {
        Self::make_until(folder, &NAMES, 2020)
    }

    fn make_until(folder: &Folder, names: &[&str], year: i32) -> Result<Self> {
        let CertifiedKey { cert, signing_key } = generate(names, year).context("cannot make a certificate")?;
        Ok(Self {
            certificate_file: folder.write("cert.pem", cert.pem())?,
            key_file: folder.write("key.pem", signing_key.serialize_pem())?,
            der: cert.der().clone(),
            key: signing_key.serialize_der(),
        })
    }

    /// Generates a certificate that identifies its holder as this account (XEP-0178, section 2; RFC 6120, section
    /// 13.7.1.4).
    pub fn of_account(folder: &Folder, jid: &BareJid) -> Result<Self> {
        let mut params = CertificateParams::default();
        let address = OtherNameValue::Utf8String(jid.to_string());
        params.subject_alt_names = vec![SanType::OtherName((XMPP_ADDRESS.to_vec(), address))];
        let key = KeyPair::generate().context("cannot make a key")?;
        let cert = params.self_signed(&key).context("cannot make a certificate")?;
        Ok(Self {
            certificate_file: folder.write("account.pem", cert.pem())?,
            key_file: folder.write("account.key", key.serialize_pem())?,
            der: cert.der().clone(),
            key: key.serialize_der(),
        })
    }

    /// Returns the end of TLS connections of a server with this certificate.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key())
            .context("the certificate and its key do not work")?;
        Ok(TlsAcceptor::from(Arc::new(tls)))
    }

    /// Returns the private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

fn generate(names: &[&str], until: i32) -> Result<CertifiedKey<KeyPair>, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    // Set explicitly, since rustls refuses a server certificate that may sign others.
    params.is_ca = IsCa::ExplicitNoCa;
    let signing_key = KeyPair::generate()?;
    let cert = params.self_signed(&signing_key)?;
    Ok(CertifiedKey { cert, signing_key })
}
