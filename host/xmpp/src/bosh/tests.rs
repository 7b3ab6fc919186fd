//! Tests of sessions whose requests fail, are late or break, with a scripted server.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::peer::{Manners, Page, Peer};

const CREATED: &str = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:stream='http://etherx.jabber.org/streams' \
                       sid='some' wait='60' requests='2' hold='1'><stream:features/></body>";
const HEADER: &[u8] = b"<stream:stream xmlns='jabber:client' to='localhost'>";

fn body(attributes: &str, inside: &str) -> String {
    format!("<body xmlns='http://jabber.org/protocol/httpbind' {attributes}>{inside}</body>")
}

/// Begins a session, and returns it with the connection on which it began.
async fn session(peer: &Peer, tokens: &Tokens) -> (Bosh, Page) {
    session_of(peer, tokens, CREATED).await
}

/// Same as `session`, with another answer to the session request.
async fn session_of(peer: &Peer, tokens: &Tokens, created: &str) -> (Bosh, Page) {
    let url = format!("https://localhost:{}/http-bind", peer.settings().server.unwrap().port.unwrap());
    let url = url.parse().unwrap();
    let (settings, ending) = (peer.settings(), Ending::default());
    let serve = async {
        let mut page = peer.accept_page().await;
        let creation = page.hear().await.unwrap();
        assert!(creation.contains("to='localhost'") && !creation.contains("sid="), "{creation}");
        page.say("200 OK", created).await;
        page
    };
    let (opened, page) = tokio::join!(open(&settings, &url, "localhost", tokens, &ending), serve);
    let mut bosh = opened.unwrap();
    bosh.write_all(HEADER).await.unwrap();
    (bosh, page)
}

/// Returns two connections with the request on each, in the order in which the requests arrive.
async fn both(peer: &Peer) -> [(Page, String); 2] {
    let hear = async |mut page: Page| {
        let said = page.hear().await.unwrap();
        (page, said)
    };
    let pages = [peer.accept_page().await, peer.accept_page().await];
    let mut heard = pages.map(hear).into_iter().collect::<FuturesUnordered<_>>();
    [heard.next().await.unwrap(), heard.next().await.unwrap()]
}

