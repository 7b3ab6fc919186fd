//! GETs over hyper's own client on one kept-alive connection, for `cargo xtask bench` to compare with a plugin.
//!
//! Each line on standard input says how many; the answer on standard output is `done`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Empty};
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_xmpp::rustls::pki_types::pem::PemObject as _;
use tokio_xmpp::rustls::pki_types::{CertificateDer, ServerName};
use tokio_xmpp::rustls::{ClientConfig, RootCertStore};

/// Make requests over one connection, as many as each line of standard input says.
#[derive(Debug, Parser)]
struct Arguments {
    /// The address, with https and a port of 127.0.0.1.
    #[arg(long)]
    url: Uri,
    /// The certificate to trust.
    #[arg(long)]
    ca_file: PathBuf,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it talks to the program that started it")]
async fn main() -> Result<()> {
    let Arguments { url, ca_file } = Arguments::parse();
    let port = url.port_u16().context("the address has a port")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        for _ in 0..line.parse()? {
            let request = Request::get(url.path()).header(HOST, format!("localhost:{port}"));
            sender.ready().await?;
            let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
            ensure!(answer.status().is_success(), "it answers {}", answer.status());
            std::hint::black_box(answer.into_body().collect().await?.to_bytes());
        }
        println!("done");
    }
    Ok(())
}
