//! The choice of trusted certificates: the system's, or exactly those of a file.
//!
//! The certificates of a file are trusted as authorities. A server's own certificate in it is trusted as such.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use parlor_base::escape::EscapedPath as _;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WantsClientCert, WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme, WantsVerifier, crypto::CryptoProvider, crypto::ring,
};

/// How long the system's certificates are cached before they are read again.
const FRESH: Duration = Duration::from_mins(1);

/// The words for a port that does not speak TLS. They follow an address.
pub const NO_TLS: &str = "its port does not speak TLS";

/// The reason that it cannot be decided which certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file of trusted certificates cannot be used.
    #[error("ca_file {} cannot be used: {cause}", path.escaped())]
    CaFile {
        /// The path of the file.
        path: PathBuf,
        /// The reason that it cannot be used.
        cause: String,
    },
    /// The system trusts no certificate.
    #[error("this system has no trusted certificates; install its ca-certificates, or name a ca_file")]
    NoTrustedCertificates,
    /// The library for TLS accepts no configuration.
    #[error("TLS cannot be set up ({cause})")]
    Library {
        /// The library's reason.
        cause: String,
    },
}

/// Returns the TLS configuration of a client that trusts the system's certificates or exactly those in `ca_file`.
pub fn client_config(ca_file: Option<PathBuf>) -> Result<ClientConfig, TrustError> {
    Ok(trusting(ca_file)?.with_no_client_auth())
}

/// Returns the TLS configuration of a client that trusts the system's certificates, and those in `more`.
pub fn client_config_with(more: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let Some(path) = more else { return client_config(None) };
    // The system may have none, if all servers are in the house.
    let roots = system_roots().map_or_else(|_| RootCertStore::empty(), |roots| RootCertStore::clone(&roots));
    let verifier = Arc::new(Named::beside(roots, certificates(path)?, path)?);
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Returns the same configuration before client authentication is chosen.
pub fn trusting(ca_file: Option<PathBuf>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let Some(path) = ca_file else { return Ok(builder()?.with_root_certificates(system_roots()?)) };
    Ok(builder()?.dangerous().with_custom_certificate_verifier(exactly(&path)?))
}

/// Returns the verifier that trusts exactly the certificates of a file, as one for all connections that trust the same ones. The file
/// is read each time.
fn exactly(path: &Path) -> Result<Arc<Named>, TrustError> {
    static USED: Mutex<Vec<Weak<Named>>> = Mutex::new(Vec::new());
    let named = certificates(path)?;
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = used.iter().filter_map(Weak::upgrade).find(|one| one.named == named) {
        return Ok(same);
    }
    let new = Arc::new(Named::beside(RootCertStore::empty(), named, path)?);
    used.retain(|one| one.strong_count() > 0);
    used.push(Arc::downgrade(&new));
    Ok(new)
}

/// Returns the ciphers, as one allocation for all connections.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TrustError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    builder.map_err(|error| failed(&error))
}

fn failed(cause: &dyn std::error::Error) -> TrustError {
    TrustError::Library { cause: cause.to_string() }
}

/// Describes a failed handshake in the library's words. The library has no readable message for a peer that does not
/// speak TLS.
pub fn handshake_failure(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::InvalidMessage(_)) => NO_TLS.to_owned(),
        _ => error.to_string(),
    }
}

/// Returns the certificates that the system trusts, as one store for all connections. Otherwise, hundreds of accounts
/// that reconnect at once would each read and keep one.
fn system_roots() -> Result<Arc<RootCertStore>, TrustError> {
    static SYSTEM: Mutex<Option<Roots>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let roots = Roots::renewed(&mut system, Instant::now(), || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    if roots.is_empty() { Err(TrustError::NoTrustedCertificates) } else { Ok(roots) }
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let broken = |cause: String| TrustError::CaFile { path: path.to_owned(), cause };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read = read.map_err(|error| broken(error.to_string()))?;
    if read.is_empty() { Err(broken("there is no certificate in it".to_owned())) } else { Ok(read) }
}

/// A verifier that accepts certificates signed by the authorities, and the named certificates themselves, with any
/// issuer. Validity period and name are checked in both cases.
#[derive(Debug)]
struct Named {
    authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Named {
    /// Trusts the certificates of a file beside these authorities: each as an authority, and as a server's own.
    fn beside(
        mut authorities: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        path: &Path,
    ) -> Result<Self, TrustError> {
        let broken = |error: TlsError| TrustError::CaFile { path: path.to_owned(), cause: error.to_string() };
        named.iter().cloned().try_for_each(|certificate| authorities.add(certificate).map_err(broken))?;
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), provider());
        Ok(Self { authorities: authorities.build().map_err(|error| failed(&error))?, named })
    }
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

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Makes a certificate for `localhost` that says that it is an authority's, as `openssl req -x509` does by itself.
    fn own() -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        made.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (made.self_signed(&key).unwrap(), key)
    }

    #[tokio::test]
    async fn a_servers_own_certificate_is_trusted_beside_those_of_the_system_whatever_it_says_of_itself() {
        let (certificate, key) = own();
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let connects = async |trusted: &rcgen::Certificate, name: &'static str| {
            std::fs::write(&file, trusted.pem()).unwrap();
            let client = TlsConnector::from(Arc::new(client_config_with(Some(&file)).unwrap()));
            let ((ours, theirs), acceptor) = (tokio::io::duplex(64 << 10), acceptor.clone());
            tokio::spawn(async move { acceptor.accept(theirs).await.map(drop) });
            client.connect(ServerName::try_from(name).unwrap(), ours).await.is_ok()
        };
        assert!(connects(&certificate, "localhost").await);
        assert!(!connects(&certificate, "other.example").await, "it is not for that name");
        assert!(!connects(&own().0, "localhost").await, "it is another one");
    }

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
    fn connections_that_trust_the_same_certificates_share_one_verifier_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.pem"), folder.path().join("other.pem"));
        let certificate = own().0;
        std::fs::write(&one, certificate.pem()).unwrap();
        std::fs::write(&other, certificate.pem()).unwrap();
        let first = exactly(&one).unwrap();
        assert!(Arc::ptr_eq(&first, &exactly(&one).unwrap()) && Arc::ptr_eq(&first, &exactly(&other).unwrap()));
        std::fs::write(&one, own().0.pem()).unwrap();
        let renewed = exactly(&one).unwrap();
        assert!(!Arc::ptr_eq(&first, &renewed) && first.named != renewed.named);
    }

    #[test]
    fn a_system_that_trusts_nobody_is_asked_again_at_once() {
        let (mut last, now) = (None, Instant::now());
        assert!(Roots::renewed(&mut last, now, RootCertStore::empty).is_empty());
        assert_eq!(Roots::renewed(&mut last, now, || trusting("one")).len(), 1);
    }
}
