//! Channel-binding data, so that no one on the path can relay a log-in: the connection itself (RFC 9266), or the
//! server's certificate (RFC 5929, section 4).

use ring::digest;

/// The channel-binding data of a TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Channel {
    /// The data of `tls-exporter`; `None` before TLS 1.3.
    pub(crate) exporter: Option<Vec<u8>>,
    /// The data of `tls-server-end-point`; `None` if the certificate's signature algorithm defines no digest.
    pub(crate) end_point: Option<Vec<u8>>,
}

/// The channel binding of a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    /// No binding: one end does not support it, or the owner disabled it.
    None,
    /// No binding, since the server does not offer it (RFC 5802, section 6).
    Unsupported,
    /// Binding with `tls-exporter` and its data.
    Exporter(Vec<u8>),
    /// Binding with `tls-server-end-point` and its data.
    EndPoint(Vec<u8>),
}

impl Binding {
    /// Returns whether the log-in is bound.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::Exporter(_) | Self::EndPoint(_))
    }

    /// Returns the gs2 header of SCRAM.
    pub(super) fn header(&self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::Unsupported => "y,,",
            Self::Exporter(_) => "p=tls-exporter,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// Returns the channel-binding input that SCRAM repeats, signed, in its last message.
    pub(super) fn input(&self) -> Vec<u8> {
        let data: &[u8] = match self {
            Self::None | Self::Unsupported => &[],
            Self::Exporter(data) | Self::EndPoint(data) => data,
        };
        [self.header().as_bytes(), data].concat()
    }
}

/// The OID of `sha…WithRSAEncryption` and similar algorithms (RFC 8017), without its last arc.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// The OID of `ecdsa-with-SHA…` (RFC 5758), without its last arcs.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// Returns the `tls-server-end-point` data of a certificate: its digest with the hash function of its signature.
/// SHA-256 replaces functions that are too weak.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, whole, _) = element(certificate)?;
    let (_, _, after) = element(whole)?;
    let (_, algorithm, _) = element(after)?;
    let (0x06, algorithm, _) = element(algorithm)? else { return None };
    let function = match (algorithm.strip_prefix(RSA), algorithm.strip_prefix(ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => &digest::SHA256,
        (Some([12]), _) | (_, Some([3, 3])) => &digest::SHA384,
        (Some([13]), _) | (_, Some([3, 4])) => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(function, certificate).as_ref().to_vec())
}

/// Parses the first DER element of these bytes: returns its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (length, after) = rest.split_at_checked(usize::from(first & 0x7f).min(4))?;
        rest = after;
        length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte))
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_the_digest_that_it_is_signed_with() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let der = made.cert.der();
        let expected = digest::digest(&digest::SHA256, der);
        assert_eq!(end_point(der).as_deref(), Some(expected.as_ref()), "it is signed with ECDSA and SHA-256");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let expected = digest::digest(&digest::SHA384, made.der());
        assert_eq!(end_point(made.der()).as_deref(), Some(expected.as_ref()));
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(end_point(made.der()), None, "there is no digest in it");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_fall_over(bytes: Vec<u8>) {
            let _ = end_point(&bytes);
            let _ = end_point(&[&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &bytes].concat());
        }
    }
}
