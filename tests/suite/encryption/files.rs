//! Encrypted files (XEP-0454), from an independent client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlor_tests::counterparts::{AXOLOTL, Counterpart, OMEMO_2};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use super::{finds, hears, person_by, plan};
use crate::files::knows_its_uploads;
use crate::test_host::{FULL, TestHost, granted};

async fn host(entry: impl FnOnce(Entry) -> Entry) -> TestHost {
    let host = plan().await.with_files().await.caller(FULL, |new| entry(granted(new))).start().await;
    knows_its_uploads(&host).await;
    host
}

/// Logs in a person who shares files with the host, and knows one namespace of OMEMO.
async fn sharer(host: &TestHost, namespace: &str) -> Counterpart {
    let mut juliet = person_by(namespace, "juliet").await;
    finds(&mut juliet, &host.account().jid.clone(), &[namespace]).await;
    juliet
}

/// Returns a file of this size.
fn content(size: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from(at * 7 % 251).unwrap();
    (0..size).map(byte).collect()
}

/// Has a person share a file, perhaps damaged. Returns its address once the plugin has heard of it.
async fn shares(juliet: &mut Counterpart, host: &TestHost, heard: u64, file: &[u8], how: &Value) -> String {
    let service = host.shared().snapshot().known.uploads().unwrap().0.to_string();
    let mut order = json!({ "upload": service, "name": "cat.bin", "data": STANDARD.encode(file) });
    order["to"] = host.account().jid.as_str().into();
    for (key, value) in how.as_object().unwrap() {
        order[key] = value.clone();
    }
    let url = juliet.order("share", order).await.unwrap()["url"].as_str().unwrap().to_owned();
    let message = hears(host, heard).await;
    assert_eq!((&message["body"], &message["encryption"]), (&json!(url), &json!("omemo")), "{message}");
    assert_eq!(message["extensions"]["files"], json!([{ "url": url, "name": null, "media-type": null, "size": null }]));
    url
}

/// Reads a file that must not be shown, and returns the error's case.
async fn refused(host: &TestHost, url: &str) -> String {
    let case = |error: Value| error["case"].as_str().unwrap().to_owned();
    let opened = match host.call(FULL, "files.open", json!({ "url": url })).await.result {
        Ok(opened) => opened,
        // The server says how long it is, and that is enough.
        Err(error) => return case(error),
    };
    let read = json!({ "transfer": opened["transfer"] });
    let error = host.call(FULL, "files.read", read.clone()).await.result.expect_err("nothing of it is shown");
    host.call(FULL, "files.read", read).await.fails("not-found");
    case(error)
}

/// Rows 145 and 172.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_file_is_read_as_it_was_written() {
    let host = host(|entry| entry).await;
    let heard = host.listen(FULL, "message").await;
    for (namespace, iv) in [(AXOLOTL, 12), (AXOLOTL, 16), (OMEMO_2, 12)] {
        let mut juliet = sharer(&host, namespace).await;
        for size in [0, 5, 200_000] {
            let file = content(size);
            let url = shares(&mut juliet, &host, heard, &file, &json!({ "iv": iv })).await;
            let opened = host.call(FULL, "files.open", json!({ "url": url })).await.ok();
            assert_eq!(opened["size"], size, "{opened}");
            let read = json!({ "transfer": opened["transfer"], "drain": true });
            let read = host.call(FULL, "files.read", read).await.ok();
            let checksum = file
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
            let expected = (json!(size), json!(format!("{checksum:016x}")));
            assert_eq!((read["total"].clone(), read["checksum"].clone()), expected, "{namespace} {iv} {size}");
            // The plugin never got that address, or the same file with another key.
            let behind = url.replacen("aesgcm://", "https://", 1);
            let other = if url.ends_with('0') { "1" } else { "0" };
            let other = format!("{}{other}", &url[..url.len() - 1]);
            for url in [&*behind, behind.split('#').next().unwrap(), &*other] {
                host.call(FULL, "files.open", json!({ "url": url })).await.fails("denied");
            }
        }
    }
}

