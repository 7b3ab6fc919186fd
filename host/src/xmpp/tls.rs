//! TLS of a connection: which certificates are trusted, and for which name.
//!
//! The name is always that of the account's domain, never that of the host which DNS led to (RFC 6120, section 13.7.2).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, Error as TlsError, ProtocolVersion, RootCertStore, crypto::ring,
};

use super::connect::{CertificateFault, ConnectError};
use super::sasl::{Channel, end_point};
use crate::config::{LinkSettings, Way};

/// A TLS stream, and what a log-in can bind to it.
pub(super) struct Secured<S> {
    pub(super) stream: TlsStream<S>,
    pub(super) channel: Channel,
}

/// Begins TLS with the server of `domain`, for this protocol (RFC 7301) if it matters, trusting the system's certificates or
/// exactly those of the account's `ca_file`, and showing the account's own if it has one.
pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    domain: &str,
    protocol: Option<&[u8]>,
    settings: &LinkSettings,
) -> Result<Secured<S>, ConnectError> {
    let name = ServerName::try_from(domain.to_owned())
        .map_err(|_| ConnectError::UnknownHost { host: domain.to_owned(), cause: "not a host name".to_owned() })?;
    let (ca_file, way) = (settings.ca_file.clone(), settings.way.clone());
    // Certificates are read from disk, and anew each time, so that a renewed file needs no restart.
    let mut config = tokio::task::spawn_blocking(move || config_for(ca_file, &way))
        .await
        .map_err(|error| ConnectError::Tls { cause: error.to_string() })??;
    config.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
    let stream =
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| explain(&error, domain))?;
    let (_, session) = stream.get_ref();
    let exporter = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => {
            session.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None).ok()
        }
        _ => None,
    };
    let end_point = session.peer_certificates().and_then(|chain| end_point(chain.first()?));
    Ok(Secured { stream, channel: Channel { exporter, end_point } })
}

fn config_for(ca_file: Option<PathBuf>, way: &Way) -> Result<ClientConfig, ConnectError> {
    let builder = trusting(ca_file)?;
    let Way::Certificate { chain, key } = way else { return Ok(builder.with_no_client_auth()) };
    let broken = |path: &PathBuf, cause: String| ConnectError::OwnCertificate { path: path.clone(), cause };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| broken(chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(broken(chain, "there is no certificate in it".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, error.to_string()))?;
    builder.with_client_auth_cert(certificates, secret).map_err(|error| broken(key, error.to_string()))
}

/// How this end speaks TLS to anybody, trusting the system's certificates or exactly those of `ca_file`.
pub(crate) fn client_config(ca_file: Option<PathBuf>) -> Result<ClientConfig, ConnectError> {
    Ok(trusting(ca_file)?.with_no_client_auth())
}

fn trusting(ca_file: Option<PathBuf>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ConnectError> {
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls { cause: error.to_string() })?
        .with_root_certificates(roots(ca_file)?))
}

fn roots(ca_file: Option<PathBuf>) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(ConnectError::NoTrustedCertificates) } else { Ok(roots) };
    };
    let broken = |cause: String| ConnectError::CaFile { path: path.clone(), cause };
    for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| broken(error.to_string()))? {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    if roots.is_empty() { Err(broken("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

/// A failed handshake, in terms of what its reader can do about it.
fn explain(error: &io::Error, domain: &str) -> ConnectError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return ConnectError::Tls { cause: error.to_string() };
    };
    let fault = match tls {
        TlsError::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateFault::NotValidYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateFault::WrongName
            }
            // One with the name of a trusted authority, but another's signature: often the same server's older one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateFault::Untrusted,
            other => CertificateFault::Other(other.to_string()),
        },
        other => return ConnectError::Tls { cause: other.to_string() },
    };
    ConnectError::Certificate { domain: domain.to_owned(), fault }
}
