//! A client against servers on this machine that speak HTTP by another library, or do not speak it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_compression::brotli::EncoderParams;
use async_compression::tokio::write::BrotliEncoder;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, COOKIE};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parlor_base::public_network::is_public;
use parlor_base::web_address::WebAddress;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::*;

const SOON: Duration = Duration::from_secs(20);
const MOST: u64 = 1 << 20;

type Heard = hyper::http::request::Parts;
type Said = hyper::Response<Full<Bytes>>;

fn said(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Said {
    let mut builder = hyper::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into())).unwrap()
}

/// A server with its own certificate for `localhost` and `127.0.0.1`.
struct Server {
    at: SocketAddr,
    roots: RootCertStore,
    connections: Arc<AtomicUsize>,
}

/// Returns TLS for a server in the protocol of this name, and what a client has to trust.
fn secured(alpn: &str) -> (TlsAcceptor, RootCertStore) {
    secured_by(alpn, &CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap())
}

/// Returns the same with this certificate.
fn secured_by(alpn: &str, params: &CertificateParams) -> (TlsAcceptor, RootCertStore) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (TlsAcceptor::from(Arc::new(config)), roots)
}

impl Server {
    /// Starts one that answers each request by this function, in the protocol of this name.
    async fn start(alpn: &'static str, answer: impl Fn(&Heard, &Bytes) -> Said + Send + Sync + 'static) -> Self {
        Self::start_with(secured(alpn), answer).await
    }

    /// Starts one with this TLS, whose clients trust these certificates.
    async fn start_with(
        (acceptor, roots): (TlsAcceptor, RootCertStore),
        answer: impl Fn(&Heard, &Bytes) -> Said + Send + Sync + 'static,
    ) -> Self {
        let (listener, answer) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(answer));
        let (at, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, Relaxed);
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let serve = service_fn(move |request: hyper::Request<Incoming>| {
                        let answer = Arc::clone(&answer);
                        async move {
                            let (head, body) = request.into_parts();
                            let body =
                                body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                            Ok::<_, Infallible>(answer(&head, &body))
                        }
                    });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        Self { at, roots, connections }
    }

    /// Returns an address of it.
    fn address(&self, path: &str) -> WebAddress {
        WebAddress::parse(&format!("https://localhost:{}{path}", self.at.port())).unwrap()
    }

    /// Returns a client that may dial this machine and trusts this server.
    fn client(&self) -> Client {
        client(&self.roots, |_, _| true)
    }

    fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

fn client(roots: &RootCertStore, may_dial: impl Fn(SocketAddr, bool) -> bool + Send + Sync + 'static) -> Client {
    through(None, roots, may_dial)
}

fn through(
    proxy: Option<Proxy>,
    roots: &RootCertStore,
    may_dial: impl Fn(SocketAddr, bool) -> bool + Send + Sync + 'static,
) -> Client {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    Client::new(may_dial, proxy, tls, tokio::runtime::Handle::current())
}

fn get(to: WebAddress) -> Request {
    Request::get(to, SOON, MOST)
}

async fn body(client: &Client, request: Request) -> Result<Vec<u8>, WebError> {
    client.send(request).await?.whole().await
}

/// Serves connections without TLS by writing these bytes at once and then calling `then`. Returns the address.
async fn raw(bytes: Vec<u8>, ends: bool) -> WebAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let bytes = Arc::new(bytes);
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let bytes = Arc::clone(&bytes);
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&bytes).await;
                if !ends {
                    // It neither sends more nor ends.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
    WebAddress::parse(&format!("http://127.0.0.1:{port}/canary?canary")).unwrap()
}

fn anybody() -> Client {
    client(&RootCertStore::empty(), |_, _| true)
}

/// RFC 9110, and RFC 9113 where the server speaks it.
#[tokio::test]
async fn requests_are_answered_over_one_connection_in_either_protocol() {
    for (alpn, version) in [("h2", "HTTP/2.0"), ("http/1.1", "HTTP/1.1")] {
        let server = Server::start(alpn, |head, body| {
            let heard = format!("{} {} {:?} {}", head.method, head.uri.path(), head.version, body.len());
            said(201, &[("x-seen", "yes")], heard)
        })
        .await;
        let client = server.client();
        for _ in 0..3 {
            let mut request = get(server.address("/a?b"));
            (request.method, request.body) = (Method::POST, Outgoing::whole("abc"));
            let mut answer = client.send(request).await.unwrap();
            assert_eq!((answer.status, &answer.headers["x-seen"]), (201, &"yes".parse().unwrap()));
            let heard = String::from_utf8(answer.whole().await.unwrap()).unwrap();
            assert_eq!(heard, format!("POST /a {version} 3"));
        }
        assert_eq!(server.connections(), 1, "{alpn}");
    }
}

/// Starts a server that answers the first request of each connection, and closes the connection when another one comes. Returns
/// the methods of all requests that it got.
async fn closing() -> (WebAddress, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let methods = Arc::<Mutex<Vec<String>>>::default();
    let all = Arc::clone(&methods);
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], b""] {
                    let mut asked = [0; 1024];
                    let length = stream.read(&mut asked).await.unwrap_or(0);
                    let asked = String::from_utf8_lossy(&asked[..length]);
                    let Some((method, _)) = asked.split_once(' ') else { return };
                    all.lock().unwrap().push(method.to_owned());
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    (WebAddress::parse(&format!("http://127.0.0.1:{port}/")).unwrap(), methods)
}

