//! Tests of several changes together, of numbers, and of ranges.

use proptest::sample::select;

use super::*;
use crate::Addition;

const HOUR: i64 = 3_600_000;
/// So small that some changes of the property test exceed it.
const QUOTA: u64 = 700;

fn set(key: &str, value: &[u8]) -> Step {
    Step::Set { key: key.to_owned(), value: value.to_vec(), expires: None }
}

fn add(key: &str, amount: i64) -> Step {
    Step::Add(Addition { key: key.to_owned(), amount, expires: None })
}

fn delete(key: &str) -> Step {
    Step::Delete(key.to_owned())
}

fn expect(key: &str, value: Option<&[u8]>) -> Step {
    Step::Expect { key: key.to_owned(), value: value.map(<[u8]>::to_vec) }
}

async fn change(data: &PluginData, steps: &[Step]) -> Changed {
    data.change(owner("a"), 1_000, steps.to_vec(), None).await.unwrap()
}

/// Returns all entries of a range, which are read page by page.
async fn range(data: &PluginData, range: PageOf) -> Vec<(String, Vec<u8>)> {
    let (mut all, mut asked) = (Vec::new(), range);
    loop {
        let page = data.entries(owner("a"), asked.clone()).await.unwrap();
        assert!(page.found.len() <= asked.most);
        all.extend(page.found);
        match page.next {
            None => return all,
            next => asked.after = next,
        }
    }
}

async fn all(data: &PluginData) -> Vec<(String, Vec<u8>)> {
    range(data, first(100)).await
}

#[tokio::test]
async fn several_changes_are_made_together() {
    let (_store, data) = data();
    assert_eq!(change(&data, &[set("a", b"1"), set("b", b"x")]).await, Changed::Made(vec![]));
    let steps = [expect("a", Some(b"1")), add("a", 2), add("n", -3), delete("b"), delete("none"), set("c", b"y")];
    assert_eq!(change(&data, &steps).await, Changed::Made(vec![3, -3]));
    let expected =
        [("a", "3"), ("c", "y"), ("n", "-3")].map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(all(&data).await, expected);
    let (kept, noted) = kept_and_noted(&data).await;
    assert_eq!(kept, noted);
}

/// The refused one comes last, so that the others would have been made before.
#[tokio::test]
async fn if_one_of_several_changes_is_refused_none_is_made() {
    let (_store, data) = data();
    let long = [0; 400];
    change(&data, &[set("text", b"x"), set("most", i64::MAX.to_string().as_bytes()), set("long", &long)]).await;
    let before = (all(&data).await, kept_and_noted(&data).await);
    let made = [set("new", b"1"), delete("long"), add("count", 1)];
    for (last, expected) in [
        (expect("text", Some(b"y")), Changed::Otherwise),
        (expect("text", Some(b"xx")), Changed::Otherwise),
        (expect("text", Some(b"")), Changed::Otherwise),
        (expect("text", None), Changed::Otherwise),
        (expect("none", Some(b"")), Changed::Otherwise),
        (add("text", 1), Changed::NoNumber("text".to_owned())),
        (add("most", 1), Changed::NoSum("most".to_owned())),
        (set("longer", &[0; 900]), Changed::TooMuch),
    ] {
        let steps: Vec<_> = made.iter().cloned().chain([last]).collect();
        assert_eq!(change(&data, &steps).await, expected, "{steps:?}");
        assert_eq!((all(&data).await, kept_and_noted(&data).await), before, "{steps:?}");
    }
    // A value that is too long for a number is not even read.
    assert_eq!(change(&data, &[add("long", 1)]).await, Changed::NoNumber("long".to_owned()));
}

#[tokio::test]
async fn the_quota_is_checked_on_the_final_sum() {
    let (_store, data) = data();
    assert_eq!(change(&data, &[set("a", &[0; 900])]).await, Changed::Made(vec![]));
    assert_eq!(change(&data, &[set("b", &[0; 900])]).await, Changed::TooMuch);
    assert_eq!(change(&data, &[set("b", &[0; 900]), delete("a")]).await, Changed::Made(vec![]));
    assert_eq!(change(&data, &[add("n", 1)]).await, Changed::TooMuch);
    // Each of them takes less than the present value.
    assert_eq!(change(&data, &[set("b", b""), set("c", &[0; 400]), set("d", &[0; 500])]).await, Changed::TooMuch);
    // A change that does not increase the size may exceed a lowered quota.
    let lowered = data.change(owner("a"), 10, vec![set("b", &[1; 900])], None).await.unwrap();
    assert_eq!(lowered, Changed::Made(vec![]));
}

