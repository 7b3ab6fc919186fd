//! The certificate of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parlor_base::escape::EscapedPath as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{Error, ServerConfig};

/// The error for a certificate that a server cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be used for TLS: {cause}", path.escaped())]
pub struct CertificateError {
    /// The file.
    path: PathBuf,
    /// Why not.
    cause: String,
}

/// The certificate of a server, with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) config: Arc<ServerConfig>,
}

impl Certificate {
    /// Makes one of the chain and the key of its first certificate.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain.clone(), key))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { chain, config: Arc::new(config) })
    }
}

/// The chain alone tells certificates apart: only one key fits the first certificate in it.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for Certificate {}

/// Reads the certificate and the key of a server, both as PEM.
pub fn certificate(chain: &Path, key: &Path) -> Result<Certificate, CertificateError> {
    let failed = |path: &Path, cause: String| CertificateError { path: path.to_owned(), cause };
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| failed(chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed(chain, "there is no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    Certificate::new(certificates, private).map_err(|error| failed(key, error.to_string()))
}