/// RFC 9110, section 9.2.2, and RFC 9112, section 9.3.1.
#[tokio::test]
async fn a_request_on_a_connection_that_its_server_closes_is_made_again_if_it_changes_nothing() {
    /// More than one connection can answer.
    const MOST_REQUESTS: usize = 20;
    for method in [Method::GET, Method::OPTIONS, Method::POST, Method::DELETE] {
        let (at, methods) = closing().await;
        let client = anybody();
        let mut failed = 0;
        for _ in 0..MOST_REQUESTS {
            let answered = body(&client, Request { method: method.clone(), ..get(at.clone()) }).await;
            match answered {
                Ok(whole) => assert_eq!(whole, b"ok"),
                Err(error) => {
                    assert!(matches!(error, WebError::Protocol(_)), "{error}");
                    failed += 1;
                }
            }
        }
        let times = methods.lock().unwrap().len();
        if method.is_safe() {
            assert!(failed == 0 && times > MOST_REQUESTS, "{method}: {failed} {times}");
        } else {
            assert!(failed > 0 && times == MOST_REQUESTS, "{method}: {failed} {times}");
        }
    }
    // A server that answers nothing at all is not asked again.
    let at = raw(Vec::new(), true).await;
    assert!(matches!(body(&anybody(), get(at)).await, Err(WebError::Protocol(_))));
}

/// RFC 9112, section 5.2: some servers still break long headers into lines.
#[tokio::test]
async fn a_header_that_was_broken_into_lines_is_one_line() {
    let at = raw(b"HTTP/1.1 200 OK\r\nx-folded: a\r\n\tb\r\ncontent-length: 2\r\n\r\nok".to_vec(), true).await;
    let answer = anybody().send(get(at)).await.unwrap();
    let folded = answer.headers["x-folded"].to_str().unwrap();
    assert_eq!(folded.split_whitespace().collect::<Vec<_>>(), ["a", "b"], "{folded:?}");
    assert!(!folded.contains(['\r', '\n']), "{folded:?}");
}

#[tokio::test]
async fn an_address_that_may_not_be_dialed_is_not_dialed() {
    let server = Server::start("http/1.1", |_, _| said(200, &[], "secret")).await;
    let client = client(&server.roots, |address, _| is_public(address.ip()));
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let address = WebAddress::parse(&format!("https://{host}:{}/", server.at.port())).unwrap();
        let refused = client.send(get(address)).await.err();
        assert!(matches!(refused, Some(WebError::Refused { scheme: "https", .. })), "{host}: {refused:?}");
        // The owner is told which entry is missing, and one for `https` allows no `http`.
        let address = WebAddress::parse(&format!("http://{host}:{}/", server.at.port())).unwrap();
        let refused = client.send(get(address)).await.err();
        assert!(matches!(refused, Some(WebError::Refused { scheme: "http", .. })), "{host}: {refused:?}");
    }
    assert_eq!(server.connections(), 0);
}

/// Starts a proxy that answers each request for a tunnel with this head. Returns it, and the servers that it was asked for.
async fn proxy(answer: &'static str, resolves: bool) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let told = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let server = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
            told.lock().unwrap().push(server.clone());
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut there = TcpStream::connect(server).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut there).await });
            }
        }
    });
    (Proxy { host: "localhost".to_owned(), port, resolves, reaches: Arc::new(|_| true) }, asked)
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n";

