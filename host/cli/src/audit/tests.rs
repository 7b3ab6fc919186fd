//! Arguments, queries and the screen of `parlor audit`.

use clap::Parser;
use parlor_base::id::Digest;
use parlor_config::Overrides;
use parlor_store::{By, NewAuditEntry, Retention};

use super::*;

#[derive(Debug, Parser)]
struct Typed {
    #[command(flatten)]
    audit: AuditArgs,
}

fn typed(line: &str) -> AuditArgs {
    Typed::try_parse_from(line.split(' ')).unwrap().audit
}

pub(crate) fn entry(what: &str, old: Option<&str>, new: Option<&str>) -> Entry {
    Entry {
        id: 1,
        node: None,
        at: "2026-11-20T08:00:00.5Z".to_owned(),
        kind: "grant".to_owned(),
        plugin: Some("echo".to_owned()),
        account: None,
        who: "uid:1000".to_owned(),
        file: None,
        way: "parlor plugin grant".to_owned(),
        what: what.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
        said: vec![format!("It may do {what}.")],
    }
}

#[test]
fn the_screen_says_who_changed_what_and_whom_a_plugin_wrote_to() {
    let name = Name {
        account: "main".to_owned(),
        kind: "recipient".to_owned(),
        what: "juliet@example.org".to_owned(),
        first: "2026-11-19T08:00:00Z".to_owned(),
        last: "2026-11-20T08:00:00Z".to_owned(),
        count: 7,
        sent: None,
        received: None,
    };
    let request = Name {
        kind: "request".to_owned(),
        what: "GET https://api.example.org 2xx".to_owned(),
        sent: Some(0),
        received: Some(2_048),
        ..name.clone()
    };
    let count = Counted { plugin: "echo".to_owned(), account: "main".to_owned(), name: "sent".to_owned(), count: 7 };
    let audit = Audit {
        entries: vec![entry("messages.read", Some("a@b.example"), Some("*")), entry("rooms.read", Some("*"), None)],
        counts: vec![count],
        names: vec![name, request],
    };
    let text = screen(&audit, true, None, false, None).replace("\x1b[2m", "").replace("\x1b[0m", "");
    assert_eq!(
        text,
        "2026-11-20 08:00:00  grant    echo messages.read: a@b.example → *  by uid:1000, parlor plugin grant\n\
         2026-11-20 08:00:00  grant    echo rooms.read: * → none  by uid:1000, parlor plugin grant\n\
         \nwhat it did, to the day\n\
         COUNT  ACCOUNT  TIMES\n\
         sent   main     7\n\
         \nit wrote to\n\
         TO                  ACCOUNT  TIMES  FIRST                LAST\n\
         juliet@example.org  main     7      2026-11-19 08:00:00  2026-11-20 08:00:00\n\
         \nrequests that it made over the web\n\
         REQUEST                          ACCOUNT  TIMES  SENT  RECEIVED  FIRST                LAST\n\
         GET https://api.example.org 2xx  main     7      0 B   2.0 KiB   2026-11-19 08:00:00  2026-11-20 08:00:00\n"
    );
    let full = screen(&audit, false, None, true, None);
    assert!(
        full.contains("\n      It may do messages.read.\n") && full.ends_with("\n      It may do rooms.read.\n"),
        "{full}"
    );
    assert_eq!(screen(&Audit::default(), false, None, false, None), "no entries\n");
    let path = Some("/srv/one/plugins.toml".to_owned());
    let edited = Entry { who: "file:plugins.toml".to_owned(), file: path, ..entry("rooms.read", None, None) };
    let edited = screen(&Audit { entries: vec![edited], ..Audit::default() }, false, None, false, None);
    assert!(edited.contains("by file:plugins.toml (/srv/one/plugins.toml), parlor plugin grant"), "{edited}");

    // Counts are to the day, which is said.
    let of_day = screen(&audit, true, since("2026-11-20T08:00:00Z").ok(), false, None);
    assert!(of_day.contains("\n\nfrom 2026-11-20 on, by whole days in UTC; "), "{of_day}");

    // A terminal has several lines for what is too long for one.
    let narrow = screen(&audit, true, None, true, Some(80)).replace("\x1b[2m", "").replace("\x1b[0m", "");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    let first = "2026-11-20 08:00:00  grant    echo messages.read: a@b.example → *\n                              \
                 by uid:1000, parlor plugin grant\n      It may do messages.read.\n";
    assert!(narrow.starts_with(first), "{narrow}");
    let request = "\nGET https://api.example.org 2xx\n  main     7      0 B   2.0 KiB   2026-11-19 08:00:00  2026-11-20 08:00:00\n";
    assert!(narrow.ends_with(request), "{narrow}");
}

#[test]
fn a_name_that_is_mistyped_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    std::fs::write(&path, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
    let config = Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap();
    let digest = Digest::of(b"echo");
    let policy = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{digest}\"\n");
    std::fs::write(&config.plugins, policy).unwrap();
    let unknown = |line: &str| typed(line).unknown(&config);
    for fine in ["audit", "audit --plugin echo --account main", "audit --plugin echo"] {
        assert_eq!(unknown(fine), Vec::<String>::new(), "{fine}");
    }
    assert_eq!(
        unknown("audit --plugin ehco --account mian"),
        ["there is no plugin ehco, did you mean \"echo\"?", "there is no account mian, did you mean \"main\"?"]
    );
    assert_eq!(unknown("audit --plugin weather"), ["there is no plugin weather"]);
    let known =
        |line: &str, audit: &Audit| typed(line).is_known(&config, None, audit).map_err(|error| error.to_string());
    let nothing = Audit::default();
    assert_eq!(
        known("audit --plugin ehco --since 1h", &nothing),
        Err("there is no plugin ehco, did you mean \"echo\"?".to_owned())
    );
    assert!(known("audit --account mian", &nothing).is_err());
    assert_eq!(known("audit --plugin echo", &nothing), Ok(()));
    // A plugin that was removed has entries, although there may be none of that kind or time.
    let gone = Audit { entries: vec![entry("removed", None, None)], ..Audit::default() };
    assert_eq!(known("audit --plugin ehco", &gone), Ok(()));
    let of_names = typed("audit --plugin gone --kind grant --since 1h").of_names();
    assert_eq!((of_names.plugin.as_deref(), of_names.since, of_names.kinds.len()), (Some("gone"), None, 0));
    std::fs::write(&config.plugins, "[plugin").unwrap();
    assert!(unknown("audit --plugin ehco").is_empty());
}

