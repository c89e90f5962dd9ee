//! The examples, and what their README says that they print.
//!
//! ```text
//!  examples/README.md ─► sections ─► masked ─┐
//!                                            ├─► the same, or a difference to read (MQ_UPDATE=1: the README is rewritten)
//!  every example, run ─► output ──► masked ──┘
//! ```
//!
//! What differs from run to run is masked by the one table in `mask.rs`. Lines are compared in their order, but for those of which the
//! section itself says that they come in any: "lines that begin with `received` come in any order".

mod difference;
mod mask;
mod running;

use std::ops::Range;

use difference::difference;
pub use mask::masked;
pub use running::{Built, is_update};

/// What the README says about an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The example's name, as cargo has it.
    pub name: String,
    /// Its source, from `examples/`.
    pub source: String,
    /// How lines begin that come in any order.
    pub open: Vec<String>,
    /// What is printed, line by line.
    pub printed: Vec<String>,
    /// Where in the README that stands.
    lines: Range<usize>,
}

/// Brokers that an example needs beside the shared ones, or instead of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Those that all tests share, of any version.
    Shared,
    /// Those, but not of 4.9.7: why.
    Shared5(&'static str),
    /// Brokers with access control.
    Acl,
    /// Brokers with TLS.
    Tls,
    /// A CMQ dev server that may push to this machine.
    Cmq,
    /// RabbitMQ, with TLS.
    Amqp,
    /// Pulsar.
    Pulsar,
    /// Pulsar with tokens and TLS.
    PulsarAuth,
}

/// Which examples need more than the shared brokers.
pub const NEEDS: &[(&str, Needs)] = &[
    ("rocketmq_acl", Needs::Acl),
    ("rocketmq_tls", Needs::Tls),
    ("pulsar_tls_token", Needs::PulsarAuth),
    (
        "rocketmq_scheduled",
        Needs::Shared5("it has no exact times: the example prints two errors"),
    ),
    (
        "rocketmq_cancel",
        Needs::Shared5("it has no exact times: there is nothing to cancel"),
    ),
];

/// What an example needs.
pub fn needs(name: &str) -> Needs {
    if name.starts_with("cmq_") {
        return Needs::Cmq;
    }
    if name.starts_with("amqp_") {
        return Needs::Amqp;
    }
    let shared = if name.starts_with("pulsar_") {
        Needs::Pulsar
    } else {
        Needs::Shared
    };
    let found = NEEDS.iter().find(|(known, _)| *known == name);
    found.map_or(shared, |(_, needs)| *needs)
}

/// Reads a README with a section for each example: `` ## [`name`](source) ``, and what is printed in a block of `text`.
///
/// # Errors
///
/// Which section has not exactly one such block.
pub fn sections(readme: &str) -> Result<Vec<Section>, String> {
    let lines: Vec<_> = readme.lines().collect();
    let mut headings: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| heading(line).map(|heading| (at, heading)))
        .collect();
    headings.push((lines.len(), ("", "")));
    let pairs = headings.iter().zip(headings.iter().skip(1));
    let sections = pairs.map(|((from, (name, source)), (to, _))| {
        let inside = lines.get(*from..*to).unwrap_or_default();
        let block = block(inside).map_err(|why| format!("{name}: {why}"))?;
        let printed = inside.get(block.clone()).unwrap_or_default();
        Ok(Section {
            name: (*name).to_owned(),
            source: (*source).to_owned(),
            open: open(&inside.join(" ")),
            printed: printed.iter().map(|line| (*line).to_owned()).collect(),
            lines: from + block.start..from + block.end,
        })
    });
    sections.collect()
}

fn heading(line: &str) -> Option<(&str, &str)> {
    let (name, source) = line.strip_prefix("## [`")?.split_once("`](")?;
    Some((name, source.strip_suffix(')')?))
}

/// The lines between the fences of the one block of what is printed.
fn block(lines: &[&str]) -> Result<Range<usize>, String> {
    let mut starts = lines.iter().enumerate().filter(|(_, line)| **line == FENCE);
    let (Some((start, _)), None) = (starts.next(), starts.next()) else {
        return Err(format!("not exactly one block of {FENCE}"));
    };
    let rest = lines.iter().skip(start + 1);
    let length = rest.take_while(|line| **line != "```").count();
    Ok(start + 1..start + 1 + length)
}

