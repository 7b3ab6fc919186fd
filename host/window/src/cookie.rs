//! The cookie of a session.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::secret::Secret;
use crate::site::Site;

/// Returns the secret in the cookie of a request. A cookie that occurs twice is ignored: another page of the same host
/// may have set the second one.
pub(crate) fn secret(headers: &HeaderMap, site: &Site) -> Option<Secret> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == site.cookie()).map(|(_, value)| value);
    let value = values.next()?;
    if values.next().is_some() { None } else { Secret::parse(value) }
}

/// Returns the header that gives a browser the cookie of a session; none in place of the secret takes it back.
///
/// It ends with the browser, and never goes along with requests that other sites make.
pub(crate) fn header(site: &Site, secret: Option<&Secret>) -> String {
    let (name, base) = (site.cookie(), site.base());
    let value = secret.map_or("", Secret::expose);
    let secure = if site.is_secure() { "; Secure" } else { "" };
    let end = if secret.is_none() { "; Max-Age=0" } else { "" };
    format!("{name}={value}; Path={base}/; HttpOnly; SameSite=Strict{secure}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_this_site_alone() {
        let local = Site::local("127.0.0.1:8470".parse().unwrap());
        let public = Site::public("https://x.example", "/").unwrap();
        let one = Secret::random().unwrap();
        let value = one.expose();
        assert_eq!(header(&local, Some(&one)), format!("parlor-8470={value}; Path=/; HttpOnly; SameSite=Strict"));
        assert_eq!(
            header(&public, Some(&one)),
            format!("__Host-parlor={value}; Path=/; HttpOnly; SameSite=Strict; Secure")
        );
        assert!(header(&public, None).ends_with("; Secure; Max-Age=0"));
    }

    #[test]
    fn a_cookie_is_read_only_if_there_is_one() {
        let site = Site::local("127.0.0.1:8470".parse().unwrap());
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        let read = |lines: &[String]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            secret(&headers, &site)
        };
        let own = format!("parlor-8470={}", one.expose());
        assert_eq!(read(&[format!("a=b; {own}; c")]), Some(one.clone()));
        assert_eq!(read(&[format!("xparlor-8470={}", one.expose())]), None);
        assert_eq!(read(&[format!("{own}; parlor-8470={}", other.expose())]), None);
        assert_eq!(read(&[own.clone(), own]), None);
        assert_eq!(read(&["parlor-8470=".to_owned(), "x".to_owned()]), None);
    }
}