#[tokio::test]
async fn what_has_expired_makes_room_for_several_changes_but_not_what_they_change() {
    let (_store, data) = data();
    let gone = |key: &str, length| Step::Set { key: key.to_owned(), value: vec![0; length], expires: Some(now() - 1) };
    assert_eq!(change(&data, &[gone("a", 200), gone("b", 200), gone("c", 200)]).await, Changed::Made(vec![]));
    assert_eq!(change(&data, &[set("a", &[1; 400]), set("d", &[1; 300])]).await, Changed::Made(vec![]));
    let keys: Vec<_> = all(&data).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "d"]);
    let (kept, noted) = kept_and_noted(&data).await;
    assert_eq!((kept, kept <= 1_000), (noted, true));
}

#[tokio::test]
async fn a_sum_expires_when_the_number_would_have_unless_it_says_otherwise() {
    let (_store, data) = data();
    let until = |expires: i64| Step::Set { key: "n".to_owned(), value: b"5".to_vec(), expires: Some(expires) };
    let expiry = async || {
        let read = |file: &Connection| file.query_row("SELECT expires FROM plugin_data", [], |row| row.get(0));
        let found: Option<i64> = data.read(Lane::Host, read).await.unwrap();
        found
    };
    let later = now() + HOUR;
    change(&data, &[until(later)]).await;
    assert_eq!(change(&data, &[add("n", 1)]).await, Changed::Made(vec![6]));
    assert_eq!(expiry().await, Some(later));
    let other = Step::Add(Addition { key: "n".to_owned(), amount: 1, expires: Some(later + 1) });
    assert_eq!(change(&data, &[other]).await, Changed::Made(vec![7]));
    assert_eq!(expiry().await, Some(later + 1));
    // A number that has expired counts as 0, and its expiry is over.
    change(&data, &[until(now() - 1)]).await;
    assert_eq!(change(&data, &[add("n", 1)]).await, Changed::Made(vec![1]));
    assert_eq!(expiry().await, None);
}

#[tokio::test]
async fn concurrent_additions_lose_nothing() {
    let (_store, data) = data();
    let sums = join_all((0..100).map(async |_| change(&data, &[add("n", 1)]).await)).await;
    assert_eq!(sums.into_iter().filter(|sum| *sum == Changed::Made(vec![100])).count(), 1);
    assert_eq!(get(&data, "n").await.as_deref(), Some(&b"100"[..]));
}

/// A prefix, the first key, the key after the last one, and the result.
type Case = (&'static str, Option<&'static str>, Option<&'static str>, &'static [&'static str]);

#[tokio::test]
async fn a_range_ends_where_it_says_in_both_orders() {
    let (_store, data) = data();
    for key in ["a", "p/", "p/1", "p/2", "p/3", "p0", "\u{10ffff}", "\u{10ffff}x"] {
        write(&data, put(key, key.as_bytes())).await;
    }
    let keys = async |prefix: &str, from: Option<&str>, to: Option<&str>, descending: bool| {
        let owned = |one: Option<&str>| one.map(str::to_owned);
        let page =
            PageOf { prefix: prefix.to_owned(), from: owned(from), to: owned(to), descending, after: None, most: 2 };
        range(&data, page).await.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let cases: [Case; 10] = [
        ("p/", None, None, &["p/", "p/1", "p/2", "p/3"]),
        ("p/", Some("p/1"), Some("p/3"), &["p/1", "p/2"]),
        ("p/", Some("p/1"), Some("p/1"), &[]),
        ("p/", Some("p/3"), Some("p/1"), &[]),
        ("p/", Some("a"), Some("z"), &["p/", "p/1", "p/2", "p/3"]),
        ("p/", Some("p0"), None, &[]),
        ("", None, Some("p"), &["a"]),
        ("", Some("p/25"), None, &["p/3", "p0", "\u{10ffff}", "\u{10ffff}x"]),
        ("\u{10ffff}", None, None, &["\u{10ffff}", "\u{10ffff}x"]),
        ("q", None, None, &[]),
    ];
    for (prefix, from, to, expected) in cases {
        assert_eq!(keys(prefix, from, to, false).await, expected, "{prefix} {from:?} {to:?}");
        let backwards: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(keys(prefix, from, to, true).await, backwards, "{prefix} {from:?} {to:?}, the last one first");
    }
}

/// The state that the store should have: live entries with their expiry.
type Model = BTreeMap<String, (Vec<u8>, Option<i64>)>;

/// Makes the changes in the model, if they are allowed.
fn expected(model: &mut Model, steps: &[Step]) -> Changed {
    for step in steps {
        if let Step::Expect { key, value } = step
            && model.get(key).map(|(value, _)| value) != value.as_ref()
        {
            return Changed::Otherwise;
        }
    }
    let (mut after, mut sums) = (model.clone(), Vec::new());
    for step in steps {
        match step {
            Step::Expect { .. } => {}
            Step::Set { key, value, expires } => _ = after.insert(key.clone(), (value.clone(), *expires)),
            Step::Delete(key) => _ = after.remove(key),
            Step::Add(Addition { key, amount, expires }) => {
                let (digits, before) = after.get(key).cloned().unwrap_or_else(|| (b"0".to_vec(), None));
                let Some(number) = String::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok()) else {
                    return Changed::NoNumber(key.clone());
                };
                let Some(sum) = number.checked_add(*amount) else { return Changed::NoSum(key.clone()) };
                after.insert(key.clone(), (sum.to_string().into_bytes(), expires.or(before)));
                sums.push(sum);
            }
        }
    }
    let bytes: i64 = after.iter().map(|(key, (value, _))| weight_of(key, value.len() as u64)).sum();
    if bytes > i64::try_from(QUOTA).unwrap() {
        return Changed::TooMuch;
    }
    after.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > now()));
    *model = after;
    Changed::Made(sums)
}

