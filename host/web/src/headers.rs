//! The headers that a request cannot set, with the reasons.

use hyper::header::HeaderName;

/// The headers that the host writes itself, other than `host`, and those that are about the connection and not the request.
const OF_THE_HOST: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The headers from which some servers take the host, the scheme, the method or the path. The grant was checked for others.
const ELSEWHERE: [&str; 15] = [
    "forwarded",
    "front-end-https",
    "x-accel-mapping",
    "x-forwarded",
    "x-host",
    "x-host-override",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-override-url",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile-type",
    "x-url-scheme",
];
/// The beginnings of more such headers. Next.js left out its checks for a request with `x-middleware-subrequest`
/// (CVE-2025-29927).
const ELSEWHERE_FROM: [&str; 4] = ["x-envoy-original-", "x-forwarded-", "x-middleware-", "x-original-"];
/// The headers that name a second address, from which or to which a server copies, or which it answers with from then on: `WebDAV`
/// (RFC 4918, section 10.3) and Swift.
const SECOND: [&str; 5] =
    ["destination", "destination-account", "x-object-manifest", "x-symlink-target", "x-symlink-target-account"];
/// Parts of the names of more such headers, such as `x-amz-copy-source` and `x-amz-rename-source` of S3, `x-ms-rename-source` and
/// `x-ms-file-rename-source` of Azure, and `x-copy-from` of Swift.
const SECOND_WITHIN: [&str; 3] = ["copy-source", "rename-source", "copy-from"];

/// Returns why a request cannot have this header; `None` if it can. A program behind CGI (RFC 3875, section 4.1.18), `FastCGI`
/// or WSGI sees `_` for each `-`, and by some servers for each other character that is no letter and no digit.
pub(crate) fn why_not(name: &HeaderName) -> Option<&'static str> {
    let as_read = |one: char| if one.is_ascii_alphanumeric() { one } else { '-' };
    let read: String = name.as_str().chars().map(as_read).collect();
    let is = |listed: &[&str]| listed.contains(&read.as_str());
    if read == "host" {
        return Some("the host takes it from the address of the request");
    }
    if is(&OF_THE_HOST) {
        return Some("the host writes it itself, or it is about the connection");
    }
    if is(&ELSEWHERE) || ELSEWHERE_FROM.iter().any(|from| read.starts_with(from)) {
        return Some(
            "some servers take a host, scheme, method or path from it, and the owner's grant was checked for those of the request",
        );
    }
    if is(&SECOND) || SECOND_WITHIN.iter().any(|within| read.contains(within)) {
        return Some(
            "it names a second address, such as one to copy from or to, and the owner's grant was checked for that of the request",
        );
    }
    // https://httpoxy.org
    (read == "proxy").then_some("programs behind CGI read it as HTTP_PROXY, the proxy for their own requests")
}