#[tokio::test]
async fn through_a_proxy_the_addresses_that_were_checked_are_reached_and_names_only_if_it_looks_them_up() {
    for alpn in ["h2", "http/1.1"] {
        let server = Server::start(alpn, |_, _| said(200, &[], "hello")).await;
        let port = server.at.port();
        let (proxy, asked) = proxy(ESTABLISHED, false).await;
        let client = through(Some(proxy.clone()), &server.roots, |address, _| address.is_ipv4());
        assert_eq!(body(&client, get(server.address("/"))).await.unwrap(), b"hello");
        assert_eq!(*asked.lock().unwrap(), [format!("127.0.0.1:{port}")]);
        let client = through(Some(Proxy { resolves: true, ..proxy.clone() }), &server.roots, |_, _| false);
        assert_eq!(body(&client, get(server.address("/"))).await.unwrap(), b"hello");
        assert_eq!(asked.lock().unwrap()[1..], [format!("localhost:{port}")]);
        // The client always checks an IP address itself, and also a name that the proxy does not look up.
        let literal = WebAddress::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
        assert!(matches!(client.send(get(literal)).await.err(), Some(WebError::Refused { .. })));
        let refusing = through(Some(proxy.clone()), &server.roots, |_, _| false);
        assert!(matches!(refusing.send(get(server.address("/"))).await.err(), Some(WebError::Refused { .. })));
        // The owner's own network is not behind the proxy.
        let direct = Proxy { reaches: Arc::new(|_| false), ..proxy };
        let client = through(Some(direct), &server.roots, |address, _| address.is_ipv4());
        assert_eq!(body(&client, get(server.address("/"))).await.unwrap(), b"hello");
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_is_named() {
    for (answer, says) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "it answered with 403"),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it wants a password"),
        ("SSH-2.0-canary\r\n\r\n", "it speaks no HTTP"),
        ("HTTP/1.1 200 canary", "it ended the connection"),
    ] {
        let (proxy, _) = proxy(answer, true).await;
        let named = format!("the proxy localhost:{}: {says}", proxy.port);
        let client = through(Some(proxy), &RootCertStore::empty(), |_, _| true);
        let address = WebAddress::parse("https://nobody.example/").unwrap();
        let Some(WebError::Unreachable { server, cause }) = client.send(get(address)).await.err() else {
            panic!("{answer}")
        };
        assert_eq!(server, "nobody.example:443");
        assert!(cause.contains(&named) && !cause.contains("canary"), "{cause}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_it_says_is_not_spoken_to() {
    let server = Server::start("http/1.1", |_, _| panic!("it was asked")).await;
    let distrusted = client(&RootCertStore::empty(), |_, _| true).send(get(server.address("/"))).await.err();
    assert!(matches!(distrusted, Some(WebError::Tls { .. })), "{distrusted:?}");
    let plain = raw(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), true).await;
    let address = WebAddress::parse(&plain.as_str().replace("http:", "https:")).unwrap();
    let no_tls = anybody().send(get(address)).await.err();
    assert!(matches!(no_tls, Some(WebError::Tls { .. })), "{no_tls:?}");
}

/// RFC 9110, section 4.3.4: a certificate that is trusted is for other servers, or for another time.
#[tokio::test]
async fn a_certificate_for_another_name_or_another_time_is_not_taken() {
    for (name, years, expected) in [
        ("localhost", 2019..2999, None),
        ("other.example", 2019..2999, Some("not valid for name")),
        ("localhost", 2019..2020, Some("expired")),
        ("localhost", 2998..2999, Some("not valid yet")),
    ] {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let server = Server::start_with(secured_by("http/1.1", &params), |_, _| said(200, &[], "asked")).await;
        let told = server.client().send(get(server.address("/"))).await;
        match (told, expected) {
            (Ok(answer), None) => assert_eq!(answer.status, 200),
            (Err(WebError::Tls { cause, .. }), Some(expected)) => assert!(cause.contains(expected), "{cause}"),
            (told, _) => panic!("{name}, {years:?}: {:?}", told.map(|answer| answer.status)),
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_where_it_is_allowed_and_without_what_others_must_not_see() {
    let there = Server::start("http/1.1", |head, body| {
        let with = [AUTHORIZATION, COOKIE].iter().filter(|name| head.headers.contains_key(*name)).count();
        said(200, &[], format!("{} {} {with} {}", head.method, head.uri.path(), body.len()))
    })
    .await;
    let there_at = there.address("/there").as_str().to_owned();
    let here = Server::start("http/1.1", move |head, _| match head.uri.path() {
        "/other" => said(302, &[("location", &there_at)], ""),
        "/keep" => said(307, &[("location", &there_at)], ""),
        "/plain" => said(302, &[("location", "http://localhost/")], ""),
        "/odd" => said(302, &[("location", "ftp://localhost/")], ""),
        "/again" => said(302, &[("location", "/again")], ""),
        path => said(200, &[], format!("{} {path} {}", head.method, head.headers.contains_key(AUTHORIZATION))),
    })
    .await;
    let mut roots = here.roots.clone();
    roots.extend(there.roots.roots.iter().cloned());
    let client = client(&roots, |_, _| true);
    let follow = async |path: &str, allowed: bool| {
        let mut request = get(here.address(path));
        request.method = Method::POST;
        request.body = Outgoing::whole("abc");
        request.header("authorization", b"Bearer canary").unwrap();
        request.header("cookie", b"canary").unwrap();
        let allow = |_: Hop<'_>| if allowed { Ok(()) } else { Err(WebError::Protocol("denied".to_owned())) };
        let mut answer = client.follow(request, Some("abc".into()), 3, allow).await?;
        answer.whole().await.map(|body| String::from_utf8(body).unwrap())
    };
    assert_eq!(follow("/other", true).await.unwrap(), "GET /there 0 0");
    assert_eq!(follow("/keep", true).await.unwrap(), "POST /there 0 3");
    assert_eq!(follow("/", true).await.unwrap(), "POST / true");
    assert_eq!(follow("/other", false).await, Err(WebError::Protocol("denied".to_owned())));
    assert_eq!(follow("/plain", true).await, Err(WebError::WithoutTls));
    assert!(matches!(follow("/odd", true).await, Err(WebError::BadRedirect(_))));
    assert_eq!(follow("/again", true).await, Err(WebError::TooManyRedirects(3)));
    let answer = client.send(get(here.address("/other"))).await.unwrap();
    assert_eq!(answer.status, 302, "a redirect is an answer where nothing says to follow it");
}

#[tokio::test]
async fn a_redirect_keeps_the_method_unless_browsers_do_not() {
    let server = Server::start("http/1.1", |head, body| {
        let of_body = ["content-type", "content-digest", "digest", "last-modified"];
        let has_type = of_body.iter().any(|name| head.headers.contains_key(*name));
        match head.uri.path().strip_prefix("/by/") {
            Some("twice") => said(302, &[("location", "/by/307")], ""),
            Some(status) => said(status.parse().unwrap(), &[("location", "/end")], ""),
            None => said(200, &[], format!("{} {} {has_type}", head.method, body.len())),
        }
    })
    .await;
    let client = server.client();
    let follow = async |method: Method, by: &str, whole: Option<Bytes>| {
        let mut request = get(server.address(&format!("/by/{by}")));
        request.method = method;
        request.body = whole.clone().map_or_else(Outgoing::empty, Outgoing::whole);
        for name in ["content-type", "Content-Digest", "digest", "last-modified"] {
            request.header(name, b"text/plain").unwrap();
        }
        let mut answer = client.follow(request, whole, 3, |_| Ok::<_, WebError>(())).await.unwrap();
        String::from_utf8(answer.whole().await.unwrap()).unwrap()
    };
    for by in ["301", "302"] {
        assert_eq!(follow(Method::POST, by, Some("abc".into())).await, "GET 0 false", "{by}");
        assert_eq!(follow(Method::PUT, by, Some("abc".into())).await, "PUT 3 true", "{by}");
        assert_eq!(follow(Method::PATCH, by, Some("abc".into())).await, "PATCH 3 true", "{by}");
        assert_eq!(follow(Method::DELETE, by, None).await, "DELETE 0 true", "{by}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(follow(method.clone(), "303", Some("abc".into())).await, "GET 0 false");
        assert_eq!(follow(method.clone(), "307", Some("abc".into())).await, format!("{method} 3 true"));
        assert_eq!(follow(method.clone(), "308", None).await, format!("{method} 0 true"));
    }
    assert_eq!(follow(Method::POST, "twice", Some("abc".into())).await, "GET 0 false", "the body does not come back");
    assert_eq!(follow(Method::PUT, "twice", Some("abc".into())).await, "PUT 3 true");
    let (mut sender, body) = Outgoing::stream();
    let request = Request { method: Method::PUT, body, ..get(server.address("/by/307")) };
    let sending = tokio::spawn(async move {
        let _ = sender.send("abc".into()).await;
        sender.finish();
    });
    let answer = client.follow(request, None, 3, |_| Ok::<_, WebError>(())).await.unwrap();
    assert_eq!(answer.status, 307, "a body that is gone is not sent again");
    sending.await.unwrap();
}

#[tokio::test]
async fn a_body_is_unpacked_up_to_its_limit() {
    let zeros = vec![0; 8 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let packed: Bytes = gzip.finish().unwrap().into();
    assert!(packed.len() < 20_000);
    let server = Server::start("http/1.1", move |head, _| {
        let accepts = head.headers["accept-encoding"].to_str().unwrap().to_owned();
        said(200, &[("content-encoding", "gzip"), ("x-accepts", &accepts)], packed.clone())
    })
    .await;
    let client = server.client();
    let bomb = body(&client, get(server.address("/"))).await;
    assert_eq!(bomb, Err(WebError::TooLarge(MOST)));
    let mut request = get(server.address("/"));
    request.most = zeros.len() as u64;
    let mut answer = client.send(request).await.unwrap();
    assert!(!answer.headers.contains_key("content-encoding") && !answer.headers.contains_key("content-length"));
    assert_eq!(answer.headers["x-accepts"], "gzip, br;q=0.5");
    assert_eq!(answer.whole().await.unwrap(), zeros);
}

/// RFC 9110, section 14.2: a range is one of the body as it is sent.
#[tokio::test]
async fn a_part_of_a_body_is_asked_for_without_a_coding_and_one_in_a_coding_is_left_as_it_is() {
    let server = Server::start("http/1.1", |head, _| {
        let accepts = head.headers["accept-encoding"].to_str().unwrap().to_owned();
        said(206, &[("content-encoding", "gzip"), ("content-range", "bytes 0-1/9")], accepts)
    })
    .await;
    let mut request = get(server.address("/"));
    request.header("Range", b"bytes=0-1").unwrap();
    let mut answer = server.client().send(request).await.unwrap();
    assert!(answer.is_packed && answer.headers.contains_key("content-encoding"));
    assert_eq!(answer.whole().await.unwrap(), b"identity");
}

/// RFC 1952, section 2.2: servers that add to a file compress each part on its own.
#[tokio::test]
async fn every_member_of_a_gzip_body_is_unpacked() {
    let member = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let whole = [member("one, "), member(""), member("two")].concat();
    let answer = |packed: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        [head.as_bytes(), packed].concat()
    };
    let at = raw(answer(&whole), true).await;
    assert_eq!(body(&anybody(), get(at)).await.unwrap(), b"one, two");
    for behind in [&b"\n"[..], b"\0\0\0\0", b"<!-- made in 3 ms -->"] {
        let at = raw(answer(&[&whole[..], behind].concat()), true).await;
        assert_eq!(body(&anybody(), get(at)).await.unwrap(), b"one, two", "{behind:?}");
    }
    let mut wrong = [member("one, "), member("two")].concat();
    // The checksum of the last member.
    let at = wrong.len() - 8;
    wrong[at] ^= 1;
    for broken in [&whole[..whole.len() - 5], &wrong[..]] {
        let at = raw(answer(broken), true).await;
        let broken = body(&anybody(), get(at)).await;
        assert!(matches!(broken, Err(WebError::Protocol(_))), "{broken:?}");
    }
}

/// The limits of a request count what comes of a body.
#[tokio::test]
async fn a_compressed_body_of_which_nothing_comes_does_not_go_on_without_end() {
    let member = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let answer = |packed: Vec<u8>| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        [head.into_bytes(), packed].concat()
    };
    let empty = member("").repeat(500_000);
    assert!(empty.len() > 9 << 20);
    let nothing = body(&anybody(), get(raw(answer(empty), true).await)).await;
    assert!(matches!(&nothing, Err(WebError::Protocol(cause)) if cause.contains("nearly nothing")), "{nothing:?}");
    // Short texts are longer when they are compressed.
    let short = member("ab").repeat(500_000);
    assert!(short.len() > 9 << 20);
    assert_eq!(body(&anybody(), get(raw(answer(short), true).await)).await.unwrap(), b"ab".repeat(500_000));
}

/// RFC 9110, sections 9.3.2 and 15.4.5: an answer may describe a body that it does not have.
#[tokio::test]
async fn an_answer_without_a_body_is_empty_whatever_it_says_of_its_coding() {
    for coding in ["gzip", "br"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n");
        for (method, said) in [
            (Method::HEAD, format!("{head}content-length: 1234\r\n\r\n")),
            (Method::GET, format!("HTTP/1.1 304 Not Modified\r\ncontent-encoding: {coding}\r\n\r\n")),
            (Method::DELETE, format!("HTTP/1.1 204 No Content\r\ncontent-encoding: {coding}\r\n\r\n")),
            (Method::GET, format!("{head}content-length: 0\r\n\r\n")),
            (Method::GET, format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
            (Method::GET, format!("{head}\r\n")),
        ] {
            let at = raw(said.clone().into_bytes(), true).await;
            let mut answer = anybody().send(Request { method, ..get(at) }).await.unwrap();
            assert_eq!(answer.whole().await, Ok(Vec::new()), "{said}");
            assert_eq!(answer.next().await, Ok(None), "{said}");
        }
        let at = raw(format!("{head}content-length: 1234\r\n\r\n").into_bytes(), true).await;
        let answer = anybody().send(Request { method: Method::HEAD, ..get(at) }).await.unwrap();
        assert_eq!(
            (&answer.headers["content-length"], &answer.headers["content-encoding"]),
            (&"1234".parse().unwrap(), &coding.parse().unwrap())
        );
    }
}

/// RFC 9110, section 8.4, and RFC 9112, section 7.4.
#[tokio::test]
async fn an_answer_in_another_coding_is_known_and_one_that_was_packed_for_its_way_is_refused() {
    let answer = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: 2\r\n\r\nab").into_bytes();
    for (headers, is_packed) in [
        ("content-type: text/plain", false),
        ("content-encoding: identity", false),
        ("content-encoding: deflate", true),
        ("content-encoding: \u{fc}", true),
        ("content-encoding: gzip, br", true),
        ("content-encoding: gzip\r\nContent-Encoding: br", true),
    ] {
        let at = raw(answer(headers), true).await;
        let mut answer = anybody().send(get(at)).await.unwrap();
        assert_eq!((answer.is_packed, answer.headers.contains_key("content-length")), (is_packed, true), "{headers}");
        assert_eq!(answer.whole().await.unwrap(), b"ab", "{headers}");
    }
    let at = raw(answer("content-encoding: deflate"), true).await;
    let head = anybody().send(Request { method: Method::HEAD, ..get(at) }).await.unwrap();
    assert!(!head.is_packed, "it has no body");
    for coding in ["gzip", "gzip, chunked", "chunked, chunked"] {
        let said = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        let refused = body(&anybody(), get(raw(said.into_bytes(), true).await)).await;
        assert!(matches!(refused, Err(WebError::Protocol(_))), "{coding}: {refused:?}");
    }
}

/// RFC 9110, section 15.2.
#[tokio::test]
async fn interim_answers_may_come_before_an_answer_but_not_without_end() {
    let answer = |interim: usize| {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(interim);
        format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").into_bytes()
    };
    assert_eq!(body(&anybody(), get(raw(answer(8), true).await)).await.unwrap(), b"ok");
    let flooded = body(&anybody(), get(raw(answer(1_000), false).await)).await;
    assert!(matches!(&flooded, Err(WebError::Protocol(cause)) if cause.contains("interim")), "{flooded:?}");
}

/// Returns a frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags][..], &stream.to_be_bytes()[..], body].concat()
}

/// Serves one connection by HTTP/2: the answer to the first request is these frames.
async fn raw_h2(frames: Vec<u8>) -> (WebAddress, RootCertStore) {
    let (acceptor, roots) = secured("h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let settings = frame(4, 0, 0, b"");
        stream.write_all(&settings).await.unwrap();
        stream.flush().await.unwrap();
        // The preface, and the frames up to the head of the request.
        stream.read_exact(&mut [0; 24]).await.unwrap();
        let mut head = [0; 9];
        while head[3] != 1 {
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
        }
        // The client may give up before it has read everything.
        let _ = stream.write_all(&frames).await;
        let _ = stream.flush().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    (WebAddress::parse(&format!("https://localhost:{port}/")).unwrap(), roots)
}

/// Serves connections by HTTP/2: the frames that answer each request, by its number and its stream. Returns how many came, too.
async fn each_h2(answer: fn(usize, u32) -> Vec<u8>) -> (WebAddress, RootCertStore, Arc<AtomicUsize>) {
    let (acceptor, roots) = secured("h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move { serve_h2(acceptor.accept(stream).await?, answer, &count).await });
        }
    });
    (WebAddress::parse(&format!("https://localhost:{port}/")).unwrap(), roots, asked)
}

async fn serve_h2(
    mut stream: TlsStream<TcpStream>,
    answer: fn(usize, u32) -> Vec<u8>,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    stream.write_all(&frame(4, 0, 0, b"")).await?;
    stream.flush().await?;
    // The preface.
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await?;
        if head[3] == 1 {
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            stream.write_all(&answer(count.fetch_add(1, Relaxed), id)).await?;
            stream.flush().await?;
        }
    }
}

/// RFC 9113, section 8.7. nginx ends a connection by such a GOAWAY after a number of requests.
#[tokio::test]
async fn a_request_with_which_a_server_has_not_begun_is_made_again_whatever_its_method_is() {
    fn answered(id: u32) -> Vec<u8> {
        frame(1, 5, id, b"\x88")
    }
    fn reset(id: u32, code: u32) -> Vec<u8> {
        frame(3, 0, id, &code.to_be_bytes())
    }
    type Frames = fn(usize, u32) -> Vec<u8>;
    let servers: [(Frames, bool, usize); 4] = [
        (|number, id| if number == 0 { reset(id, 7) } else { answered(id) }, true, 2),
        // No request was begun.
        (|number, id| if number == 0 { frame(7, 0, 0, &[0; 8]) } else { answered(id) }, true, 2),
        (|_, id| reset(id, 7), false, 2),
        // An error of the server: it may have acted upon the request.
        (|_, id| reset(id, 2), false, 1),
    ];
    for (at, (answer, succeeds, requests)) in servers.into_iter().enumerate() {
        let (address, roots, asked) = each_h2(answer).await;
        let request = Request { method: Method::POST, body: Outgoing::whole("abc"), ..get(address) };
        let repeats = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&repeats);
        let client = client(&roots, |_, _| true).counting_repeats(move |bytes| {
            count.fetch_add(bytes, Relaxed);
        });
        let said = body(&client, request).await;
        assert_eq!((said.is_ok(), asked.load(Relaxed)), (succeeds, requests), "{at}: {said:?}");
        assert_eq!(repeats.load(Relaxed), 3 * (requests - 1), "{at}: each counts with its body");
    }
}

/// An account of a cluster may be another node's by then.
#[tokio::test]
async fn no_request_is_made_again_or_follows_a_redirect_once_the_client_may_ask_no_more() {
    fn refused(_: usize, id: u32) -> Vec<u8> {
        frame(3, 0, id, &7_u32.to_be_bytes())
    }
    let once = || {
        let asked = AtomicUsize::new(0);
        move || asked.fetch_add(1, Relaxed) == 0
    };
    let (address, roots, asked) = each_h2(refused).await;
    let request = Request { method: Method::POST, body: Outgoing::whole("abc"), ..get(address) };
    let answered = body(&client(&roots, |_, _| true).only_while(once()), request).await;
    assert_eq!((answered, asked.load(Relaxed)), (Err(WebError::Ended), 1));
    let server = Server::start("http/1.1", |_, _| said(307, &[("location", "/end")], "")).await;
    let client = server.client().only_while(once());
    let allow = |_: Hop<'_>| Ok::<_, WebError>(());
    let answer = client.follow(get(server.address("/")), None, 3, allow).await;
    assert_eq!(answer.err(), Some(WebError::Ended));
}

/// RFC 9113, section 8.1.
#[tokio::test]
async fn interim_answers_by_http_2_have_an_end_as_well() {
    let answered = async |interim: usize| {
        // The statuses 103 and 200 (RFC 7541, section 6.2.2 and appendix A).
        let early = frame(1, 4, 1, b"\x08\x03103").repeat(interim);
        let (at, roots) = raw_h2([early, frame(1, 5, 1, b"\x88")].concat()).await;
        body(&client(&roots, |_, _| true), get(at)).await
    };
    assert_eq!(answered(8).await, Ok(Vec::new()));
    let flooded = answered(10_000).await;
    assert!(matches!(&flooded, Err(WebError::Protocol(cause)) if cause.contains("interim")), "{flooded:?}");
}

#[tokio::test]
async fn brotli_is_unpacked_up_to_the_limit_and_with_small_windows_alone() {
    let zeros = vec![0; 8 << 20];
    let mut packed = HashMap::new();
    for size in [22, 23] {
        let mut encoder = BrotliEncoder::with_params(Vec::new(), EncoderParams::default().window_size(size));
        encoder.write_all(&zeros).await.unwrap();
        encoder.shutdown().await.unwrap();
        packed.insert(format!("/{size}"), Bytes::from(encoder.into_inner()));
    }
    let server = Server::start("http/1.1", move |head, _| {
        said(200, &[("content-encoding", "br")], packed[head.uri.path()].clone())
    })
    .await;
    let client = server.client();
    let mut whole = get(server.address("/22"));
    whole.most = zeros.len() as u64;
    assert_eq!(body(&client, whole).await.unwrap().len(), zeros.len());
    assert_eq!(body(&client, get(server.address("/22"))).await, Err(WebError::TooLarge(MOST)));
    let large = body(&client, get(server.address("/23"))).await;
    assert!(matches!(&large, Err(WebError::Protocol(cause)) if cause.contains("more than 4 MiB")), "{large:?}");
}

#[tokio::test]
async fn servers_that_do_not_speak_http_end_in_typed_errors() {
    let head = "HTTP/1.1 200 OK\r\n";
    let many = (0..100_000).fold(head.to_owned(), |head, number| format!("{head}x-{number}: y\r\n"));
    for (said, what) in [
        (many + "\r\n", "headers"),
        (format!("{head}x: {}\r\n\r\n", "y".repeat(1 << 20)), "a long header"),
        (format!("{head}content-length: 5\r\n\r\nab"), "a body that ends early"),
        (format!("{head}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"), "two lengths"),
        (format!("{head}transfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"), "a chunk that is longer"),
        (format!("{head}content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"), "what is not gzip"),
        (format!("{head}content-encoding: br\r\ncontent-length: 4\r\n\r\nabcd"), "what is not brotli"),
        // The window would have 1 GiB.
        (format!("{head}content-encoding: br\r\ncontent-length: 4\r\n\r\n\x11bcd"), "what is larger than brotli"),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "another protocol"),
        (String::new(), "an end"),
    ] {
        let at = raw(said.into_bytes(), true).await;
        let error = body(&anybody(), get(at)).await.unwrap_err();
        assert!(matches!(error, WebError::Protocol(_)), "{what}: {error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn who_keeps_a_request_waiting_is_given_up() {
    for (said, late) in [("", Late::Answer), ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Late::Body)] {
        let at = raw(said.as_bytes().to_vec(), false).await;
        let request = Request { patience: Duration::from_millis(200), ..get(at) };
        assert_eq!(body(&anybody(), request).await, Err(WebError::TimedOut(late)));
    }
}

/// RFC 9110, section 7.6.1, and RFC 9112, section 11.1.
#[test]
fn neither_a_second_request_nor_a_header_of_the_host_can_be_written() {
    let mut request = get(WebAddress::parse("https://example.org/").unwrap());
    for (name, value) in [
        ("x", "a\r\ny: b"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x\r\ny", "b"),
        ("x y", "b"),
        ("", "b"),
        ("Host", "evil.example"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("proxy-authorization", "x"),
        ("Forwarded", "host=evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("x-original-url", "/evil"),
    ] {
        assert!(request.header(name, value.as_bytes()).is_err(), "{name:?}: {value:?}");
    }
    request.header("X-Right", "täst".as_bytes()).unwrap();
    for (value, sent) in [(" \ta b\t ", "a b"), ("  ", ""), ("", ""), ("a", "a")] {
        let mut request = get(request.to.clone());
        request.header("x", value.as_bytes()).unwrap();
        assert_eq!(request.headers["x"], sent, "{value:?}");
    }
    for number in 1..100 {
        request.header(&format!("x-{number}"), b"y").unwrap();
    }
    assert!(request.header("one-more", b"y").is_err());
}

/// RFC 3875, section 4.1.18: programs behind CGI, WSGI and PHP cannot tell `x_host` from `x-host`.
#[test]
fn no_spelling_of_a_header_of_the_host_that_a_server_could_read_as_one_is_sent() {
    let mut request = get(WebAddress::parse("https://example.org/").unwrap());
    for name in [
        "forwarded",
        "x-envoy-original-path",
        "x-forwarded-host",
        "x-forwarded-path",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
        "destination",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-goog-copy-source",
        "x-ms-copy-source",
        "x-amz-rename-source",
        "x-ms-rename-source",
        "x-ms-file-rename-source",
        "x-symlink-target",
        "x-symlink-target-account",
        "x-object-manifest",
        "x-copy-from",
        "proxy",
        "http2-settings",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-original-method",
        "x-middleware-subrequest",
        "content-length",
        "transfer-encoding",
    ] {
        let (folded, dotted) = (name.replace('-', "_"), name.replace('-', "."));
        let mixed = name.replacen('-', "_", 1).to_uppercase();
        for spelled in [name.to_owned(), folded, dotted, mixed] {
            assert!(request.header(&spelled, b"x").is_err(), "{spelled}");
        }
    }
    for name in ["x_api_key", "x-hosts", "xhost", "x-host-", "_host", "x-proxy-id", "depth", "overwrite"] {
        request.header(name, b"x").unwrap();
    }
}

#[test]
fn a_header_that_cannot_be_set_is_refused_with_the_reason() {
    let mut request = get(WebAddress::parse("https://example.org/").unwrap());
    for (name, value, why) in [
        ("host", "x", "the host takes it from the address"),
        ("connection", "close", "about the connection"),
        ("destination", "https://other.example/x", "a second address"),
        ("proxy", "http://evil.example", "HTTP_PROXY"),
        ("x-forwarded-proto", "https", "the owner's grant"),
        ("x", "a\r\ny: b", "a line break"),
        ("x y", "b", "no name of a header"),
    ] {
        let error = request.header(name, value.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the header {name:?} cannot be set: ")) && error.contains(why), "{error}");
    }
}

/// RFC 9110, section 8.6: some servers answer 411 otherwise.
#[tokio::test]
async fn a_request_that_usually_has_a_body_says_that_it_has_none() {
    let server = Server::start("http/1.1", |head, _| {
        let length = head.headers.get("content-length").map_or("none", |length| length.to_str().unwrap());
        said(200, &[], format!("{} {length}", head.method))
    })
    .await;
    let client = server.client();
    for (method, expected) in [
        (Method::POST, "POST 0"),
        (Method::PUT, "PUT 0"),
        (Method::PATCH, "PATCH 0"),
        (Method::GET, "GET none"),
        (Method::DELETE, "DELETE none"),
    ] {
        let heard = body(&client, Request { method, ..get(server.address("/")) }).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), expected);
    }
}

/// RFC 9110, section 10.2.2, has addresses in ASCII alone. Servers with names of files do not keep to it.
#[tokio::test]
async fn a_redirect_with_spaces_or_in_utf_8_is_followed_and_one_in_no_known_encoding_is_the_answer() {
    let server = Server::start("http/1.1", |head, _| {
        let location: &[u8] = match head.uri.path() {
            "/utf-8" => "/k\u{e4}se".as_bytes(),
            "/spaces" => b"/my own file",
            "/latin-1" => b"/k\xe4se",
            "/empty" => b"",
            path => return said(200, &[], path.to_owned()),
        };
        let mut moved = said(302, &[], "");
        moved.headers_mut().insert("location", location.try_into().unwrap());
        moved
    })
    .await;
    let client = server.client();
    for (path, expected) in [
        ("/utf-8", (200, "/k%C3%A4se")),
        ("/spaces", (200, "/my%20own%20file")),
        ("/latin-1", (302, "")),
        // Other clients do not ask for the same address again either.
        ("/empty", (302, "")),
    ] {
        let allow = |_: Hop<'_>| Ok::<_, WebError>(());
        let mut answer = client.follow(get(server.address(path)), None, 3, allow).await.unwrap();
        let heard = String::from_utf8(answer.whole().await.unwrap()).unwrap();
        assert_eq!((answer.status, heard.as_str()), expected);
    }
}

/// RFC 9110, section 8.6: the length says where the next request begins.
#[tokio::test]
async fn a_body_that_is_there_says_how_long_it_is_and_ends_after_its_bytes() {
    for (mut body, bytes) in [(Outgoing::empty(), ""), (Outgoing::whole(""), ""), (Outgoing::whole("abc"), "abc")] {
        assert_eq!((body.is_end_stream(), body.size_hint().exact()), (bytes.is_empty(), Some(bytes.len() as u64)));
        let sent = body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
        assert_eq!(sent.unwrap_or_default(), bytes);
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }
    let (_writer, stream) = Outgoing::stream();
    assert_eq!((stream.is_end_stream(), stream.size_hint().exact()), (false, None));
    let (_writer, sized) = Outgoing::sized_stream(5);
    assert_eq!((sized.is_end_stream(), sized.size_hint().exact()), (false, Some(5)));
}

#[tokio::test]
async fn a_body_is_sent_while_it_is_written_and_broken_off_if_it_is_not_finished() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (note, lengths) = (Arc::clone(&heard), Arc::clone(&heard));
    let server = Server::start("http/1.1", move |_, body| {
        note.lock().unwrap().push(body.len());
        said(200, &[], "")
    })
    .await;
    let client = server.client();
    let upload = async |finishes: bool| {
        let (mut sender, body) = Outgoing::stream();
        let request = Request { method: Method::POST, body, ..get(server.address("/")) };
        let write = async move {
            for _ in 0..64 {
                sender.send(vec![7; 64 << 10].into()).await?;
            }
            if finishes {
                sender.finish();
            }
            Ok::<_, WebError>(())
        };
        let (sent, answer) = tokio::join!(write, client.send(request));
        sent.and(answer.map(|answer| answer.status))
    };
    assert_eq!(upload(true).await, Ok(200));
    assert!(matches!(upload(false).await, Err(WebError::Protocol(_))));
    assert_eq!(lengths.lock().unwrap()[0], 64 * (64 << 10));
}

/// More than the kernel and the library have room for.
const MUCH: usize = 64 << 20;

/// Nothing is read from a connection until more data is requested.
#[tokio::test]
async fn what_nobody_reads_does_not_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n").as_bytes()).await.unwrap();
        stream.write_all(&vec![0; MUCH]).await.unwrap();
        stream
    });
    let address = WebAddress::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let mut answer = anybody().send(Request { most: u64::MAX, ..get(address) }).await.unwrap();
    let mut read = answer.next().await.unwrap().unwrap().len();
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished(), "it has sent everything");
    while let Some(part) = answer.next().await.unwrap() {
        read += part.len();
    }
    assert_eq!(read, MUCH);
    server.await.unwrap();
}
