//! Sends spans to an OpenTelemetry collector on this machine: OTLP over HTTP, as Protobuf.
//!
//! Spans are buffered in memory, 2,048 at most, and sent every 5 s by a separate thread. Spans that do not fit or are
//! not accepted are lost: nothing waits for the collector.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use parlor_base::loopback::Loopback;
use parlor_base::traces::TARGET;
use parlor_https as https;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Time limit for one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum length of an answer, in bytes. It tells how many spans were refused.
const LONGEST_ANSWER: usize = 64 << 10;

/// The reason why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The library cannot create the exporter.
    #[error("traces cannot be sent: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// An exporter of spans to a collector. It sends the remaining spans when it is stopped.
#[derive(Debug)]
pub struct Collector(SdkTracerProvider);

impl Collector {
    /// Starts to send spans to this address, on a runtime that outlives it. They are sent in the clear and must not
    /// leave the machine; a collector on it can forward them.
    pub fn start(address: Loopback, runtime: Handle) -> Result<Self, CollectorError> {
        let address = address.address();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { address, runtime, fails: AtomicBool::new(false) })
            .with_endpoint(format!("http://{address}/v1/traces"))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .build()?;
        let resource = Resource::builder_empty().with_service_name("parlor");
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// Returns the layer that takes the spans out of the log.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("parlor"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.target() == TARGET))
    }

    /// Sends the remaining spans. Must not be called within the runtime.
    pub fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(reason = %error, "the last traces were not sent");
        }
    }
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    /// The exporter's thread does not belong to this runtime.
    runtime: Handle,
    /// Whether the last batch failed. A failure is logged once.
    fails: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(exchange(self.address, request)).await?;
        let failure = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let failed_before = self.fails.swap(failure.is_some(), Relaxed);
        if let Some(reason) = failure.filter(|_| !failed_before) {
            tracing::warn!(collector = %self.address, reason, "traces are not taken, and are lost until they are");
        }
        sent
    }
}

async fn exchange(address: SocketAddr, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let headers = request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
    let headers = headers.collect::<Result<Vec<_>, HttpError>>()?;
    let path = request.uri().path();
    let answering = https::post_here(address, path, &headers, request.body(), LONGEST_ANSWER);
    let (status, body) = tokio::time::timeout(PATIENCE, answering).await.map_err(|_| "it does not answer")??;
    Ok(Response::builder().status(status).body(body.into())?)
}
