//! `parlor web`, the owner's pages, as a user starts it; and requests to it without a browser, so that a test says exactly
//! what goes over the wire.

mod form;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::host::Home;
use crate::log::{Log, Mark};
use crate::ports;
use crate::process::{Process, Signal};

pub use form::{Form, encoded, links_of, text_of};

/// The timeout of a start, and of an answer.
const SOON: Duration = Duration::from_mins(1);

/// The most pages that links may lead to.
const MOST_PAGES: usize = 300;

/// The name of the field against forged requests.
pub const CSRF: &str = "csrf";

/// A running `parlor web`. Dropping it kills it.
#[derive(Debug)]
pub struct Window {
    process: Process,
    at: SocketAddr,
}

impl Window {
    /// Starts it on a free port, and returns when it listens.
    pub async fn open(home: &Home) -> Result<Self> {
        Self::open_with(home, &[]).await
    }

    /// Starts it in the same way, with more arguments.
    pub async fn open_with(home: &Home, more: &[&str]) -> Result<Self> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        let listen = at.to_string();
        let command = home.command([&["web", "--listen", listen.as_str()], more].concat())?;
        let process = Process::start("parlor web", command)?;
        let says = |line: &str| line.starts_with("listening at ").then_some(());
        process.log().wait("the address of the pages", &mut Mark::default(), SOON, says).await?;
        Ok(Self { process, at })
    }

    /// Returns the address that it listens on.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Returns its origin, as browsers name it.
    pub fn origin(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns its output.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Stops it as Ctrl-C does.
    pub async fn close(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::Interrupt)?;
        self.process.wait(SOON).await
    }

    /// Has the command make a one-time link for this role, and returns its path with the token.
    pub async fn link(&self, home: &Home, role: &str) -> Result<String> {
        link(home, &["--role", role]).await
    }

    /// Logs in by a one-time link for this role.
    pub async fn log_in(&self, home: &Home, role: &str) -> Result<Session> {
        let path = self.link(home, role).await?;
        self.guest().log_in(&path).await
    }

    /// Returns a visitor without a session.
    pub fn guest(&self) -> Session {
        Session { at: self.at, host: self.at.to_string(), origin: self.origin(), cookie: None }
    }
}

/// Has the command make a one-time link, and returns its path with the token.
pub async fn link(home: &Home, more: &[&str]) -> Result<String> {
    let finished = home.run(&[&["web", "login"], more].concat()).await?;
    ensure!(finished.code == Some(0), "no link: {finished:?}");
    link_in(&finished.stdout).with_context(|| format!("no link in {finished:?}"))
}

/// Returns the path of the one-time link in a text, such as a message that somebody was sent; none if there is none.
pub fn link_in(text: &str) -> Option<String> {
    let link = text.split_whitespace().find(|word| word.starts_with("http") && word.contains("/login/"))?;
    let (_, rest) = link.split_once("://")?;
    rest.find('/').map(|at| rest[at..].to_owned())
}

/// A visitor: the data that a browser sends in addition to the request itself.
#[derive(Debug, Clone)]
pub struct Session {
    /// The address that it connects to.
    pub at: SocketAddr,
    /// The value of `host`.
    pub host: String,
    /// The value of `origin` in requests that change something.
    pub origin: String,
    /// The session's cookie, its name and its value, once there is one.
    pub cookie: Option<(String, String)>,
}

impl Session {
    /// Uses a one-time link as a person does: looks at its page, and presses the button.
    pub async fn log_in(mut self, path: &str) -> Result<Self> {
        let page = self.get(path).await?;
        ensure!(page.status == 200, "the page of a one-time link: {page:?}");
        let form = Form::all(&page.body).into_iter().find(Form::is_post).context("the link has no button")?;
        let answer = self.send_form(&form, path).await?;
        ensure!((300..400).contains(&answer.status), "the button does not lead in: {answer:?}");
        self.cookie = Some(answer.cookie().with_context(|| format!("no cookie: {answer:?}"))?);
        Ok(self)
    }

    /// Asks on the log-in page for a link for this JID.
    pub async fn ask_for_link(&self, jid: &str) -> Result<Answer> {
        self.post("/login", &[("jid", jid)]).await
    }