fn some_step() -> impl Strategy<Value = Step> {
    let key = select(vec!["a", "a/1", "a/2", "b", "\u{e4}", "\u{10ffff}"]).prop_map(str::to_owned);
    let value = prop_oneof![
        (0..300_usize).prop_map(|length| vec![b'x'; length]),
        (-1..3_i64).prop_map(|number| number.to_string().into_bytes()),
        Just(i64::MAX.to_string().into_bytes()),
    ];
    let hours = prop::option::of(select(vec![-1_i64, 1]));
    let expires = hours.prop_map(|hours| hours.map(|hours| now() + hours * HOUR));
    let set = (key.clone(), value.clone(), expires.clone());
    let add = (key.clone(), -2..3_i64, expires);
    prop_oneof![
        3 => set.prop_map(|(key, value, expires)| Step::Set { key, value, expires }),
        3 => add.prop_map(|(key, amount, expires)| Step::Add(Addition { key, amount, expires })),
        1 => key.clone().prop_map(Step::Delete),
        1 => (key, prop::option::of(value)).prop_map(|(key, value)| Step::Expect { key, value }),
    ]
}

fn some_range() -> impl Strategy<Value = PageOf> {
    let bound = || prop::option::of(select(vec!["a", "a/1", "a/15", "b", "z", "\u{e4}"]).prop_map(str::to_owned));
    let prefix = select(vec!["", "a", "a/", "b", "\u{10ffff}"]).prop_map(str::to_owned);
    (prefix, bound(), bound(), any::<bool>(), 1..4_usize).prop_map(|(prefix, from, to, descending, most)| PageOf {
        prefix,
        from,
        to,
        descending,
        after: None,
        most,
    })
}

/// Returns the entries of the range that the model has, in its order.
fn expected_range(model: &Model, range: &PageOf) -> Vec<(String, Vec<u8>)> {
    let is_in = |key: &String| {
        key.starts_with(&range.prefix)
            && range.from.as_ref().is_none_or(|from| key >= from)
            && range.to.as_ref().is_none_or(|to| key < to)
    };
    let mut all: Vec<_> =
        model.iter().filter(|(key, _)| is_in(key)).map(|(key, (value, _))| (key.clone(), value.clone())).collect();
    if range.descending {
        all.reverse();
    }
    all
}

proptest! {
    /// After any sequence of changes, the store has the entries of a model, and returns the same ranges of them.
    #[test]
    fn changes_and_ranges_are_those_of_a_model(
        turns in prop::collection::vec((prop::collection::vec(some_step(), 1..5), some_range()), 1..20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_store, data) = data();
            let mut model = Model::new();
            for (mut steps, asked) in turns {
                let mut seen = BTreeSet::new();
                steps.retain(|step| seen.insert((matches!(step, Step::Expect { .. }), step.key().to_owned())));
                let changed = data.change(owner("a"), QUOTA, steps.clone(), None).await.unwrap();
                assert_eq!(changed, expected(&mut model, &steps), "{steps:?}");
                assert_eq!(range(&data, asked.clone()).await, expected_range(&model, &asked), "{asked:?}");
            }
            assert_eq!(all(&data).await, expected_range(&model, &first(1)));
            let (kept, noted) = kept_and_noted(&data).await;
            assert_eq!(kept, noted);
        });
    }
}
