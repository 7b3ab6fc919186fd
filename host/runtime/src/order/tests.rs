//! Tests with small graphs of dependencies written by hand, and with many random ones.

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> PluginId {
    name.parse().unwrap()
}

/// Parses candidates: `a: b, c?` = a needs b, and c optionally; a leading `!` = does not run; `name=id` sets the
/// author's name.
fn candidates(lines: &[&str]) -> Vec<Candidate> {
    let candidate = |line: &&str| {
        let (head, needs) = line.split_once(':').unwrap_or((*line, ""));
        let (head, unusable) =
            head.strip_prefix('!').map_or((head, None), |head| (head, Some("it trapped".to_owned())));
        let (name, own) = head.split_once('=').unwrap_or((head, head));
        let dependencies = needs.split(',').map(str::trim).filter(|need| !need.is_empty()).map(|need| {
            let optional = need.ends_with('?');
            let (need, version) =
                need.trim_end_matches('?').split_once('@').unwrap_or((need.trim_end_matches('?'), "*"));
            (id(need), Dependency { version: version.parse().unwrap(), optional })
        });
        Candidate {
            id: id(own),
            name: id(name),
            version: Version::new(0, 1, 0),
            dependencies: dependencies.collect(),
            unusable,
        }
    };
    lines.iter().map(candidate).collect()
}

fn starts(plan: &Plan) -> Vec<&str> {
    plan.starts.iter().map(|start| start.id.as_str()).collect()
}

fn strict(lines: &[&str]) -> Plan {
    plan(&candidates(lines), Strictness::Strict)
}

fn lenient(lines: &[&str]) -> Plan {
    plan(&candidates(lines), Strictness::Lenient)
}

#[test]
fn dependencies_come_first_and_ids_decide_the_rest() {
    let plan = strict(&["d", "a: c", "c: d", "b"]);
    assert_eq!(starts(&plan), ["b", "d", "c", "a"]);
    assert_eq!(plan.starts[3].after, [id("c")]);
    assert!(plan.refused.is_empty() && plan.starts.iter().all(|start| start.warned.is_empty()));
}

#[test]
fn an_id_counts_before_a_name() {
    let plan = strict(&["a: greeter", "greeter=g", "other=greeter"]);
    assert_eq!(plan.starts.iter().find(|start| start.id == id("a")).unwrap().after, [id("greeter")]);
    let plan = strict(&["a: greeter", "greeter=g"]);
    assert_eq!(plan.starts[1].after, [id("g")]);
    let plan = strict(&["a: greeter", "greeter=g", "greeter=h"]);
    assert!(plan.refused["a"].to_string().contains("is the name of several plugins: g, h"));
}

/// Otherwise the alphabet would decide after a restart which instance of a plugin gets the names of its promises.
#[test]
fn the_instance_that_has_the_name_of_its_plugin_starts_first() {
    let plan = strict(&["greeter=g-main", "greeter", "greeter=g-other"]);
    assert_eq!(starts(&plan), ["greeter", "g-main", "g-other"]);
    assert_eq!(plan.starts[1].after, [id("greeter")]);
    assert!(plan.starts.iter().all(|start| start.warned.is_empty()));
    // It need not run.
    assert_eq!(starts(&strict(&["greeter=g-main", "!greeter"])), ["g-main"]);
    // Dependencies count more, also through further instances.
    assert_eq!(starts(&strict(&["greeter=g-main", "greeter: g-main"])), ["g-main", "greeter"]);
    let circle = strict(&["greeter=g-main", "greeter: a-two", "a=a-two", "a: g-main"]);
    assert_eq!(circle.starts.len(), 4, "{circle:?}");
}

#[test]
fn strict_refuses_along_the_whole_chain() {
    let plan = strict(&["a: b", "b: c", "c: nobody", "d"]);
    assert_eq!(starts(&plan), ["d"]);
    assert_eq!(
        plan.refused["a"].to_string(),
        "it needs b → c → nobody: nobody is not there; add it, or set `strict_plugin_dependencies = false`"
    );
}

#[test]
fn lenient_warns_and_starts() {
    let plan = lenient(&["a: b", "b: nobody"]);
    assert_eq!(starts(&plan), ["b", "a"]);
    assert!(plan.starts[0].warned[0].to_string().starts_with("it needs nobody: nobody is not there"));
    assert!(plan.refused.is_empty());
}

#[test]
fn an_optional_one_never_refuses() {
    let plan = strict(&["a: nobody?", "b: a"]);
    assert_eq!(starts(&plan), ["a", "b"]);
    assert_eq!(plan.starts[0].warned[0].why, Missing::Absent);
}

#[test]
fn a_wrong_version_is_missing_and_so_is_what_failed() {
    let plan = strict(&["a: b@^0.2", "b", "c: d", "!d"]);
    assert_eq!(starts(&plan), ["b"]);
    assert_eq!(plan.refused["a"].to_string(), "it needs b: b is there in version 0.1.0, but ^0.2 is needed");
    assert_eq!(plan.refused["c"].to_string(), "it needs d: d does not run: it trapped");
    assert!(!plan.refused.contains_key("d"));
}