    /// Asks for a page.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(&self.head("GET", path), b"").await
    }

    /// Asks for a page, which must be there.
    pub async fn page(&self, path: &str) -> Result<Answer> {
        let answer = self.get(path).await?;
        ensure!(answer.status == 200, "{path} is answered with {}: {}", answer.status, answer.body);
        Ok(answer)
    }

    /// Sends fields as a form does, from a page of this origin.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let own = [("origin", self.origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.post_with(path, &own, fields).await
    }

    /// Sends fields as a form does, with exactly these lines about where it comes from.
    pub async fn post_with(&self, path: &str, lines: &[(&str, &str)], fields: &[(&str, &str)]) -> Result<Answer> {
        let body = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = body.collect::<Vec<_>>().join("&");
        let mut head = self.head("POST", path);
        for (name, value) in lines {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head += "content-type: application/x-www-form-urlencoded\r\n";
        self.ask(&head, body.as_bytes()).await
    }

    /// Sends a form as it stands on the page at `from`.
    pub async fn send_form(&self, form: &Form, from: &str) -> Result<Answer> {
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&form.leads_to(from), &fields).await
    }

    /// Returns the form with this action on a page.
    pub async fn form(&self, page: &str, action: &str) -> Result<Form> {
        let body = self.page(page).await?.body;
        let form = Form::all(&body).into_iter().find(|form| form.is_post() && form.leads_to(page) == action);
        form.with_context(|| format!("{page} has no form that leads to {action}: {body}"))
    }

    /// Returns the token against forged requests in the form with this action on a page.
    pub async fn csrf(&self, page: &str, action: &str) -> Result<String> {
        let form = self.form(page, action).await?;
        form.value(CSRF).map(str::to_owned).with_context(|| format!("no token in {form:?}"))
    }

    /// Fills in the form of a page, sends it, and agrees on each page that asks. Returns the last answer.
    pub async fn change(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let mut form = self.form(page, action).await?;
        for (name, value) in fields {
            form.set(name, value);
        }
        let (mut answer, mut at) = (self.send_form(&form, page).await?, form.leads_to(page));
        // One page asks for confirmation; more than a few would be a loop.
        for _ in 0..4 {
            let Some(asks) = Form::all(&answer.body).into_iter().find(Form::confirms) else { return Ok(answer) };
            ensure!(answer.status == 200, "{at} asks with {}", answer.status);
            answer = self.send_form(&asks, &at).await?;
            at = asks.leads_to(&at);
        }
        bail!("{action} asks again and again: {answer:?}")
    }

    /// Returns the first lines of a request: the method, the path, the host and the cookie.
    pub fn head(&self, method: &str, path: &str) -> String {
        let cookie =
            self.cookie.as_ref().map_or_else(String::new, |(name, value)| format!("cookie: {name}={value}\r\n"));
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{cookie}", self.host)
    }

    /// Sends a request with these lines and this body, over a separate connection.
    pub async fn ask(&self, lines: &str, body: &[u8]) -> Result<Answer> {
        let head = format!("{lines}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat()).await
    }

    /// Sends exactly these bytes, over a separate connection, and reads until it ends. If nothing was answered before
    /// it ended, the status is 0.
    pub async fn send(&self, bytes: &[u8]) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.at).await.context("nobody listens for the pages")?;
        // A server that has refused reads no more.
        let _ = stream.write_all(bytes).await;
        read(&mut stream).await
    }

    /// Opens a connection for bytes that the test sends by and by.
    pub async fn connect(&self) -> Result<TcpStream> {
        TcpStream::connect(self.at).await.context("nobody listens for the pages")
    }
}

/// Follows the links of pages, beginning with these, and returns each page by its path, also one that only says that the
/// session may not see it. Each link must lead to a page, or to a file that is kept and never shown.
pub async fn crawl(session: &Session, first: &[&str]) -> Result<BTreeMap<String, Answer>> {
    let mut open: Vec<String> = first.iter().map(|path| (*path).to_owned()).collect();
    let (mut seen, mut pages) = (BTreeSet::new(), BTreeMap::new());
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        ensure!(seen.len() <= MOST_PAGES, "links lead to page after page: {seen:?}");
        let page = session.get(&path).await?;
        ensure!([200, 403].contains(&page.status), "a link leads to {path}: {page:?}");
        if page.header("content-disposition").starts_with("attachment") {
            continue;
        }
        ensure!(page.header("content-type").starts_with("text/html"), "a link leads to {path}: {page:?}");
        open.extend(links_of(&page.body));
        pages.insert(path, page);
    }
    Ok(pages)
}

/// Returns each form of these pages that changes something, by its target path.
pub fn forms_of(pages: &BTreeMap<String, Answer>) -> BTreeMap<String, Form> {
    let of = |(path, page): (&String, &Answer)| {
        let path = path.clone();
        let forms = Form::all(&page.body).into_iter().filter(Form::is_post);
        forms.map(move |form| (form.leads_to(&path), form)).collect::<Vec<_>>()
    };
    pages.iter().flat_map(of).collect()
}

/// Reads an answer until the connection ends.
pub async fn read(stream: &mut TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    let all = async {
        // A reset connection has ended, too; the bytes before count.
        while let Ok(1..) = stream.read_buf(&mut bytes).await {}
    };
    timeout(SOON, all).await.context("the answer does not end")?;
    Ok(Answer::parse(&String::from_utf8_lossy(&bytes)))
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status; 0 if the connection ended without one.
    pub status: u16,
    /// The lines of its head, each with its name in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// Parses all bytes from a connection.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// Returns a header, by its name in lower case; an empty text if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Returns the name and the value of the cookie that it sets, unless that ends one.
    pub fn cookie(&self) -> Option<(String, String)> {
        let set = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let set = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
        set.map(|(name, value)| (name.to_owned(), value.to_owned())).find(|(_, value)| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_found_in_a_text() {
        let text = "parlor: this link logs you in. Once.\nhttp://127.0.0.1:8470/login/00";
        assert_eq!(link_in(text).as_deref(), Some("/login/00"));
        assert_eq!((link_in("no link"), link_in("http://x/y")), (None, None));
    }

    #[test]
    fn an_answer_has_its_status_its_headers_and_its_cookie() {
        let text = "HTTP/1.1 303 See Other\r\nLocation: /\r\nSet-Cookie: parlor=abc; HttpOnly\r\n\r\nbody\r\n\r\n2";
        let answer = Answer::parse(text);
        assert_eq!((answer.status, answer.header("location"), answer.body.as_str()), (303, "/", "body\r\n\r\n2"));
        assert_eq!(answer.cookie(), Some(("parlor".to_owned(), "abc".to_owned())));
        let ended = Answer::parse("HTTP/1.1 303 See Other\r\nset-cookie: parlor=; Max-Age=0\r\n\r\n");
        assert_eq!(ended.cookie(), None);
        assert_eq!(Answer::parse("").status, 0);
    }
}
