//! The server that requests go to: it keeps connections alive, notes when requests come, and sends or takes large bodies.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parlor_tests::certificate::Certificate;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The path of a small answer.
pub(super) const SMALL: &str = "/small";
/// The body of that answer: as long as that of a weather service.
const BODY: &[u8] = &[b'x'; 256];
/// The beginning of the path of a large answer, which ends with its number of bytes.
pub(super) const LARGE: &str = "/large/";
/// The bytes of each part of a large answer.
const PART: &[u8] = &[b'x'; 64 << 10];

/// The server. Dropping it ends it.
pub(super) struct Server {
    port: u16,
    /// When each request arrived.
    came: Arc<Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(certificate: &Certificate) -> Result<Self> {
        let tls = certificate.acceptor()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let came = Arc::<Mutex<Vec<Instant>>>::default();
        let noted = Arc::clone(&came);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, noted) = (tls.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    stream.set_nodelay(true).ok();
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let answer = service_fn(|request| {
                        noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                        answer(request)
                    });
                    // A client that leaves is none of its business.
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Ok(Self { port, came, task })
    }

    /// Returns the URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns the entry that lets the name lead here.
    pub(super) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the times between two requests since the last call.
    pub(super) fn intervals(&self) -> Vec<Duration> {
        let came = std::mem::take(&mut *self.came.lock().unwrap_or_else(PoisonError::into_inner));
        came.windows(2).map(|two| two[1] - two[0]).collect()
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let size = request.uri().path().strip_prefix(LARGE).and_then(|size| size.parse::<usize>().ok());
    let mut body = request.into_body();
    let mut is_empty = true;
    while let Some(frame) = body.frame().await {
        frame?;
        is_empty = false;
    }
    let body = match size.filter(|_| is_empty) {
        Some(size) => {
            let parts = (0..size / PART.len()).map(|_| Ok(Frame::data(Bytes::from_static(PART))));
            StreamBody::new(stream::iter(parts)).boxed_unsync()
        }
        None => Full::from(Bytes::from_static(BODY)).boxed_unsync(),
    };
    Ok(Response::new(body))
}