fn circle(plan: &Plan, id: &str) -> String {
    let sentence = plan.refused[id].to_string();
    let chain = sentence.strip_prefix("its dependencies form a circle: ").unwrap();
    chain.strip_suffix("; take one of them out of plugins.toml").unwrap().to_owned()
}

#[test]
fn a_circle_is_refused_with_its_chain_strict_or_not() {
    for plan in [strict(&["a: b", "b: c", "c: a", "x"]), lenient(&["a: b", "b: c", "c: a", "x"])] {
        assert_eq!(starts(&plan), ["x"]);
        assert_eq!(circle(&plan, "b"), "b → c → a → b");
        assert_eq!(plan.refused.len(), 3);
    }
    assert_eq!(circle(&lenient(&["a: a"]), "a"), "a → a");
}

#[test]
fn what_needs_a_circle_is_refused_only_when_strict() {
    let lines = ["a: b", "b: b"];
    assert_eq!(strict(&lines).refused["a"].to_string(), "it needs b: b waits for itself");
    assert_eq!(starts(&lenient(&lines)), ["a"]);
}

#[test]
fn an_optional_dependency_gives_way_to_a_circle() {
    let plan = strict(&["a: b?", "b: a"]);
    assert_eq!(starts(&plan), ["a", "b"]);
    assert_eq!(plan.starts[0].warned[0].to_string(), "it needs b: b waits for this one itself; it starts without");
    assert_eq!(starts(&strict(&["a: b?", "b: a?"])), ["a", "b"]);
    assert_eq!(starts(&strict(&["a: a?"])), ["a"]);
}

#[test]
fn a_long_chain_takes_neither_stack_nor_long() {
    let lines: Vec<String> = (0..1000).map(|n| format!("p{n:03}: p{:03}", n + 1)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(strict(&lines).refused.len(), 1000);
    assert_eq!(lenient(&lines).starts.len(), 1000);
}

fn graphs() -> impl Strategy<Value = Vec<Candidate>> {
    let needs = prop::collection::btree_map(0_usize..9, any::<bool>(), 0..4);
    prop::collection::vec((needs, prop::bool::weighted(0.1)), 1..8).prop_map(|plugins| {
        let candidate = |(index, (needs, failed)): (usize, (BTreeMap<usize, bool>, bool))| Candidate {
            id: id(&format!("p{index}")),
            name: id(&format!("n{index}")),
            version: Version::new(0, 1, 0),
            dependencies: needs
                .into_iter()
                .map(|(target, optional)| {
                    let name = if target % 2 == 0 { format!("p{target}") } else { format!("n{target}") };
                    (id(&name), Dependency { version: "*".parse().unwrap(), optional })
                })
                .collect(),
            unusable: failed.then(|| "failed".to_owned()),
        };
        plugins.into_iter().enumerate().map(candidate).collect()
    })
}

/// Returns the index of the plugin that a generated name refers to.
fn index(name: &PluginId) -> usize {
    name.as_str()[1..].parse().unwrap()
}

/// Determines by brute force whether a plugin reaches itself through dependencies that are not optional.
fn in_a_circle(candidates: &[Candidate], start: usize) -> bool {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        if candidates[at].unusable.is_some() {
            continue;
        }
        for (name, wanted) in &candidates[at].dependencies {
            let target = index(name);
            if !wanted.optional
                && target < candidates.len()
                && candidates[target].unusable.is_none()
                && reached.insert(target)
            {
                open.push(target);
            }
        }
    }
    reached.contains(&start)
}

proptest! {
    #[test]
    fn the_plan_keeps_its_promises(candidates in graphs(), lenient: bool) {
        let strictness = if lenient { Strictness::Lenient } else { Strictness::Strict };
        let made = plan(&candidates, strictness);
        let position = |target: usize| made.starts.iter().position(|start| index(&start.id) == target);
        for (at, candidate) in candidates.iter().enumerate() {
            let refused = made.refused.get(&candidate.id);
            // Each usable plugin is either started or refused, once.
            let count = made.starts.iter().filter(|start| start.id == candidate.id).count() + usize::from(refused.is_some());
            prop_assert_eq!(count, usize::from(candidate.unusable.is_none()));
            // Cycles are always found, and nothing else is reported as one.
            prop_assert_eq!(matches!(refused, Some(Refused::Cycle { .. })), candidate.unusable.is_none() && in_a_circle(&candidates, at));
            if lenient {
                prop_assert!(!matches!(refused, Some(Refused::Missing { .. })), "lenient, but refused");
            }
            let Some(here) = position(at) else { continue };
            let start = &made.starts[here];
            for (name, wanted) in &candidate.dependencies {
                // No plugin starts before its dependency, and each one that it starts without was warned about.
                if let Some(there) = position(index(name)).filter(|there| *there < here) {
                    let gave_way = start.warned.iter().any(|warned| warned.why == Missing::Mutual);
                    prop_assert!(gave_way || start.after.contains(&made.starts[there].id));
                } else {
                    prop_assert!(lenient || wanted.optional);
                    prop_assert!(!start.warned.is_empty());
                }
            }
        }
        // The order of the candidates does not matter.
        let mut turned = candidates;
        turned.reverse();
        prop_assert_eq!(plan(&turned, strictness), made);
    }
}
