//! Starts TLS on a connection, and says what is wrong with a certificate.
//!
//! The expected name is always the account's domain, never the host that DNS returned (RFC 6120, section 13.7.2).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parlor_config::{LinkSettings, Way};
use parlor_https::trust::trusting;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, ProtocolVersion};

use super::error::{CertificateFault, ConnectError};
use super::sasl::{Channel, end_point};

/// A TLS stream, with the data that a log-in can be bound to.
pub(super) struct Secured<S> {
    pub(super) stream: TlsStream<S>,
    pub(super) channel: Channel,
}

/// Starts TLS with the server of `domain`, announcing this protocol (RFC 7301) if any. Trusts the system's certificates
/// or exactly those in the account's `ca_file`, and presents the account's own certificate if it has one.
pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    domain: &str,
    protocol: Option<&[u8]>,
    settings: &LinkSettings,
) -> Result<Secured<S>, ConnectError> {
    let name = ServerName::try_from(domain.to_owned())
        .map_err(|_| ConnectError::UnknownHost { host: domain.to_owned(), cause: "not a host name".to_owned() })?;
    let (ca_file, way) = (settings.ca_file.clone(), settings.way.clone());
    // Certificates are read from disk each time, so that a renewed file needs no restart.
    let mut config = tokio::task::spawn_blocking(move || config_for(ca_file, &way))
        .await
        .map_err(|error| ConnectError::Tls { cause: error.to_string() })??;
    config.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
    // The configuration is for this connection alone: no ticket would ever be used, but each connection would hold a
    // store for them.
    config.resumption = Resumption::disabled();
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

/// Converts a failed handshake into an error that tells its reader what to do.
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
            // `BadSignature`: the issuer has the name of a trusted authority, but the signature is another's. It is
            // often the same server's older authority.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateFault::Untrusted,
            // The library prints faults that it has no words for as debug values.
            CertificateError::Other(fault) if format!("{fault:?}").contains("CaUsedAsEndEntity") => {
                CertificateFault::Other("it is an authority's own".to_owned())
            }
            other => CertificateFault::Other(other.to_string()),
        },
        // The bytes are not a TLS record: mostly `InvalidMessage::InvalidContentType`, sometimes another variant.
        TlsError::InvalidMessage(_) => return ConnectError::NotTls { domain: domain.to_owned() },
        other => return ConnectError::Tls { cause: other.to_string() },
    };
    ConnectError::Certificate { domain: domain.to_owned(), fault }
}
