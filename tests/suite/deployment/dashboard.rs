//! The dashboard for Grafana shows every figure that the host publishes, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::text;

/// The labels that collectors add.
const ADDED: [&str; 2] = ["instance", "job"];

/// Returns the figures of the host with their labels, from their page. A test of `owner::service` compares the page
/// with what a host serves, and one beside their source finds figures that the page lacks.
pub(crate) fn figures() -> BTreeMap<String, BTreeSet<String>> {
    let page = text("docs/reference/metrics.md");
    let (mut figures, mut of_all): (BTreeMap<String, BTreeSet<String>>, &[&str]) = (BTreeMap::new(), &[]);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            of_all = if title == "Plugins" { &["plugin", "account"] } else { &[] };
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, _, labels, ..] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').filter(|name| name.starts_with("parlor_")) else { continue };
        // Behind a colon are the values of the label.
        let own = labels.split(':').next().unwrap_or_default().split('`').skip(1).step_by(2);
        let labels = own.chain(of_all.iter().copied()).map(str::to_owned).collect();
        figures.insert(name.trim_end_matches('`').to_owned(), labels);
    }
    figures
}

/// Returns the figures that an expression names, each with the labels that it compares.
fn named(expression: &str) -> Vec<(&str, Vec<&str>)> {
    let figures = expression.match_indices("parlor_").map(|(at, _)| {
        let rest = &expression[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let labels = matchers.split(',').map(|one| one.split(['=', '!']).next().unwrap_or_default().trim());
        (name, labels.filter(|label| !label.is_empty()).collect())
    });
    figures.collect()
}

/// Returns the parts of a text between these marks.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Returns what an expression and its legend name and does not exist.
fn faults(expression: &str, legend: &str, figures: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let (mut faults, mut known) = (Vec::new(), BTreeSet::from(ADDED));
    for (name, labels) in named(expression) {
        let Some(own) = figures.get(name) else {
            faults.push(format!("there is no {name}"));
            continue;
        };
        known.extend(own.iter().map(String::as_str));
        let wrong = labels.into_iter().filter(|label| !own.contains(*label) && !ADDED.contains(label));
        faults.extend(wrong.map(|label| format!("{name} has no label {label}")));
    }
    let groups: BTreeSet<_> =
        between(expression, "by (", ")").flat_map(|labels| labels.split(',')).map(str::trim).collect();
    faults.extend(groups.difference(&known).map(|label| format!("nothing has the label {label}")));
    let left = if groups.is_empty() { &known } else { &groups };
    let shown = between(legend, "{{", "}}").map(str::trim).filter(|label| !left.contains(label));
    faults.extend(shown.map(|label| format!("the legend shows {label}, which is not left")));
    faults
}

#[test]
fn the_dashboard_shows_each_figure_by_labels_that_exist() {
    let (dashboard, figures): (Value, _) =
        (serde_json::from_str(&text("dist/grafana/parlor.json")).unwrap(), figures());
    assert!(figures.len() > 30, "{figures:?}");
    let (mut shown, mut found) = (BTreeSet::new(), Vec::new());
    let mut look = |expression: &str, legend: &str| {
        let wrong = faults(expression, legend, &figures);
        found.extend(wrong.into_iter().map(|fault| format!("{expression}: {fault}")));
        shown.extend(named(expression).into_iter().map(|(name, _)| name.to_owned()));
    };
    let (mut ids, mut variables) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24 && at("h") > 0 && at("y") < 1_000, "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            look(target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        variables.insert(variable["name"].as_str().unwrap().to_owned());
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (figure, label) = inner.rsplit_once(", ").unwrap();
        look(figure, &format!("{{{{{label}}}}}"));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(shown, figures.into_keys().collect());
    let used: BTreeSet<_> = shown_variables(&dashboard.to_string());
    assert_eq!(used, variables, "each variable is used, and each that is used exists");
}

/// Returns the dashboard's own variables that a text uses. Grafana's begin with two underscores.
fn shown_variables(text: &str) -> BTreeSet<String> {
    let names = text.split('$').skip(1).map(|rest| {
        let rest = rest.trim_start_matches('{');
        rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap_or_default()
    });
    names.filter(|name| !name.starts_with("__")).map(str::to_owned).collect()
}

#[test]
fn a_figure_or_a_label_that_does_not_exist_is_noticed() {
    let figures = figures();
    let wrong = |expression: &str, legend: &str| faults(expression, legend, &figures);
    assert_eq!(wrong("rate(parlor_plugin_cpu_seconds_total{plugin=~\"a\", job=\"b\"}[5m])", "{{plugin}}"), [""; 0]);
    assert_eq!(wrong("parlor_latency_seconds", ""), ["there is no parlor_latency_seconds"]);
    assert_eq!(wrong("parlor_tasks{plugin=\"a\"}", ""), ["parlor_tasks has no label plugin"]);
    assert_eq!(wrong("sum by (room) (parlor_rooms)", ""), ["nothing has the label room"]);
    assert_eq!(wrong("sum by (state) (parlor_rooms)", "{{account}}"), ["the legend shows account, which is not left"]);
}
