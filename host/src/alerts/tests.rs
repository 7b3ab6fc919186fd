//! The alerts: when they are due, and for whom.

use parlor_config::Overrides;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::host::tests::component::Stream;

fn name(name: &str) -> AccountName {
    name.parse().unwrap()
}

#[test]
fn owners_are_told_once_that_an_account_is_away_for_long_and_that_it_is_back() {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let mut look = |seconds: u64, state: Connection| {
        let alerts = seen.accounts(vec![(name("main"), state)], begin + Duration::from_secs(seconds));
        alerts.into_iter().map(|(_, alert)| alert.text).collect::<Vec<_>>()
    };
    let away = || Connection::Retrying("no route".to_owned());
    let back = || Connection::Connected("bot@example.org/parlor".parse().unwrap());
    assert!(look(0, back()).is_empty());
    assert!(look(30, away()).is_empty() && look(60, back()).is_empty(), "a short cut is no news");
    assert!(look(90, away()).is_empty());
    assert!(look(389, away()).is_empty());
    let told = look(390, away());
    assert!(told.len() == 1 && told[0].contains("no route") && told[0].contains("main"), "{told:?}");
    assert!(look(420, away()).is_empty());
    assert!(look(450, Connection::Connecting).is_empty());
    assert_eq!(look(690, back()), ["account main is connected again, after 10 minutes (no route)"]);
    assert!(look(700, back()).is_empty());
}

fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    std::fs::write(&path, text).unwrap();
    for file in ["web.pem", "web.key"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    Config::load(&path, &Overrides { environment: |_| None, ..Overrides::default() }).unwrap()
}

fn account(name: &str, owners: &str) -> String {
    format!("[account.{name}]\njid = \"{name}@example.org\"\npassword_env = \"NONE\"\nowners = [{owners}]\n")
}

const ANN: &str = "\"ann@example.org\"";
const BOTH: &str = "\"ann@example.org\", \"bob@example.org\"";

/// Accounts of one host may be of people who do not trust each other.
#[test]
fn nobody_but_owners_of_an_account_is_told_of_it_by_another_one() {
    let bob = "\"bob@example.org\"";
    // The account `self` could only write to itself.
    let text = [("hers", ANN), ("his", bob), ("theirs", BOTH), ("none", ""), ("self", "\"self@example.org\"")];
    let config = config(&text.map(|(name, owners)| account(name, owners)).concat());
    let of = |about: &str| messengers(&config, &name(about)).into_iter().map(AccountName::as_str).collect::<Vec<_>>();
    assert_eq!(of("hers"), ["hers"]);
    assert_eq!(of("his"), ["his"]);
    assert_eq!(of("theirs"), ["theirs", "hers", "his"]);
    assert!(of("none").is_empty() && of("self").is_empty());
}

#[test]
fn the_certificate_of_the_host_is_for_those_who_own_all_accounts() {
    let web = "[web]\ncertificate = \"web.pem\"\ncertificate_key = \"web.key\"\n";
    let told = |accounts: &[(&str, &str)]| {
        let text = accounts.iter().map(|(name, owners)| account(name, owners)).collect::<String>() + web;
        let files = files(&config(&text));
        assert!(files.len() == 1 && files[0].1.ends_with("web.pem"), "{files:?}");
        files[0].0.as_ref().map(ToString::to_string)
    };
    assert_eq!(told(&[("a", BOTH), ("b", ANN)]).as_deref(), Some("b"));
    assert_eq!(told(&[("a", ANN), ("b", "")]), None);
}

#[test]
fn alerts_of_one_account_that_wait_take_no_place_of_others() {
    let alert = |account: &str, number: usize| {
        let (kind, text) = (AlertKind::Kicked, number.to_string());
        (name(account), Alert { kind, about: "hall".to_owned(), text })
    };
    let many = (0..50).map(|number| alert("loud", number));
    let left = newest([alert("calm", 1)].into_iter().chain(many).collect());
    let left: Vec<_> = left.iter().map(|(about, alert)| (about.as_str(), alert.text.as_str())).collect();
    assert_eq!((left.len(), left[0], left[1], left[16]), (17, ("calm", "1"), ("loud", "34"), ("loud", "49")));
    let all = (0..2_000).map(|number| alert(&format!("a{number}"), number)).collect();
    assert_eq!(newest(all).len(), MOST_WAITING_IN_ALL);
}