/// The beginnings that stand between "lines that begin with" and "come in any order".
fn open(text: &str) -> Vec<String> {
    let parts = text.split("ines that begin with ").skip(1);
    let named = parts.filter_map(|part| part.split_once(" come in any order"));
    named
        .flat_map(|(names, _)| names.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

impl Section {
    /// Compares what was printed with what the README says.
    ///
    /// # Errors
    ///
    /// The difference, line by line, masked.
    pub fn compare(&self, output: &str) -> Result<(), String> {
        let said = self.normal(self.printed.iter().map(String::as_str));
        let printed = self.normal(output.lines());
        if said == printed {
            return Ok(());
        }
        Err(format!(
            "{} prints something else than examples/README.md says (-: the README, +: printed; masked):\n{}",
            self.name,
            difference(&said, &printed)
        ))
    }

    /// Masked, and sorted where the order is open.
    fn normal<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut lines: Vec<_> = lines.map(|line| masked(line.trim_end())).collect();
        let is_open = |line: &String| self.open.iter().any(|begin| line.starts_with(begin));
        for run in lines.chunk_by_mut(|one, next| is_open(one) && is_open(next)) {
            run.sort_unstable();
        }
        lines
    }
}

/// The README with other output in these sections.
pub fn rewritten(readme: &str, outputs: &[(&Section, &str)]) -> String {
    let mut text = String::new();
    for (at, line) in readme.lines().enumerate() {
        for (section, output) in outputs {
            if section.lines.start == at {
                output.lines().for_each(|line| push_line(&mut text, line));
            }
        }
        let is_old = |(section, _): &(&Section, &str)| section.lines.contains(&at);
        if !outputs.iter().any(is_old) {
            push_line(&mut text, line);
        }
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

const FENCE: &str = "```text";

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# Examples\n\n## [`one`](a/one.rs)\n\nLines that begin with `got` or `took`\ncome in any order.\n\n```sh\nx\n```\n\n```text\nsent b\nsent a\ngot 2\ntook 1\nend\n```\n\n## [`two`](a/two.rs)\n\n```text\nhello\n```\n";

    fn one() -> Section {
        sections(README).unwrap().remove(0)
    }

    #[test]
    fn sections_are_read() {
        let read = sections(README).unwrap();
        let names: Vec<_> = read.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(one().source, "a/one.rs");
        assert_eq!(one().open, ["got", "took"]);
        assert_eq!(one().printed.len(), 5);
        assert_eq!(read[1].printed, ["hello"]);
        assert!(read[1].open.is_empty());
    }

    #[test]
    fn a_section_has_one_block() {
        for text in [
            "## [`a`](b)\nnothing\n",
            "## [`a`](b)\n```text\n```\n```text\n```\n",
        ] {
            let why = sections(text).unwrap_err();
            assert!(why.starts_with("a: not exactly one block"), "{why}");
        }
    }

    #[test]
    fn the_order_counts_but_where_it_is_open() {
        assert_eq!(
            one().compare("sent b\nsent a\ntook 1\ngot 2\nend\n"),
            Ok(())
        );
        for other in [
            "sent a\nsent b\ngot 2\ntook 1\nend\n",
            "sent b\nsent a\ngot 2\nend\ntook 1\n",
            "sent b\nsent a\ngot 2\ntook 1\n",
            "sent b\nsent a\ngot 2\ngot 2\nend\n",
            "",
        ] {
            let difference = one().compare(other).unwrap_err();
            assert!(difference.contains("\n- "), "{difference}");
        }
    }

    #[test]
    fn only_the_sections_that_are_given_are_rewritten() {
        let read = sections(README).unwrap();
        let text = rewritten(README, &[(&read[1], "bye\nbye\n")]);
        assert_eq!(text, README.replace("hello\n", "bye\nbye\n"));
        let text = rewritten(README, &[(&read[0], "x\n"), (&read[1], "y\n")]);
        let again = sections(&text).unwrap();
        assert_eq!((&*again[0].printed[0], &*again[1].printed[0]), ("x", "y"));
        assert_eq!(rewritten(README, &[]), README);
    }
}