/// Rows 145 and 172.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_of_an_encrypted_file_that_was_changed() {
    let host = host(|entry| entry).await;
    let heard = host.listen(FULL, "message").await;
    let mut juliet = sharer(&host, AXOLOTL).await;
    let file = content(150_000);
    // Its first byte, one in its middle, one of its tag; and without its end, its tag, or all but a little.
    for how in [
        json!({ "flip": 0 }),
        json!({ "flip": 70_000 }),
        json!({ "flip": 150_015 }),
        json!({ "cut": 1 }),
        json!({ "cut": 16 }),
        json!({ "cut": 150_001 }),
    ] {
        let url = shares(&mut juliet, &host, heard, &file, &how).await;
        assert_eq!(refused(&host, &url).await, "protocol", "{how}");
    }
    // The right file, and another key.
    let url = shares(&mut juliet, &host, heard, &file, &json!({})).await;
    let other = if url.ends_with('0') { "1" } else { "0" };
    let url = format!("{}{other}", &url[..url.len() - 1]);
    let bot = host.account().jid.clone();
    juliet.send(&bot, &url).await.unwrap();
    hears(&host, heard).await;
    assert_eq!(refused(&host, &url).await, "protocol");
}

/// Rows 145 and 172: it is held as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_file_is_no_larger_than_what_the_host_may_hold() {
    let host = host(|entry| entry.limit("host_memory", "1 MiB")).await;
    let heard = host.listen(FULL, "message").await;
    let mut juliet = sharer(&host, AXOLOTL).await;
    for _ in 0..3 {
        let url = shares(&mut juliet, &host, heard, &content(400_000), &json!({})).await;
        let opened = host.call(FULL, "files.open", json!({ "url": url })).await.ok();
        let read = json!({ "transfer": opened["transfer"], "drain": true });
        assert_eq!(host.call(FULL, "files.read", read).await.ok()["total"], 400_000, "all is given back at the end");
    }
    let url = shares(&mut juliet, &host, heard, &content(1 << 20), &json!({})).await;
    assert_eq!(refused(&host, &url).await, "over-limit");
}

/// Rows 144 and 172.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_upload_is_read_by_whom_it_is_sent_to_and_by_nobody_else() {
    let host = host(|entry| entry).await;
    let heard = host.listen(FULL, "message").await;
    for namespace in [AXOLOTL, OMEMO_2] {
        let mut juliet = sharer(&host, namespace).await;
        let person = juliet.jid().clone();
        for size in [0, 5, 200_000] {
            let args = json!({ "name": "my cat.png", "media-type": "image/png", "size": size });
            let transfer = host.call(FULL, "files.upload-encrypted", args).await.ok();
            // In steps that are not multiples of a block.
            let part = json!({ "transfer": transfer, "size": size, "fill": "a", "step": 7_001 });
            host.call(FULL, "files.write", part).await.ok();
            let file = host.call(FULL, "files.finish", json!({ "transfer": transfer })).await.ok();
            assert_eq!((&file["name"], &file["size"]), (&json!("my cat.png"), &json!(size)), "{file}");
            let url = file["url"].as_str().unwrap();
            let (place, key) = url.split_once('#').unwrap();
            assert!(
                place.starts_with("aesgcm://localhost:")
                    && place.rsplit_once('.').is_some_and(|(_, end)| end == "png")
                    && key.len() == 88,
                "{url}"
            );
            assert!(!place.contains("cat"), "{url}");
            let message =
                |wish: &str| json!({ "jid": person.as_str(), "extensions": { "files": [file] }, "encryption": wish });
            host.call(FULL, "chats.send", message("none")).await.fails("unsupported");
            host.call(FULL, "chats.send", message("required")).await.ok();
            assert_eq!(juliet.message(url).await.unwrap()["encryption"], "omemo");
            let fetched = juliet.order("fetch", json!({ "url": url })).await.unwrap();
            let bytes = |key: &str| STANDARD.decode(fetched[key].as_str().unwrap()).unwrap();
            assert_eq!(bytes("data"), vec![b'a'; size], "{namespace} {size}");
            assert_eq!(bytes("encrypted").len(), size + 16);
        }
        // An unencrypted chat gets no key.
        juliet.order("plain", json!({ "to": host.account().jid.as_str(), "body": "in the open" })).await.unwrap();
        while hears(&host, heard).await["body"] != "in the open" {}
        let transfer = json!({ "name": "a", "media-type": "image/png", "size": 0 });
        let transfer = host.call(FULL, "files.upload-encrypted", transfer).await.ok();
        let file = host.call(FULL, "files.finish", json!({ "transfer": transfer })).await.ok();
        let message = json!({ "jid": person.as_str(), "extensions": { "files": [file] } });
        host.call(FULL, "chats.send", message).await.fails("unsupported");
    }
}
