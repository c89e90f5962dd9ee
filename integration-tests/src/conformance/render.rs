//! `docs/flows.md` from the results of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Check, Ended, Tier};

/// The table as Markdown: a row for each promise, a column for what it was tested against.
///
/// A cell holds the test's name, how it ended, and against which versions; `—` where no result is known.
pub fn render(results: &[Ended]) -> String {
    let mut text = HEAD.to_owned();
    for subject in subjects(results) {
        let _ = write!(
            text,
            "\n## {subject}\n\n| flow | promise | dev | real | foreign |\n|---|---|---|---|---|\n"
        );
        for (flow, promise) in rows(&subject, results) {
            let of_row = results.iter().filter(|ended| {
                ended.subject == subject && ended.flow == flow && ended.promise == promise
            });
            let cells = [Tier::Dev, Tier::Real, Tier::Foreign]
                .map(|tier| cell(of_row.clone().filter(|ended| ended.tier == tier)));
            let _ = writeln!(text, "| {flow} | {promise} | {} |", cells.join(" | "));
        }
    }
    text + &lacking() + NAMES
}

/// A test a line, with its result and the versions it was run on.
fn cell<'a>(results: impl Iterator<Item = &'a Ended>) -> String {
    let mut tests: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    for ended in results {
        let versions = tests.entry((&ended.test, ended.passed)).or_default();
        versions.insert(&ended.version);
    }
    let shown = tests.into_iter().map(|((test, passed), versions)| {
        let versions: Vec<&str> = versions.into_iter().collect();
        let result = if passed { "passed" } else { "**failed**" };
        format!("`{test}`: {result} ({})", versions.join(", "))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() {
        "—".to_owned()
    } else {
        shown.join("<br>")
    }
}

fn subjects(results: &[Ended]) -> BTreeSet<String> {
    let known = CRATES.iter().copied();
    let tested = results.iter().map(|ended| ended.subject.as_str());
    known.chain(tested).map(str::to_owned).collect()
}

/// Flow by flow: the suite's rows, in its order, then what else was tested. Of a crate that has other promises, only what was tested.
fn rows(subject: &str, results: &[Ended]) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let tested = results
        .iter()
        .filter(|ended| ended.subject == subject)
        .map(|ended| (ended.flow.as_str(), ended.promise.as_str()));
    let suite = Check::ALL.map(|check| (check.flow(), check.text()));
    let suite = suite
        .into_iter()
        .filter(|row| CRATES.contains(&subject) || tested.clone().any(|it| it == *row));
    for (flow, promise) in suite.chain(tested.clone()) {
        let row = (flow.to_owned(), promise.to_owned());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.sort_by_key(|(flow, _)| FLOWS.iter().position(|known| known == flow));
    rows
}

/// What an older broker lacks, so that nothing of it was run there.
fn lacking() -> String {
    let mut text = String::from(
        "\nNot run on 4.9.7, since a broker of 4.x has delay levels only, no exact times:\n\n",
    );
    for check in Check::ALL.into_iter().filter(|check| check.needs_timers()) {
        let _ = writeln!(text, "- {}", check.text());
    }
    text
}

/// Those that are to keep all that the suite promises.
const CRATES: &[&str] = &["mq-rocketmq"];
const FLOWS: &[&str] = &[
    "send, receive",
    "ordered",
    "transactional",
    "scheduled",
    "manage",
];
const NAMES: &str = "\nAMQP has no keys and no tags: what survives there is properties, which are headers. Pulsar has no tags.\n";
const HEAD: &str = "# Flows\n\n\
    Which promise of which crate is tested against what: the dev broker of this workspace (dev), a real broker (real), an official client\n\
    over a real broker, or over the dev broker where no other can be had (foreign). A cell names a test, its last result, and the versions it ran on; `—` means that there is none.\n\n\
    Made from the results of the conformance suite and the interop tests by `cargo run -p integration-tests --bin flows`; not written by\n\
    hand.\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(promise: &str, tier: Tier, version: &str, passed: bool) -> Ended {
        Ended {
            subject: "mq-rocketmq".to_owned(),
            flow: "send, receive".to_owned(),
            promise: promise.to_owned(),
            tier,
            test: "a_test".to_owned(),
            version: version.to_owned(),
            passed,
        }
    }

    #[test]
    fn a_cell_names_test_result_and_versions() {
        let promise = Check::SendReceive.text();
        let text = render(&[
            ended(promise, Tier::Real, "5.5.0", true),
            ended(promise, Tier::Real, "4.9.7", true),
            ended("odd", Tier::Foreign, "5.5.0", false),
        ]);
        let row = "| what is sent arrives, once | — | `a_test`: passed (4.9.7, 5.5.0) | — |";
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("| odd | — | — | `a_test`: **failed** (5.5.0) |"),
            "{text}"
        );
    }

    #[test]
    fn another_crate_has_the_rows_that_were_tested() {
        let mut other = ended(Check::SendReceive.text(), Tier::Dev, "0.1.0", true);
        other.subject = "mq-zero".to_owned();
        let text = render(&[other]);
        let (_, of_other) = text.split_once("## mq-zero").unwrap();
        let rows = of_other.lines().filter(|line| line.starts_with("| send"));
        assert_eq!(rows.count(), 1, "{text}");
    }

    #[test]
    fn what_was_not_tested_is_a_dash() {
        let text = render(&[]);
        assert!(
            text.contains("| send, receive | filter by tag | — | — | — |"),
            "{text}"
        );
        let flows = FLOWS.iter();
        let flows = flows.filter_map(|flow| text.find(&format!("| {flow} |")));
        assert!(
            flows.is_sorted() && text.contains("| scheduled |"),
            "{text}"
        );
        assert!(!text.contains("passed"), "{text}");
    }
}