#[test]
fn each_filter_of_a_query_is_in_the_request() {
    assert_eq!(request(&AuditQuery { most: 9, ..AuditQuery::default() }), "/v1/audit?lines=9");
    let query = AuditQuery {
        plugin: Some("a&b".to_owned()),
        account: Some("main".to_owned()),
        since: Some(-5),
        kinds: vec![AuditKind::Grant, AuditKind::Run],
        after: None,
        before: Some(7),
        most: 1,
    };
    let all = "/v1/audit?lines=1&plugin=a%26b&account=main&since=-5&before=7&kinds=grant,run";
    assert_eq!(request(&query), all);
    let next = request(&AuditQuery { after: Some(0), ..AuditQuery::default() });
    assert_eq!(next, "/v1/audit?lines=0&after=0&wait=true");
}

#[test]
fn whoever_follows_without_older_entries_gets_each_new_one() {
    let audit = Audit { entries: vec![entry("rooms.read", None, None)], ..Audit::default() };
    let follows = typed("audit -n 0 --follow");
    assert_eq!((follows.query(None).most, follows.query(Some(1)).most), (1, 1));
    assert!(follows.to_print(&audit, None).is_empty());
    assert_eq!(follows.to_print(&audit, Some(1)), audit.entries);
    let follows = typed("audit -n 7 --follow");
    assert_eq!((follows.query(None).most, follows.query(Some(1)).most), (7, 7));
    assert_eq!(follows.to_print(&audit, None), audit.entries);
    assert_eq!(typed("audit -n 0").query(None).most, 0);
}

#[test]
fn a_time_is_one_before_now_or_a_date() {
    assert_eq!(since("2026-11-20").unwrap().to_string(), "2026-11-20T00:00:00Z");
    assert_eq!(since("2026-11-20T08:00:00Z").unwrap().to_string(), "2026-11-20T08:00:00Z");
    let today = since("today").unwrap();
    assert_eq!(today, first_of_day(today));
    assert_eq!(first_of_day(since("2026-11-20T08:00:00Z").unwrap()).to_string(), "2026-11-20T00:00:00Z");
    let hour = Timestamp::now().duration_since(since("1h").unwrap()).as_secs();
    assert!((3_590..3_700).contains(&hour), "{hour}");
    for wrong in ["", "yesterday", "2", "-2h", "99999999999999d"] {
        assert!(since(wrong).is_err(), "{wrong}");
    }
    // Each unit that it names is one: `2m` is none.
    let says = since("2m").unwrap_err();
    for named in ["30min", "2h", "7d"] {
        assert!(since(named).is_ok() && says.contains(named), "{says}");
    }
}

/// Otherwise the first line would name a few of the accounts of a change.
#[test]
fn the_first_change_that_is_shown_has_all_of_its_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let account = |number: usize| {
        format!("[account.a{number}]\njid = \"a{number}@example.org\"\npassword_env = \"NONE\"\ngroup = \"shop\"\n")
    };
    let text = format!("[group.shop]\n{}", (1..=18).map(account).collect::<String>());
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let mut config = Config::parse(std::path::Path::new("parlor.toml"), &text, &overrides).unwrap();
    config.data = folder.path().to_owned();
    let of = |number: usize, what: &str| NewAuditEntry {
        account: Some(format!("a{number}")),
        ..NewAuditEntry::new(AuditKind::Setting, &By::user(1_000, "parlor account set"), what)
    };
    let mut all = vec![of(1, "earlier")];
    all.extend((1..=18).map(|number| of(number, "nickname")));
    all.push(of(2, "later"));
    AuditFile::create(&config.data, Retention::default()).unwrap().add(&all).unwrap();
    let shown = |line: &str| {
        let audit = typed(line).fetch(&config, None).unwrap();
        let says = |entry: Entry| format!("{} {}", entry.account.unwrap_or_default(), entry.what);
        audit.entries.into_iter().map(says).collect::<Vec<_>>()
    };
    assert_eq!(shown("audit --group shop -n 2"), ["18 accounts of group shop nickname", "a2 later"]);
    assert_eq!(shown("audit --group shop -n 2 --json"), ["a18 nickname", "a2 later"], "each by itself");
    assert_eq!(shown("audit -n 0"), [""; 0]);
}

/// One change of a large host has an entry for each account, so a few of them are all that is read.
#[test]
fn entries_that_were_not_looked_at_are_told_of() {
    let most = usize::try_from(MOST_ENTRIES).unwrap();
    for (read, left, wanted, is_told) in [
        (most, 2, 100, true),
        (most, 0, 1, true),
        (most, 100, 100, false),
        (most, most, most, false),
        (most - 1, 2, 100, false),
        (0, 0, 100, false),
    ] {
        assert_eq!(older(read, left, wanted).is_some(), is_told, "{read} {left} {wanted}");
    }
    assert!(older(most, 2, 100).unwrap().contains("only the newest 10000 entries"));
}
