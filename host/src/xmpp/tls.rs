//! Starts TLS on a connection, and decides which certificates are trusted for which name.
//!
//! The certificates in an account's `ca_file` are trusted as authorities. One that is the server's own certificate is
//! trusted as such.
//!
//! The expected name is always the account's domain, never the host that DNS returned (RFC 6120, section 13.7.2).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use parlor_config::{LinkSettings, Way};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as TlsError, ProtocolVersion,
    RootCertStore, SignatureScheme, crypto::ring,
};

use super::connect::{CertificateFault, ConnectError};
use super::sasl::{Channel, end_point};

/// How long the system's certificates are cached before they are read again.
const FRESH: Duration = Duration::from_mins(1);

/// The message for a port that does not speak TLS, written after an address.
pub(super) const NO_TLS: &str = "its port does not speak TLS";

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

/// Returns the TLS configuration of a client that trusts the system's certificates or exactly those in `ca_file`.
pub(crate) fn client_config(ca_file: Option<PathBuf>) -> Result<ClientConfig, ConnectError> {
    Ok(trusting(ca_file)?.with_no_client_auth())
}

fn trusting(ca_file: Option<PathBuf>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ConnectError> {
    let failed = |cause: String| ConnectError::Tls { cause };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let Some(path) = ca_file else { return Ok(builder.with_root_certificates(system_roots()?)) };
    let mut roots = RootCertStore::empty();
    let named = certificates(&path)?;
    for certificate in &named {
        let broken = |error: TlsError| ConnectError::CaFile { path: path.clone(), cause: error.to_string() };
        roots.add(certificate.clone()).map_err(broken)?;
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let authorities = authorities.build().map_err(|error| failed(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { authorities, named })))
}

/// Describes a failed handshake in the library's words. The library has no readable message for a peer that does not
/// speak TLS.
pub(crate) fn handshake_failure(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::InvalidMessage(_)) => NO_TLS.to_owned(),
        _ => error.to_string(),
    }
}

/// Returns the certificates that the system trusts, as one store for all connections. Otherwise, hundreds of accounts
/// that reconnect at once would each read and keep one.
fn system_roots() -> Result<Arc<RootCertStore>, ConnectError> {
    static SYSTEM: Mutex<Option<Roots>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let roots = Roots::renewed(&mut system, Instant::now(), || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    if roots.is_empty() { Err(ConnectError::NoTrustedCertificates) } else { Ok(roots) }
}

/// A store of certificates, and when it was read.
struct Roots {
    at: Instant,
    store: Arc<RootCertStore>,
}

impl Roots {
    /// Returns the same store until other certificates are read. They are read at most once a minute, unless the store
    /// is empty.
    fn renewed(last: &mut Option<Self>, now: Instant, read: impl FnOnce() -> RootCertStore) -> Arc<RootCertStore> {
        if let Some(last) = last
            && !last.store.is_empty()
            && now.saturating_duration_since(last.at) < FRESH
        {
            return Arc::clone(&last.store);
        }
        let read = read();
        let store = match last.take() {
            Some(last) if last.store.roots == read.roots => last.store,
            _ => Arc::new(read),
        };
        *last = Some(Self { at: now, store: Arc::clone(&store) });
        store
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let broken = |cause: String| ConnectError::CaFile { path: path.to_owned(), cause };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read = read.map_err(|error| broken(error.to_string()))?;
    if read.is_empty() { Err(broken("there is no certificate in it".to_owned())) } else { Ok(read) }
}

/// A verifier that accepts certificates signed by the authorities, and the named certificates themselves, whoever
/// issued them. Validity period and name are checked in both cases.
#[derive(Debug)]
struct Named {
    authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        use CertificateError::{
            BadEncoding, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, Revoked,
        };
        let verdict = self.authorities.verify_server_cert(certificate, chain, name, ocsp, now);
        match &verdict {
            // These faults are found before or after the issuer is checked, so they do not depend on it.
            Err(TlsError::InvalidCertificate(
                BadEncoding
                | Expired
                | ExpiredContext { .. }
                | NotValidForName
                | NotValidForNameContext { .. }
                | NotValidYet
                | NotValidYetContext { .. }
                | Revoked,
            )) => verdict,
            Err(TlsError::InvalidCertificate(_)) if self.named.iter().any(|named| named == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(name: &str) -> RootCertStore {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        roots
    }

    #[test]
    fn what_the_system_trusts_is_one_store_until_it_is_another() {
        let (one, other) = (trusting("one"), trusting("other"));
        let (mut last, began) = (None, Instant::now());
        let first = Roots::renewed(&mut last, began, || one.clone());
        let soon = Roots::renewed(&mut last, began + FRESH / 2, || unreachable!("it was read a moment ago"));
        let later = Roots::renewed(&mut last, began + FRESH, || one.clone());
        assert!(Arc::ptr_eq(&first, &soon) && Arc::ptr_eq(&first, &later));
        let changed = Roots::renewed(&mut last, began + FRESH * 2, || other.clone());
        assert_eq!(changed.roots, other.roots);
        assert_eq!(first.roots, one.roots);
    }

    #[test]
    fn a_system_that_trusts_nobody_is_asked_again_at_once() {
        let (mut last, now) = (None, Instant::now());
        assert!(Roots::renewed(&mut last, now, RootCertStore::empty).is_empty());
        assert_eq!(Roots::renewed(&mut last, now, || trusting("one")).len(), 1);
    }
}
