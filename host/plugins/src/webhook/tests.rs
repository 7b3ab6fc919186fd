//! Tests of webhooks in manifests, and of their verification.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::verification::Refused;
use super::*;
use crate::manifest::{Manifest, ManifestError};

/// The time of all requests in these tests, in seconds.
const NOW: i64 = 1_614_265_330;

fn manifest(webhook: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(&format!(
        "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
         [permissions]\n\"webhooks.receive\" = {{ reason = \"r\" }}\n\
         [settings.key]\ntype = \"credential\"\ndescription = \"X\"\n\
         [settings.room]\ntype = \"jid\"\ndescription = \"X\"\n\
         [webhook.a]\ndescription = \"X\"\n{webhook}\n"
    ))
}

/// Returns how the webhook of such a manifest verifies.
fn way(webhook: &str) -> Verification {
    manifest(&format!("secret = \"key\"\n{webhook}")).unwrap().webhooks["a"].verification.clone()
}

fn checked_at(
    now: i64,
    way: &Verification,
    secret: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Once, Unverified> {
    let headers: BTreeMap<_, _> = headers.iter().copied().collect();
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
    way.check(secret, Given { header: &header, body, now: Timestamp::from_second(now).unwrap() })
}

fn checked(way: &Verification, secret: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Once, Unverified> {
    checked_at(NOW, way, secret, headers, body)
}

/// From GitHub's documentation, "Validating webhook deliveries", and RFC 2104 for the other two.
#[test]
fn a_keyed_hash_of_the_body_is_verified_in_each_form() {
    let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signed = format!("sha256={hex}");
    let github = way("verify = \"github\"");
    assert_eq!(checked(&github, secret, &[("x-hub-signature-256", &signed)], body), Ok(None));
    assert_eq!(checked(&way("verify = \"gitea\""), secret, &[("x-gitea-signature", hex)], body), Ok(None));
    let base64 = "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=";
    let own = way("verify = \"hmac-sha256\"\nheader = \"X-Own\"\nprefix = \"v=\"\nencoding = \"base64\"");
    assert_eq!(checked(&own, secret, &[("x-own", &format!("v={base64}"))], body), Ok(None));
    let sha1 = way("verify = \"hmac-sha1\"\nheader = \"x-hub-signature\"\nprefix = \"sha1=\"");
    let fox = b"The quick brown fox jumps over the lazy dog";
    let of_fox = "sha1=de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9";
    assert_eq!(checked(&sha1, "key", &[("x-hub-signature", of_fox)], fox), Ok(None));
    for (secret, header, value, body) in [
        ("another", "x-hub-signature-256", &*signed, &body[..]),
        (secret, "x-hub-signature-256", &signed, b"Hello, World"),
        (secret, "x-hub-signature-256", hex, body),
        (secret, "x-hub-signature-256", "sha256=", body),
        (secret, "x-hub-signature-256", &signed[..40], body),
        (secret, "x-hub-signature-256", "sha256=zz", body),
        (secret, "x-hub-signature", &signed, body),
        ("", "x-hub-signature-256", &signed, body),
    ] {
        assert_eq!(checked(&github, secret, &[(header, value)], body), Err(Unverified), "{secret} {value}");
    }
    assert_eq!(checked(&github, secret, &[], body), Err(Unverified));
}

/// As `services/webhook/deliver.go` of Gitea signs. GitHub signs a form as it is sent.
#[test]
fn gitea_signs_what_a_form_has_and_not_the_form() {
    let (secret, form) = ("It's a Secret to Everybody", "payload=Hello%2C+World%21");
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let gitea = way("verify = \"gitea\"");
    let check = |body: &str| checked(&gitea, secret, &[("x-gitea-signature", hex)], body.as_bytes());
    assert_eq!((check("Hello, World!"), check(form)), (Ok(None), Ok(None)));
    for wrong in [
        "",
        "payload=",
        "payload=Hello%2C+World",
        "payload=Hello%2C+World%21&payload=x",
        "payload=x&payload=Hello%2C+World%21",
        "other=Hello%2C+World%21",
        "Hello%2C+World%21",
    ] {
        assert_eq!(check(wrong), Err(Unverified), "{wrong}");
    }
    let signed = format!("sha256={hex}");
    let github = checked(&way("verify = \"github\""), secret, &[("x-hub-signature-256", &signed)], form.as_bytes());
    assert_eq!(github, Err(Unverified));
}

#[test]
fn a_request_may_be_signed_with_any_of_several_secrets() {
    let way = way("verify = \"bearer\"");
    let by = |sent: &str, secrets: &[&'static str]| {
        let value = format!("Bearer {sent}");
        let header = |name: &str| (name == "authorization").then_some(value.as_bytes());
        let given = Given { header: &header, body: b"", now: Timestamp::from_second(NOW).unwrap() };
        way.check_any(secrets, |secret| secret, given).map(|(_, by)| *by)
    };
    let all = ["the new one", "the old one", "of the garden"];
    for one in all {
        assert_eq!(by(one, &all), Ok(one));
    }
    let empty = ["the new one", ""];
    for (sent, secrets) in [
        ("the old one", &all[..1]),
        ("neither", &all[..]),
        ("", &empty[..]),
        ("the old one", &empty[..]),
        ("x", &all[..0]),
    ] {
        assert_eq!(by(sent, secrets), Err(Unverified), "{sent} {secrets:?}");
    }
}

/// Up to 15 senders can have their own secrets, each with a former one, and a body may have a mebibyte.
#[test]
fn a_request_that_no_secret_can_have_signed_is_hashed_by_none() {
    let far = |verify: &str, headers: &[(&str, &str)], secrets: &[&'static str]| {
        let headers: BTreeMap<_, _> = headers.iter().copied().collect();
        let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
        let given = Given { header: &header, body: b"Hello, World!", now: Timestamp::from_second(NOW).unwrap() };
        way(verify).judge_any(secrets, |secret| secret, given).map(|_| ()).unwrap_err()
    };
    let (now, old) = (NOW.to_string(), (NOW - 600).to_string());
    let (right, short) = ("00".repeat(32), "00".repeat(31));
    let (github, gitea, slack) = ("verify = \"github\"", "verify = \"gitea\"", "verify = \"slack\"");
    let both = ["the new one", "the old one"];
    let versioned = format!("v0={right}");
    for (verify, headers) in [
        (github, &[][..]),
        (github, &[("x-hub-signature-256", format!("sha256={short}").as_str())][..]),
        (github, &[("x-hub-signature-256", "sha256=no hex")][..]),
        (github, &[("x-hub-signature-256", right.as_str())][..]),
        (gitea, &[("x-gitea-signature", short.as_str())][..]),
        (slack, &[("x-slack-request-timestamp", old.as_str()), ("x-slack-signature", versioned.as_str())][..]),
        ("verify = \"bearer\"", &[("authorization", "Bearer another")][..]),
    ] {
        assert_eq!(far(verify, headers, &both), Refused::Unread, "{verify} {headers:?}");
    }
    let signed = format!("sha256={right}");
    let github_signed = [("x-hub-signature-256", signed.as_str())];
    assert_eq!(far(github, &github_signed, &both), Refused::Hashed);
    // A setting without a value is an empty secret.
    assert_eq!(far(github, &github_signed, &["the new one", ""]), Refused::Hashed);
    assert_eq!(far(github, &github_signed, &[""]), Refused::Unread);
    assert_eq!(far(gitea, &[("x-gitea-signature", right.as_str())], &both), Refused::Hashed);
    let fresh = [("x-slack-request-timestamp", now.as_str()), ("x-slack-signature", versioned.as_str())];
    assert_eq!(far(slack, &fresh, &both), Refused::Hashed);
}

/// Such as `PagerDuty` while it changes its key. The first one is GitHub's example.
#[test]
fn one_of_several_keyed_hashes_has_to_be_right() {
    let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let other = "0".repeat(hex.len());
    let several = way("verify = \"hmac-sha256\"\nheader = \"x-pagerduty-signature\"\nprefix = \"v1=\"");
    let check = |header: &str| checked(&several, secret, &[("x-pagerduty-signature", header)], body);
    for right in [
        format!("v1={hex}"),
        format!("v1={hex},v1={other}"),
        format!("v1={other}, v1={hex}"),
        format!("v0={other},,v1={hex}"),
        format!("{}v1={hex}", "v1=00,".repeat(15)),
    ] {
        assert_eq!(check(&right), Ok(None), "{right}");
    }
    for wrong in [
        format!("v1={other},{hex}"),
        format!("v1={other},v2={hex}"),
        format!("v1={other};v1={hex}"),
        format!("v1={other},v1={hex}00"),
        format!("{}v1={hex}", "v1=00,".repeat(16)),
        ",".repeat(1 << 16),
    ] {
        assert_eq!(check(&wrong), Err(Unverified), "{wrong:.80}");
    }
}

/// Otherwise everybody could compute the signatures.
#[test]
fn an_empty_secret_verifies_nothing() {
    let of_nothing = {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"");
        format!("sha256={}", hex::encode(ring::hmac::sign(&key, b"x")))
    };
    let github = way("verify = \"github\"");
    assert_eq!(checked(&github, "", &[("x-hub-signature-256", &of_nothing)], b"x"), Err(Unverified));
    assert_eq!(checked(&way("verify = \"bearer\""), "", &[("authorization", "Bearer ")], b"x"), Err(Unverified));
    assert_eq!(checked(&way("verify = \"gitlab\""), "", &[("x-gitlab-token", "")], b"x"), Err(Unverified));
}

/// RFC 9110, section 15.5.2. Twilio sends a name and a password only once it is asked.
#[test]
fn a_webhook_with_a_password_asks_for_it_and_others_look_like_no_webhook() {
    let basic = way("verify = \"basic\"");
    assert_eq!(basic.challenge(), "Basic realm=\"webhook\", charset=\"UTF-8\"");
    let others = ways().map(|(other, ..)| other).filter(|other| !["basic", "token", "none"].contains(other));
    for other in others {
        assert_eq!(way(&format!("verify = {other:?}")).challenge(), UNKNOWN, "{other}");
    }
}

#[test]
fn tokens_and_passwords_are_compared_as_a_whole() {
    let gitlab = way("verify = \"gitlab\"");
    assert_eq!(checked(&gitlab, "s3cret-token", &[("x-gitlab-token", "s3cret-token")], b""), Ok(None));
    assert_eq!(checked(&gitlab, "s3cret-token", &[("x-gitlab-token", "s3cret-toke")], b""), Err(Unverified));
    let token = way("verify = \"token\"\nheader = \"x-telegram-bot-api-secret-token\"");
    assert_eq!(checked(&token, "abc", &[("x-telegram-bot-api-secret-token", "abc")], b""), Ok(None));
    // As slash commands of Mattermost have it: the scheme is a part of the secret.
    let own = way("verify = \"token\"\nheader = \"Authorization\"");
    let sent = |value: &str| checked(&own, "Token nezum4kp", &[("authorization", value)], b"");
    assert_eq!((sent("Token nezum4kp"), sent("nezum4kp")), (Ok(None), Err(Unverified)));
    let bearer = way("verify = \"bearer\"");
    for right in ["Bearer abc", "bearer abc", "BEARER  abc"] {
        assert_eq!(checked(&bearer, "abc", &[("authorization", right)], b""), Ok(None), "{right}");
    }
    for wrong in ["Bearer abcd", "Bearer ab", "Basic abc", "abc", "Bearer", ""] {
        assert_eq!(checked(&bearer, "abc", &[("authorization", wrong)], b""), Err(Unverified), "{wrong}");
    }
    let basic = way("verify = \"basic\"");
    // "user:password" (RFC 7617)
    let right = [("authorization", "Basic dXNlcjpwYXNzd29yZA==")];
    assert_eq!(checked(&basic, "user:password", &right, b""), Ok(None));
    assert_eq!(checked(&basic, "user:other", &right, b""), Err(Unverified));
}

/// The example of Slack's documentation, "Verifying requests".
#[test]
fn slack_signs_the_time_which_may_not_be_long_ago_nor_to_come() {
    let (secret, at) = ("8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618);
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    let slack = way("verify = \"slack\"");
    for late in [-300, 0, 300] {
        assert!(checked_at(at + late, &slack, secret, &headers, body).unwrap().is_some(), "{late}");
    }
    for late in [-301, 301, 100_000] {
        assert_eq!(checked_at(at + late, &slack, secret, &headers, body), Err(Unverified), "{late}");
    }
    let other_time = [("x-slack-request-timestamp", "1531420619"), headers[1]];
    assert_eq!(checked_at(at, &slack, secret, &other_time, body), Err(Unverified));
}

/// As Zoom's documentation says, "Verify webhook events".
#[test]
fn zoom_signs_as_slack_does_in_headers_of_its_own() {
    let (secret, body) = ("canary-shared-secret", r#"{"event":"meeting.started"}"#);
    let time = NOW.to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = format!("v0={}", hex::encode(ring::hmac::sign(&key, format!("v0:{time}:{body}").as_bytes())));
    let zoom = way("verify = \"zoom\"");
    let check = |sender: &str, late: i64| {
        let names = [format!("{sender}-request-timestamp"), format!("{sender}-signature")];
        let headers = [(names[0].as_str(), time.as_str()), (names[1].as_str(), signed.as_str())];
        checked_at(NOW + late, &zoom, secret, &headers, body.as_bytes())
    };
    assert!(check("x-zm", 300).is_ok_and(|once| once.is_some()));
    assert_eq!((check("x-zm", 301), check("x-slack", 0)), (Err(Unverified), Err(Unverified)));
}

/// As Paddle's documentation says, "Verify webhook signatures".
#[test]
fn paddle_lists_its_time_and_signatures_with_semicolons() {
    let (secret, body, time) = ("pdl_ntfset_canary", r#"{"event_id":"evt_1"}"#, NOW.to_string());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let sign = |signed: String| hex::encode(ring::hmac::sign(&key, signed.as_bytes()));
    let right = sign(format!("{time}:{body}"));
    let paddle = way("verify = \"paddle\"");
    let check = |late: i64, header: &str| {
        checked_at(NOW + late, &paddle, secret, &[("paddle-signature", header)], body.as_bytes())
    };
    for header in [format!("ts={time};h1={right}"), format!("ts={time};h1=00;h1={right}")] {
        assert!(check(300, &header).is_ok_and(|once| once.is_some()), "{header}");
        assert_eq!(check(301, &header), Err(Unverified), "{header}");
    }
    for wrong in [
        format!("h1={right}"),
        format!("ts={time},h1={right}"),
        format!("t={time};v1={right}"),
        format!("ts={time};h1={}", sign(format!("{time}.{body}"))),
    ] {
        assert_eq!(check(0, &wrong), Err(Unverified), "{wrong}");
    }
}

/// As Twitch's documentation says, "Verifying the event message".
#[test]
fn twitch_signs_the_id_the_time_and_the_body() {
    let (secret, body, id) = ("canary-shared-secret", "{}", "befa7b53-d79d-478f-86b9-120f112b044e");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let twitch = way("verify = \"twitch\"");
    let check = |time: &str, late: i64, id_sent: &str| {
        let tag = ring::hmac::sign(&key, format!("{id}{time}{body}").as_bytes());
        let signed = format!("sha256={}", hex::encode(tag));
        let headers = [("id", id_sent), ("timestamp", time), ("signature", &*signed)];
        let headers = headers.map(|(name, value)| (format!("twitch-eventsub-message-{name}"), value));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        checked_at(NOW + late, &twitch, secret, &headers, body.as_bytes())
    };
    // `NOW`, and not quite a second later.
    let time = "2021-02-25T15:02:10.634234626Z";
    assert!(check(time, 300, id).is_ok_and(|once| once.is_some()));
    assert_eq!(check(time, 302, id), Err(Unverified));
    assert_eq!(check(time, 0, "another id"), Err(Unverified));
    assert_eq!(check("1614265330", 0, id), Err(Unverified));
}

/// Both repeat a request that is answered with 202. Discord's documentation asks for 202.
#[test]
fn a_stored_request_is_answered_with_a_status_that_its_sender_takes_for_a_success() {
    for (verify, status) in [("zoom", 200), ("paddle", 200), ("discord", 202), ("github", 202)] {
        assert_eq!(way(&format!("verify = {verify:?}")).status_of_stored(), status, "{verify}");
    }
}

/// The token and its hash are made by `openssl dgst -sha256 -hmac`. A sender's other requests are the plugin's.
#[test]
fn the_host_answers_the_requests_by_which_senders_try_an_address() {
    let trial = |verify: &str, body: &str| {
        let answer = way(&format!("verify = {verify:?}")).answer_to_trial("canary-shared-secret", body.as_bytes());
        answer.map(|answer| serde_json::from_str::<serde_json::Value>(&answer.body).unwrap())
    };
    let of_slack = r#"{"token":"x","challenge":"3eZbrw1a","type":"url_verification"}"#;
    let of_zoom = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    assert_eq!(trial("slack", of_slack), Some(serde_json::json!({ "challenge": "3eZbrw1a" })));
    let answer = trial("zoom", of_zoom).unwrap();
    assert_eq!(answer["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(answer["encryptedToken"], "dcb0d25d01b49d8b25265e2dd0a980e7e3ee730c8b812c0ec079f590a2c10979");
    let of_twitch = r#"{"challenge":"x y","subscription":{"status":"webhook_callback_verification_pending"}}"#;
    let plain = TrialAnswer { media_type: "text/plain", body: "x y".to_owned() };
    assert_eq!(way("verify = \"twitch\"").answer_to_trial("canary", of_twitch.as_bytes()), Some(plain));
    for (verify, body) in [
        ("slack", of_zoom),
        ("zoom", of_slack),
        ("slack", of_twitch),
        ("twitch", of_slack),
        ("twitch", r#"{"challenge":"x","subscription":{"status":"enabled"}}"#),
        ("stripe", of_zoom),
        ("slack", r#"{"type":"event_callback","challenge":"x"}"#),
        ("slack", r#"{"type":"url_verification","challenge":1}"#),
        ("zoom", r#"{"event":"meeting.started","payload":{"plainToken":"x"}}"#),
        ("zoom", r#"{"event":"endpoint.url_validation"}"#),
        ("zoom", "[]"),
        ("slack", "token=x&command=%2Fbooks"),
    ] {
        assert_eq!(trial(verify, body), None, "{verify} {body}");
    }
    let long = of_slack.replace("3eZbrw1a", &"x".repeat(4 << 10));
    assert_eq!(trial("slack", &long), None);
}

/// The vector of the specification of Standard Webhooks.
#[test]
fn standard_webhooks_are_verified_by_any_of_their_signatures() {
    let (secret, body) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", br#"{"test": 2432232314}"#);
    let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let headers = |signature: &'static str| {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]
    };
    let standard = way("verify = \"standard\"");
    let once = checked(&standard, secret, &headers(right), body).unwrap();
    assert!(once.is_some());
    let several = "v1,AAAA v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(checked(&standard, secret, &headers(several), body), Ok(once), "it is the same request");
    for wrong in ["", "v1,", "v1,AAAA", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
        assert_eq!(checked(&standard, secret, &headers(wrong), body), Err(Unverified), "{wrong}");
    }
    assert_eq!(checked(&standard, "whsec_", &headers(right), body), Err(Unverified));
    assert_eq!(checked(&standard, "no base64!", &headers(right), body), Err(Unverified));
}

/// Svix's own names for the headers of Standard Webhooks. A request must not come a second time by the other names.
#[test]
fn svix_signs_in_the_same_way_by_names_of_its_own() {
    let (secret, body) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", br#"{"test": 2432232314}"#);
    let headers = |names: [&'static str; 3]| {
        let values = ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="];
        [(names[0], values[0]), (names[1], values[1]), (names[2], values[2])]
    };
    let standard = way("verify = \"standard\"");
    let by = |names| checked(&standard, secret, &headers(names), body);
    let once = by(["svix-id", "svix-timestamp", "svix-signature"]);
    assert!(once.is_ok_and(|once| once.is_some()));
    assert_eq!(by(["webhook-id", "webhook-timestamp", "webhook-signature"]), once);
    for mixed in [
        ["webhook-id", "svix-timestamp", "svix-signature"],
        ["svix-id", "webhook-timestamp", "svix-signature"],
        ["svix-id", "svix-timestamp", "webhook-signature"],
        ["id", "timestamp", "signature"],
    ] {
        assert_eq!(by(mixed), Err(Unverified), "{mixed:?}");
    }
    let late = headers(["svix-id", "svix-timestamp", "svix-signature"]);
    assert_eq!(checked_at(NOW + 301, &standard, secret, &late, body), Err(Unverified));
}

#[test]
fn stripe_signs_the_time_and_lists_signatures_of_each_of_its_keys() {
    let (secret, body, at) = ("whsec_test_secret", br#"{"id":"evt_1"}"#, 1_492_774_577);
    let right = "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";
    let stripe = way("verify = \"stripe\"");
    let check = |header: &str| checked_at(at, &stripe, secret, &[("stripe-signature", header)], body);
    assert!(check(&format!("t=1492774577,v1={right}")).unwrap().is_some());
    assert!(check(&format!("t=1492774577, v1=00, v1={right}, v0=6ffb")).unwrap().is_some());
    for wrong in [
        format!("t=1492774577,v0={right}"),
        format!("t=1492774578,v1={right}"),
        format!("v1={right}"),
        "t=1492774577".to_owned(),
        format!("t=1492774577{},v1={right}", ",v1=00".repeat(16)),
    ] {
        assert_eq!(check(&wrong), Err(Unverified), "{wrong}");
    }
}

/// Such as Calendly and Mux, which sign as Stripe does.
#[test]
fn a_signature_of_stripes_form_may_come_in_a_header_of_its_own() {
    let (secret, body, at) = ("whsec_test_secret", br#"{"id":"evt_1"}"#, 1_492_774_577);
    let signed = "t=1492774577,v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";
    let calendly = way("verify = \"stripe\"\nheader = \"Calendly-Webhook-Signature\"");
    let check = |at: i64, header: &str| checked_at(at, &calendly, secret, &[(header, signed)], body);
    assert!(check(at, "calendly-webhook-signature").is_ok_and(|once| once.is_some()));
    assert_eq!(check(at + 301, "calendly-webhook-signature"), Err(Unverified));
    assert_eq!(check(at, "stripe-signature"), Err(Unverified));
    assert_eq!(calendly.about(), "HMAC-SHA256 with a time in calendly-webhook-signature");
}

/// While senders change their key, they sign by both. Somebody who has read such a request must not get it through again
/// when the host knows the other key.
#[test]
fn a_request_that_is_signed_by_two_keys_comes_once_also_after_the_key_has_changed() {
    let (first, second) = ("whsec_first", "whsec_second");
    let (time, body) = (NOW.to_string(), br#"{"id":"evt_1"}"#);
    let sign = |secret: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        hex::encode(ring::hmac::sign(&key, &[time.as_bytes(), b".", body].concat()))
    };
    let signed = format!("t={time},v1={},v1={}", sign(first), sign(second));
    let header = |name: &str| (name == "stripe-signature").then_some(signed.as_bytes());
    let given = Given { header: &header, body, now: Timestamp::from_second(NOW).unwrap() };
    let check = |secrets: &[&str]| {
        way("verify = \"stripe\"").check_any(secrets, |secret| secret, given).map(|(once, _)| once).unwrap()
    };
    let once = check(&[first]);
    assert!(once.is_some());
    assert_eq!((check(&[second, first]), check(&[second])), (once, once));
    // Another sender may write the same at the same time.
    let [none, garden, shop] = [None, Some("garden"), Some("shop")].map(|sender| once_of(once, sender));
    assert!(none == once && garden != once && shop != once && garden != shop);
    assert_eq!(once_of(None, Some("garden")), None);
}

#[test]
fn discord_signs_with_the_key_of_the_application() {
    let key =
        Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap();
    let (public, time, body) = (hex::encode(key.public_key()), NOW.to_string(), br#"{"type":1}"#);
    let signature = hex::encode(key.sign(&[time.as_bytes(), body].concat()));
    let headers = [("x-signature-ed25519", &*signature), ("x-signature-timestamp", &*time)];
    let discord = way("verify = \"discord\"");
    assert!(checked(&discord, &public, &headers, body).unwrap().is_some());
    assert_eq!(checked(&discord, &public, &headers, b"{}"), Err(Unverified));
    assert_eq!(checked(&discord, &public[2..], &headers, body), Err(Unverified));
    assert_eq!(checked_at(NOW + 301, &discord, &public, &headers, body), Err(Unverified));
}

#[test]
fn a_manifest_says_how_each_webhook_is_verified_and_by_which_setting() {
    let read = manifest("verify = \"github\"\nsecret = \"key\"\nheaders = [\"X-GitHub-Event\"]").unwrap();
    let webhook = &read.webhooks["a"];
    assert_eq!(
        (webhook.mode, &*webhook.methods, &*webhook.headers),
        (Mode::Queue, &["POST".to_owned()][..], &["x-github-event".to_owned()][..])
    );
    // CloudEvents asks by the second one whether its requests are welcome.
    let asked = manifest("verify = \"github\"\nsecret = \"key\"\nmethods = [\"POST\", \"OPTIONS\"]").unwrap();
    assert_eq!(asked.webhooks["a"].methods, ["POST", "OPTIONS"]);
    for (webhook, reason) in [
        ("secret = \"key\"", "write one of github"),
        ("verify = \"githab\"\nsecret = \"key\"", "did you mean `github`?"),
        ("verify = \"github\"", "no `secret`"),
        ("verify = \"github\"\nsecret = \"kee\"", "there is no setting `kee`"),
        ("verify = \"github\"\nsecret = \"room\"", "there is no setting `room`"),
        ("verify = \"none\"\nsecret = \"key\"", "nothing is verified"),
        ("verify = \"token\"\nsecret = \"key\"", "no `header`"),
        (
            "verify = \"github\"\nsecret = \"key\"\nheader = \"x\"",
            "`header` goes with hmac-sha256, hmac-sha1, token, stripe alone",
        ),
        ("verify = \"github\"\nsecret = \"key\"\nmethods = [\"TRACE\"]", "a list of at least one of GET"),
        ("verify = \"github\"\nsecret = \"key\"\nmethods = []", "a list of at least one of GET"),
        ("verify = \"hmac-sha1\"\nsecret = \"key\"\nprefix = \"a,b\"", "without a comma"),
        ("verify = \"github\"\nsecret = \"key\"\nmode = \"both\"", "\"queue\" or \"answer\""),
        ("verify = \"github\"\nsecret = \"key\"\nheaders = [\"authorization\"]", "is the host's to read"),
        ("verify = \"github\"\nsecret = \"key\"\nheaders = [\"Cookie\"]", "is the host's to read"),
        (
            "verify = \"token\"\nsecret = \"key\"\nheader = \"authorization\"\nheaders = [\"authorization\"]",
            "is the host's to read",
        ),
        ("verify = \"github\"\nsecret = \"key\"\nheaders = [\"a b\"]", "the name of a header"),
        (
            "verify = \"gitlab\"\nsecret = \"key\"\nheaders = [\"X-Gitlab-Event\", \"X-Gitlab-Token\"]",
            "leave it out of `headers`",
        ),
        ("verify = \"token\"\nsecret = \"key\"\nheader = \"X-A\"\nheaders = [\"x-a\"]", "`x-a` has the secret"),
        (
            "verify = \"github\"\nsecret = \"key\"\nheaders = [\"x-a\"]\n\
             [webhook.b]\ndescription = \"X\"\nverify = \"token\"\nsecret = \"key\"\nheader = \"x-a\"",
            "`x-a` has the secret",
        ),
        ("verify = \"none\"", "no `hosts`, and no webhook names it"),
    ] {
        let error = manifest(webhook).unwrap_err().to_string();
        assert!(error.contains(reason), "{webhook}: {error}");
    }
    let unasked = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
                   [webhook.a]\ndescription = \"X\"\nverify = \"none\"\n";
    assert!(Manifest::parse(unasked).unwrap_err().to_string().contains("ask for \"webhooks.receive\""));
    let named = unasked
        .replace("webhook.a", "webhook.\"a/b\"")
        .replace("[webhook", "[permissions]\n\"webhooks.receive\" = { reason = \"r\" }\n[webhook");
    assert!(Manifest::parse(&named).unwrap_err().to_string().contains("cannot be a webhook's name"));
}

/// Everybody can read the manifest.
#[test]
fn a_secret_of_a_webhook_has_no_default_unless_it_is_a_public_key() {
    let of = |way: &str, default: &str| {
        manifest(&format!(
            "verify = \"{way}\"\nsecret = \"text\"\n\
             [webhook.k]\ndescription = \"X\"\nverify = \"bearer\"\nsecret = \"key\"\n\
             [settings.text]\ntype = \"string\"\ndescription = \"X\"\n{default}"
        ))
    };
    assert!(of("github", "").is_ok() && of("discord", "default = \"0a1b\"").is_ok());
    for way in ["github", "bearer"] {
        let error = of(way, "default = \"0a1b\"").unwrap_err().to_string();
        assert!(error.contains("leave out `default`"), "{error}");
    }
}

/// The owner agreed to the webhooks as they were.
#[test]
fn a_version_whose_webhooks_are_more_open_is_one_that_asks_for_more() {
    let of = |webhook: &str| {
        manifest(&format!("{webhook}\n[webhook.k]\ndescription = \"X\"\nverify = \"bearer\"\nsecret = \"key\""))
            .unwrap()
    };
    let github = of("verify = \"github\"\nsecret = \"key\"");
    let (answers, open) = (of("verify = \"github\"\nsecret = \"key\"\nmode = \"answer\""), of("verify = \"none\""));
    assert!(!github.opens_more_than(&github) && !github.opens_more_than(&open) && !github.opens_more_than(&answers));
    assert!(open.opens_more_than(&github) && answers.opens_more_than(&github));
    let other = of("verify = \"gitlab\"\nsecret = \"key\"");
    assert!(other.opens_more_than(&github));
    let fewer = manifest("verify = \"github\"\nsecret = \"key\"").unwrap();
    assert!(github.opens_more_than(&fewer) && !fewer.opens_more_than(&github));
    // The question names each thing that is more open.
    let token = of(
        "verify = \"token\"\nheader = \"x-t\"\nsecret = \"key\"\nmethods = [\"POST\", \"PUT\"]\nheaders = [\"x-event\"]",
    );
    assert_eq!(
        token.opened_since(&github),
        [
            "its webhook a is verified by: token in x-t; before, by: HMAC-SHA256 in x-hub-signature-256",
            "its webhook a also takes PUT",
            "it also gets these headers of requests to its webhook a: x-event",
        ]
    );
    let methods = of("verify = \"github\"\nsecret = \"key\"\nmethods = [\"POST\", \"PUT\"]");
    let headers = of("verify = \"github\"\nsecret = \"key\"\nheaders = [\"x-event\"]");
    let paths = of("verify = \"github\"\nsecret = \"key\"\npaths = true");
    assert_eq!(paths.opened_since(&github), ["its webhook a also takes requests to paths below its address"]);
    assert!(!github.opens_more_than(&paths));
    assert!(methods.opens_more_than(&github) && headers.opens_more_than(&github));
    assert!(!github.opens_more_than(&methods) && !github.opens_more_than(&headers));
}

#[test]
fn each_way_is_described() {
    assert!(ways().all(|(way, header, what)| !way.is_empty() && !header.is_empty() && !what.is_empty()));
    assert_eq!(ways().count(), WAYS.len());
}

#[test]
fn a_secret_by_which_nothing_could_be_verified_is_told_apart_with_the_form_that_is_needed() {
    let public = "0123456789abcdef".repeat(4);
    for (written, right, wrong, form) in [
        ("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "not-whsec-at-all", "whsec_"),
        ("basic", "user:password", "password", "user:password"),
        ("discord", public.as_str(), "0123456789abcdef", "64 hex digits"),
        ("discord", public.as_str(), "no hex digits at all", "64 hex digits"),
    ] {
        let verification = way(&format!("verify = \"{written}\""));
        assert_eq!(verification.wanted_form(right), None, "{written}");
        assert!(verification.wanted_form(wrong).is_some_and(|wanted| wanted.contains(form)), "{written}: {wrong}");
    }
    for written in ["github", "slack", "bearer"] {
        assert_eq!(way(&format!("verify = \"{written}\"")).wanted_form("anything"), None);
    }
}