#[test]
fn what_is_so_on_many_accounts_is_one_message_for_the_same_owners() {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let mut look = |seconds: u64, state: Connection| {
        let states = (0..30).map(|number| (name(&format!("a{number:02}")), state.clone()));
        let alerts = seen.accounts(states.collect(), begin + Duration::from_secs(seconds));
        // Two of them have another owner.
        let owners = |account: &AccountName| {
            let owner = if account.as_str() < "a02" { "ann@example.org" } else { "bob@example.org" };
            vec![owner.parse::<BareJid>().unwrap()]
        };
        together(alerts, owners)
    };
    let away = || Connection::Retrying("no route".to_owned());
    assert!(look(0, away()).is_empty());
    let told = look(300, away());
    let texts: Vec<_> = told.iter().map(|(account, alert)| (account.as_str(), alert.text.as_str())).collect();
    let [(first, of_ann), (second, of_bob)] = texts[..] else { panic!("{texts:?}") };
    assert!(first == "a00" && of_ann.ends_with("; the same holds for 1 more on this host: a01"), "{of_ann}");
    assert!(second == "a02" && of_bob.contains("account a02 is not connected for more than 5 minutes"), "{of_bob}");
    assert!(
        of_bob.contains("; the same holds for 27 more on this host: a03, ") && of_bob.ends_with(", a12 and 17 others")
    );
    assert_eq!(look(360, Connection::Connected("bot@example.org/parlor".parse().unwrap())).len(), 2);
    // A plugin on both, and another one.
    let quarantined = |about: &str, text: &str| Alert {
        kind: AlertKind::Quarantined,
        about: about.to_owned(),
        text: text.to_owned(),
    };
    let alerts = ["a", "ab", "b"].map(|account| (name(account), quarantined("abc", "abc is bad")));
    let other = (name("a"), quarantined("bc", "bc is bad"));
    let told = together(alerts.into_iter().chain([other]).collect(), |_| Vec::new());
    let texts: Vec<_> = told.iter().map(|(_, alert)| alert.text.as_str()).collect();
    assert_eq!(texts, ["abc is bad; the same holds for 2 more on this host: ab, b", "bc is bad"]);
    // Of the same subject, nothing is sent for an hour: what holds for others, too, is another one.
    let subjects: Vec<_> = told.iter().map(|(_, alert)| alert.about.as_str()).collect();
    assert_eq!(subjects, ["abc; the same holds for 2 more on this host: ab, b", "bc"]);
}

fn plugin(state: State, denials: u64) -> PluginHealth {
    PluginHealth { id: "guard".parse().unwrap(), account: name("main"), state, denials }
}

/// Returns the texts about these plugins, as seen so many minutes after the first look.
fn seen_at(seen: &mut Seen, begin: Instant, minutes: u64, all: &[PluginHealth]) -> Vec<String> {
    let alerts = seen.plugins(all, begin + Duration::from_mins(minutes));
    alerts.into_iter().map(|(_, alert)| alert.text).collect()
}

#[test]
fn owners_are_told_once_that_a_plugin_is_quarantined_and_again_if_that_comes_again() {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let bad = || [plugin(State::Quarantined("it trapped \u{1b}[2J".to_owned()), 0)];
    let mut look = |minutes, all: &[PluginHealth]| seen_at(&mut seen, begin, minutes, all);
    assert!(look(0, &[plugin(State::Running, 0)]).is_empty());
    let told = look(1, &bad());
    assert!(told.len() == 1 && told[0].starts_with("plugin guard is quarantined"), "{told:?}");
    assert!(told[0].contains("`parlor plugin restart guard`") && !told[0].contains('\u{1b}'), "{told:?}");
    assert!(look(2, &bad()).is_empty());
    assert!(look(3, &[plugin(State::Running, 0)]).is_empty());
    assert_eq!(look(4, &bad()).len(), 1);
}

#[test]
fn owners_are_told_of_a_hundred_denied_calls_in_any_hour_and_once_in_it() {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let mut look = |minutes, denials| seen_at(&mut seen, begin, minutes, &[plugin(State::Running, denials)]);
    // They lie before and after a full hour since the first look.
    assert!(look(0, 0).is_empty() && look(50, 60).is_empty());
    assert_eq!(look(70, 110), ["plugin guard was denied 110 calls within an hour; `parlor explain guard` says which"]);
    // It goes on, and nothing is said of it for an hour.
    assert!((71..130).all(|minute| look(minute, 110 + minute * 1_000).is_empty()));
    assert_eq!(look(130, 131_000).len(), 1);
    // A few now and then are usual.
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let mut look = |minutes, denials| seen_at(&mut seen, begin, minutes, &[plugin(State::Running, denials)]);
    assert!((0..600).all(|minute| look(minute, minute).is_empty()));
}

