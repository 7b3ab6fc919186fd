//! When a certificate ends.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The tags of the two forms of time (X.690, section 8.25 and 8.26).
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns when the first certificate in a file (PEM) ends, as RFC 3339. None: the file has no readable certificate.
/// Its users report that.
pub fn expiry(file: &Path) -> Option<String> {
    let certificate = CertificateDer::pem_file_iter(file).ok()?.next()?.ok()?;
    end(&certificate)
}

/// Returns the end of the validity of a certificate (RFC 5280, section 4.1).
fn end(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    let (tag, _, rest) = element(signed)?;
    // The version is explicit except in the oldest certificates, which begin with the serial number.
    let rest = if tag == 0xa0 { element(rest)?.2 } else { rest };
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let time = std::str::from_utf8(time).ok()?;
    let (year, rest) = match tag {
        // Two digits stand for 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
        UTC_TIME => {
            let (year, rest) = time.split_at_checked(2)?;
            (format!("{}{year}", if year < "50" { 20 } else { 19 }), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = time.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    let digits = rest.strip_suffix('Z').filter(|rest| rest.len() == 10)?;
    if !year.bytes().chain(digits.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| &digits[at..at + 2];
    Some(format!("{year}-{}-{}T{}:{}:{}Z", two(0), two(2), two(4), two(6), two(8)))
}

/// Parses the first DER element of these bytes: returns its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f).min(4))?;
        (length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 9);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        for year in [2031, 2049, 2050, 2099] {
            assert_eq!(end(certificate(year).der()), Some(format!("{year}-03-09T00:00:00Z")));
        }
        assert_eq!(expiry(Path::new("no-such-file.pem")), None);
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_end() {
        let whole = certificate(2031);
        for cut in 0..whole.der().len().min(200) {
            assert_eq!(end(&whole.der()[..cut]), None, "{cut}");
        }
        assert_eq!(end(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