/// Reads until this text arrives.
async fn until(bosh: &mut Bosh, wanted: &str) -> String {
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(wanted) {
        assert!(bosh.read_buf(&mut said).await.unwrap() > 0, "{}", String::from_utf8_lossy(&said));
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_request_whose_connection_breaks_is_made_again_as_it_was() {
    let (peer, tokens) = (Peer::start(Manners::default()).await, Tokens::default());
    let (mut bosh, mut page) = session(&peer, &tokens).await;
    let first = tokens.rid().unwrap();
    bosh.write_all(b"<message to='a'><body>hi</body></message>").await.unwrap();
    let serve = async {
        let asked = page.hear().await.unwrap();
        assert!(asked.contains(&format!("rid='{first}'")) && asked.contains("sid='some'"), "{asked}");
        assert!(asked.contains("<message xmlns='jabber:client' to='a'><body>hi</body></message></body>"), "{asked}");
        // The connection breaks within an answer.
        page.say_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<body").await;
        drop(page);
        for status in ["502 Bad Gateway", "200 OK"] {
            let mut page = peer.accept_page().await;
            assert_eq!(page.hear().await.unwrap(), asked);
            page.say(status, &body("", "<presence/>")).await;
        }
    };
    let (said, ()) = tokio::join!(until(&mut bosh, "<presence/>"), serve);
    assert!(said.starts_with("<stream:stream xmlns='jabber:client'") && said.contains("<stream:features/>"), "{said}");
    assert_eq!(said.matches("<presence/>").count(), 1);
    assert_eq!((tokens.sid().as_deref(), tokens.rid().unwrap() > first), (Some("some"), true));
    drop(bosh);
    assert_eq!(tokens.sid(), None);
}

/// XEP-0124, section 17.3.
#[tokio::test]
async fn after_an_error_that_passes_a_request_and_what_is_open_before_it_are_made_again_as_they_were() {
    let peer = Peer::start(Manners::default()).await;
    let created = CREATED.replace(" hold", " maxpause='120' hold");
    let (mut bosh, mut first) = session_of(&peer, &Tokens::default(), &created).await;
    until(&mut bosh, "<stream:features/>").await;
    let serve = async {
        let older = first.hear().await.unwrap();
        let mut second = peer.accept_page().await;
        let younger = second.hear().await.unwrap();
        second.say("200 OK", &body("type='error'", "")).await;
        let mut again = both(&peer).await;
        for ((page, asked), (before, payload)) in
            again.iter_mut().zip([(older, "<presence/>"), (younger, "<message/>")])
        {
            assert_eq!(*asked, before);
            page.say("200 OK", &body("", payload)).await;
        }
        again
    };
    let talk = async {
        for element in [&b"<a xmlns='x'/>"[..], b"<b xmlns='x'/>"] {
            bosh.write_all(element).await.unwrap();
            let _ = futures_util::poll!(std::pin::pin!(bosh.flush()));
        }
        until(&mut bosh, "<message/>").await
    };
    let (_pages, heard) = tokio::join!(serve, talk);
    assert!(heard.find("<presence/>") < heard.find("<message/>") && !heard.contains("</stream:stream>"), "{heard}");
}

#[tokio::test]
async fn an_error_that_does_not_pass_ends_the_session() {
    let peer = Peer::start(Manners::default()).await;
    let created = CREATED.replace(" hold", " inactivity='1' hold");
    let (mut bosh, page) = session_of(&peer, &Tokens::default(), &created).await;
    let serve = async {
        let mut page = Some(page);
        for passed in [0, 1] {
            let mut page = match page.take() {
                Some(page) => page,
                None => peer.accept_page().await,
            };
            page.hear().await.unwrap();
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(passed)).await;
            tokio::time::resume();
            page.say("200 OK", &body("type='error'", "")).await;
        }
    };
    let mut text = String::new();
    let (read, ()) = tokio::join!(bosh.read_to_string(&mut text), serve);
    let error = read.unwrap_err().to_string();
    assert!(error.contains("there was an error"), "{error}");
}

#[tokio::test]
async fn what_the_server_says_last_is_said_as_over_tcp() {
    let over = |condition: &str| body(&format!("type='terminate' condition='{condition}'"), "");
    let inside = body(
        "xmlns:stream='http://etherx.jabber.org/streams' type='terminate' condition='remote-stream-error'",
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    );
    for (status, answer, said) in [
        ("200 OK", over("policy-violation"), "<policy-violation"),
        ("200 OK", over("item-not-found"), "<connection-timeout"),
        ("404 Not Found", String::new(), "<connection-timeout"),
        ("200 OK", inside, "<stream:error><conflict"),
        ("200 OK", body("type='terminate'", "<presence/>"), "<presence/>"),
    ] {
        let (peer, tokens) = (Peer::start(Manners::default()).await, Tokens::default());
        let (mut bosh, mut page) = session(&peer, &tokens).await;
        let serve = async {
            page.hear().await.unwrap();
            page.say(status, &answer).await;
        };
        let (text, ()) = tokio::join!(until(&mut bosh, "</stream:stream>"), serve);
        assert!(text.contains(said) && text.ends_with("</stream:stream>"), "{text}");
        assert_eq!(bosh.read(&mut [0; 8]).await.unwrap(), 0, "nothing follows");
        assert_eq!(tokens.rid(), None);
    }
}

/// ejabberd answers the held request like this when it ends a session over the following one.
#[tokio::test]
async fn why_a_session_is_over_is_what_the_other_request_is_told() {
    let peer = Peer::start(Manners::default()).await;
    let (mut bosh, mut first) = session(&peer, &Tokens::default()).await;
    until(&mut bosh, "<stream:features/>").await;
    let over = |condition: &str| body(&format!("type='terminate' condition='{condition}'"), "");
    let serve = async {
        first.hear().await.unwrap();
        let mut second = peer.accept_page().await;
        second.hear().await.unwrap();
        first.say("200 OK", &over("other-request")).await;
        second.say("200 OK", &over("policy-violation")).await;
        second
    };
    let talk = async {
        // Polling for data makes the first request.
        assert!(futures_util::poll!(std::pin::pin!(bosh.read(&mut [0; 1]))).is_pending());
        bosh.write_all(b"<a xmlns='x'/>").await.unwrap();
        let _ = futures_util::poll!(std::pin::pin!(bosh.flush()));
        until(&mut bosh, "</stream:stream>").await
    };
    let (_second, heard) = tokio::join!(serve, talk);
    assert!(heard.contains("<policy-violation") && !heard.contains("<undefined-condition"), "{heard}");
}

/// Returns the error of beginning a session with a server that answers this.
async fn refused(inside: &str) -> ConnectError {
    let peer = Peer::start(Manners::default()).await;
    let url = format!("https://localhost:{}/http-bind", peer.port());
    let url = url.parse().unwrap();
    let (settings, tokens, ending) = (peer.settings(), Tokens::default(), Ending::default());
    let stream = "xmlns:stream='http://etherx.jabber.org/streams'";
    let answer = body(&format!("{stream} type='terminate' condition='remote-stream-error'"), inside);
    let serve = async {
        let mut page = peer.accept_page().await;
        page.hear().await.unwrap();
        page.say("200 OK", &answer).await;
        page
    };
    let (opened, _page) = tokio::join!(open(&settings, &url, "localhost", &tokens, &ending), serve);
    opened.err().unwrap()
}

/// XEP-0124, section 17.2. This is how ejabberd refuses an address with too many log-ins, and a domain that it does not
/// serve.
#[tokio::test]
async fn a_stream_error_in_place_of_a_session_is_understood_as_over_tcp() {
    let error = |inside: &str| format!("<stream:features/><stream:error>{inside}</stream:error>");
    let namespace = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
    let text = format!("<policy-violation {namespace}/><text {namespace}>Too many log-ins</text>");
    let (condition, text) = match refused(&error(&text)).await {
        ConnectError::Stream { condition, text } => (condition, text),
        other => panic!("{other:?}"),
    };
    assert_eq!((condition.as_str(), text.as_deref()), ("policy-violation", Some("Too many log-ins")));
    let unknown = refused(&error(&format!("<host-unknown {namespace}/>"))).await;
    assert!(matches!(&unknown, ConnectError::HostUnknown { domain } if domain == "localhost"), "{unknown}");
    let elsewhere = refused(&error(&format!("<see-other-host {namespace}>other:5222</see-other-host>"))).await;
    assert_eq!(elsewhere.elsewhere(), Some("other:5222"));
    for nothing in ["", "<x/>"] {
        let error = refused(nothing).await;
        assert!(error.to_string().contains("remote-stream-error"), "{nothing}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_answer_ends_the_session_in_one_sentence() {
    for (answer, said) in [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40), "bytes"),
        (
            "HTTP/1.1 302 Found\r\nlocation: https://portal/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "it answers 302 Found",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_owned(), "it answers with a web page"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx".to_owned(), "compresses"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\u{ff}".to_owned(), "it answers with something else"),
    ] {
        let peer = Peer::start(Manners::default()).await;
        let (mut bosh, mut page) = session(&peer, &Tokens::default()).await;
        let serve = async {
            page.hear().await.unwrap();
            page.say_raw(answer.as_bytes()).await;
        };
        let mut text = String::new();
        let (read, ()) = tokio::join!(bosh.read_to_string(&mut text), serve);
        let error = read.unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("check bosh_service_url"), "{error}");
        // Later reads return the end, and later writes fail.
        assert_eq!(bosh.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(bosh.write_all(b"<presence/>").await.is_err());
    }
}

/// Data that is written while the server holds a request back goes into a second request, and no third is made.
#[tokio::test]
async fn no_more_requests_are_under_way_than_the_server_takes() {
    let peer = Peer::start(Manners::default()).await;
    let (mut bosh, mut first) = session(&peer, &Tokens::default()).await;
    until(&mut bosh, "<stream:features/>").await;
    let serve = async {
        let poll = first.hear().await.unwrap();
        let mut second = peer.accept_page().await;
        let said = second.hear().await.unwrap();
        first.say("200 OK", &body("", "")).await;
        // Elements written meanwhile are sent together.
        let more = first.hear().await.unwrap();
        // Answers are processed in the order of the requests.
        first.say("200 OK", &body("", "<presence/>")).await;
        second.say("200 OK", &body("", "<message/>")).await;
        (poll, said, more)
    };
    let talk = async {
        // Polling for data makes the first request.
        assert!(futures_util::poll!(std::pin::pin!(bosh.read(&mut [0; 1]))).is_pending());
        for element in [&b"<r xmlns='x'/>"[..], b"<a xmlns='x'/>", b"<b xmlns='x'/>"] {
            bosh.write_all(element).await.unwrap();
            // Starts pending work, and does not wait.
            let _ = futures_util::poll!(std::pin::pin!(bosh.flush()));
        }
        until(&mut bosh, "<presence/>").await
    };
    let ((poll, said, more), heard) = tokio::join!(serve, talk);
    assert!(poll.ends_with("'/>") && said.contains("<r xmlns='x'/></body>"), "{poll} {said}");
    assert!(more.contains("<a xmlns='x'/><b xmlns='x'/></body>"), "{more}");
    assert!(heard.find("<message/>") < heard.find("<presence/>"), "{heard}");
}

/// Breaks the connections of two requests, and returns which of them is repeated first.
async fn made_again(created: &str) -> (u64, [String; 2]) {
    let (peer, tokens) = (Peer::start(Manners::default()).await, Tokens::default());
    let (mut bosh, mut first) = session_of(&peer, &tokens, created).await;
    let rid = tokens.rid().unwrap();
    until(&mut bosh, "<stream:features/>").await;
    let serve = async {
        first.hear().await.unwrap();
        let mut second = peer.accept_page().await;
        second.hear().await.unwrap();
        drop((first, second));
        let mut heard = both(&peer).await;
        for (page, said) in &mut heard {
            let payload = if said.contains("<b ") { "<message/>" } else { "<presence/>" };
            page.say("200 OK", &body("", payload)).await;
        }
        heard.map(|(_, said)| said)
    };
    let talk = async {
        for element in [&b"<a xmlns='x'/>"[..], b"<b xmlns='x'/>"] {
            bosh.write_all(element).await.unwrap();
            let _ = futures_util::poll!(std::pin::pin!(bosh.flush()));
        }
        until(&mut bosh, "<message/>").await
    };
    let (said, heard) = tokio::join!(serve, talk);
    assert!(heard.find("<presence/>") < heard.find("<message/>"), "answers count in their order: {heard}");
    (rid, said)
}

/// The request that Prosody keeps until the one before it arrives must have a connection by then. The request that
/// ejabberd keeps must not arrive twice.
#[tokio::test]
async fn of_two_requests_that_are_made_again_the_later_one_comes_first_where_it_has_to() {
    for (created, order) in [(CREATED.to_owned(), [1, 0]), (CREATED.replace(" hold", " maxpause='120' hold"), [0, 1])] {
        let (rid, said) = made_again(&created).await;
        for (said, at) in said.iter().zip(order) {
            assert!(said.contains(&format!("rid='{}'", rid + at)), "{created}: {at}: {said}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_slowly_is_waited_for() {
    let peer = Peer::start(Manners::default()).await;
    // The server answers at once, or was never reached.
    let created = CREATED.replace("hold='1'", "hold='0'");
    let (mut bosh, mut page) = session_of(&peer, &Tokens::default(), &created).await;
    let asked = tokio::select! {
        asked = page.hear() => asked,
        said = until(&mut bosh, "<presence/>") => panic!("{said}"),
    };
    assert!(asked.is_some());
    let answer = body("", "<presence/>");
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
    let (most, last) = answer.as_bytes().split_at(answer.len() - 1);
    tokio::time::pause();
    for piece in most.chunks(most.len() / 4) {
        page.say_raw(piece).await;
        let began = Instant::now();
        let whole = timeout(PROMPT * 2 / 3, until(&mut bosh, "<presence/>")).await;
        assert!(whole.is_err() && bosh.line.ending.heard() >= began, "{whole:?}");
    }
    tokio::time::resume();
    page.say_raw(last).await;
    until(&mut bosh, "<presence/>").await;
}

#[tokio::test]
async fn a_silence_after_breaks_is_noticed_as_soon_as_one_without_them() {
    let peer = Peer::start(Manners::default()).await;
    // The server answers at once, or was never reached.
    let created = CREATED.replace("hold='1'", "inactivity='60' hold='0'");
    let (mut bosh, mut page) = session_of(&peer, &Tokens::default(), &created).await;
    let serve = async {
        let asked = page.hear().await.unwrap();
        for _ in 0..2 {
            drop(page);
            page = peer.accept_page().await;
            assert_eq!(page.hear().await.unwrap(), asked);
        }
        tokio::time::pause();
        tokio::time::advance(PROMPT + GAP).await;
        tokio::time::resume();
        let mut page = timeout(PROMPT, peer.accept_page()).await.expect("it is made again");
        assert_eq!(page.hear().await.unwrap(), asked);
        page.say("200 OK", &body("", "<presence/>")).await;
    };
    tokio::join!(until(&mut bosh, "<presence/>"), serve);
}

/// The session expires if no request is made for this time; a request that the server holds back counts as made.
#[tokio::test]
async fn a_proxy_with_less_patience_than_the_server_ends_no_session() {
    let peer = Peer::start(Manners::default()).await;
    let created = CREATED.replace(" hold", " inactivity='1' hold");
    let (mut bosh, page) = session_of(&peer, &Tokens::default(), &created).await;
    until(&mut bosh, "<stream:features/>").await;
    let serve = async {
        let mut page = Some(page);
        for held in [PROMPT + GAP, PROMPT + GAP, Duration::ZERO] {
            let mut page = match page.take() {
                Some(page) => page,
                None => peer.accept_page().await,
            };
            page.hear().await.unwrap();
            tokio::time::pause();
            tokio::time::advance(held).await;
            tokio::time::resume();
            let (status, answer) = if held.is_zero() {
                ("200 OK", body("", "<presence/>"))
            } else {
                ("504 Gateway Timeout", String::new())
            };
            page.say(status, &answer).await;
        }
    };
    let (heard, ()) = tokio::join!(until(&mut bosh, "<presence/>"), serve);
    assert!(heard.contains("<presence/>"), "{heard}");
}

/// The server had nothing to send for those. If the session is over, it says so in answer to the newest request as
/// well.
#[tokio::test]
async fn a_server_may_forget_requests_whose_connections_broke_but_not_the_youngest() {
    let unknown = body("type='terminate' condition='item-not-found'", "");
    let known = body("", "<presence/>");
    for (last, heard) in [(&known, "<presence/>"), (&unknown, "<connection-timeout")] {
        let (peer, tokens) = (Peer::start(Manners::default()).await, Tokens::default());
        let (mut bosh, mut first) = session(&peer, &tokens).await;
        until(&mut bosh, "<stream:features/>").await;
        let serve = async {
            first.hear().await.unwrap();
            let mut second = peer.accept_page().await;
            second.hear().await.unwrap();
            drop((first, second));
            let [(mut later, _), (mut earlier, _)] = both(&peer).await;
            earlier.say("200 OK", &unknown).await;
            let third = earlier.hear().await.unwrap();
            assert!(third.contains("<c xmlns='x'/>"), "{third}");
            later.say("200 OK", &unknown).await;
            earlier.say("200 OK", last).await;
            (later, earlier)
        };
        let talk = async {
            for element in [&b"<a xmlns='x'/>"[..], b"<b xmlns='x'/>", b"<c xmlns='x'/>"] {
                bosh.write_all(element).await.unwrap();
                let _ = futures_util::poll!(std::pin::pin!(bosh.flush()));
            }
            until(&mut bosh, heard).await
        };
        let (_held, said) = tokio::join!(serve, talk);
        assert_eq!(said.contains("<connection-timeout"), *last == unknown, "{said}");
    }
}