#[test]
fn denied_calls_are_counted_over_another_instance_and_a_new_record() {
    let (mut seen, begin) = (Seen::default(), Instant::now());
    let mut look = |minutes, all: &[PluginHealth]| seen_at(&mut seen, begin, minutes, all);
    let one = |denials| plugin(State::Running, denials);
    assert!(look(0, &[one(90)]).is_empty());
    // While it is replaced it is listed twice, then not at all, and then with the record that it had.
    let leaving = plugin(State::Stopping, 80);
    assert!(look(1, &[one(90), leaving.clone()]).is_empty() && look(2, &[leaving, one(90)]).is_empty());
    assert!(look(3, &[]).is_empty() && look(4, &[]).is_empty());
    assert!(look(5, &[one(90)]).is_empty());
    // One that fails after every few calls begins a new record each time.
    assert!(look(6, &[one(9)]).is_empty());
    assert_eq!(look(7, &[one(10)]).len(), 1);
}

#[test]
fn a_certificate_is_news_two_weeks_before_its_end_and_behind_it() {
    let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
    let says = |end: &str| {
        let alert = ending(Path::new("a\n.pem"), end.parse().unwrap(), now)?;
        assert_eq!(alert.kind, AlertKind::Certificate);
        Some(alert.text)
    };
    assert_eq!(says("2026-12-04T08:00:00Z"), None);
    assert_eq!(says("2099-01-01T00:00:00Z"), None);
    let soon = says("2026-12-04T07:59:59Z").unwrap();
    assert!(soon.contains(" ends on 2026-12-04T07:59:59Z: renew it") && !soon.contains('\n'), "{soon}");
    assert!(says("2026-11-20T07:59:59Z").unwrap().contains(" has ended on "));
}

/// The account that is connected is the address of a component, whose server is this test. Nothing listens for the other one.
#[tokio::test]
async fn an_owner_gets_a_message_about_an_account_that_is_away_from_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let at = listener.local_addr().unwrap();
    let text = format!(
        "[settings]\nping_interval = 0\n\
         [component.bots]\ndomain = \"bots.example.org\"\nserver = \"{at}\"\npassword_file = \"secret\"\n\
         [account.main]\njid = \"main@bots.example.org\"\ncomponent = \"bots\"\nowners = [{ANN}]\n\
         [account.lost]\njid = \"lost@example.org\"\nserver = \"{nobody}\"\npassword_file = \"secret\"\nowners = [{ANN}]\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("secret"), "test\n").unwrap();
    let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
    let config = Config::load(&path, &overrides).unwrap();
    let start = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller());
    let (host, mut stream) = tokio::join!(start, Stream::accept(&listener));
    let host = host.unwrap();
    for account in host.accounts() {
        let mut connection = account.connection();
        let is_settled = |state: &Connection| matches!(state, Connection::Connected(_) | Connection::Retrying(_));
        connection.wait_for(is_settled).await.unwrap();
    }

    let says = format!("account lost is not connected for more than 5 minutes: {nobody} refuses connections");
    let mut looks = 0;
    let told = async {
        while !stream.read.contains(&says) {
            // Everything goes on for a moment, and then the clock is set forward to the next look.
            let is_quiet = timeout(Duration::from_millis(20), stream.more()).await.is_err();
            if is_quiet {
                tokio::time::pause();
                tokio::time::advance(LOOK).await;
                tokio::time::resume();
                looks += 1;
            }
            assert!(looks < 100, "nobody was told: {}", stream.read);
        }
    };
    tokio::select! {
        biased;
        () = told => {}
        () = Box::pin(watch(&host)) => panic!("it goes on for ever"),
    }
    assert!(looks >= 10, "five minutes were over after {looks} looks");
    assert!(
        stream.read.contains("parlor, account main: ") && stream.read.contains("ann@example.org"),
        "{}",
        stream.read
    );
    let closes = async move {
        stream.until("</stream:stream>").await;
    };
    tokio::join!(host.stop(), closes);
}
