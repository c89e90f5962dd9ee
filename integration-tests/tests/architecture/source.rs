//! What a source file may do, by its place: read as tokens, so that comments, strings and test modules don't count.

use std::{path::Path, str::FromStr};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{graph::is_protocol, tree::File};

/// A file's tokens outside of its tests, and how many lines those take.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    tokens: Vec<(String, usize)>,
    lines: usize,
}

/// Reads a source, leaving out what is under `#[cfg(test)]`.
pub(crate) fn scan(text: &str) -> Result<Scan, String> {
    let stream = TokenStream::from_str(text).map_err(|error| error.to_string())?;
    let mut scan = Scan {
        tokens: Vec::new(),
        lines: text.lines().count(),
    };
    scan.take(stream);
    Ok(scan)
}

impl Scan {
    fn take(&mut self, stream: TokenStream) {
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let first = token.span().start().line;
            let attribute = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#')
                .then(|| tokens.peek())
                .flatten();
            if attribute.is_some_and(is_test_only) {
                let mut last = first;
                // The item ends with its body, or without one at the semicolon.
                for skipped in tokens.by_ref() {
                    last = skipped.span().end().line;
                    if ends_item(&skipped) {
                        break;
                    }
                }
                self.lines = self.lines.saturating_sub(last + 1 - first);
                continue;
            }
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = ends(group.delimiter());
                    self.tokens.push((open.to_owned(), first));
                    self.take(group.stream());
                    self.tokens
                        .push((close.to_owned(), group.span_close().start().line));
                }
                other => self.tokens.push((other.to_string(), first)),
            }
        }
    }

    /// The lines on which these tokens stand one after the other.
    fn lines_with<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let at = move |window: &[(String, usize)]| {
            let same = window
                .iter()
                .zip(words)
                .all(|((text, _), word)| text == word);
            window.first().filter(|_| same).map(|(_, line)| *line)
        };
        self.tokens.windows(words.len()).filter_map(at)
    }
}

fn is_test_only(attribute: &TokenTree) -> bool {
    let TokenTree::Group(group) = attribute else {
        return false;
    };
    let text = group.stream().to_string().replace(' ', "");
    group.delimiter() == Delimiter::Bracket
        && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    }
}

fn ends(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// What this file does that its place does not allow.
pub(crate) fn breaches(path: &str, scan: &Scan) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut forbid = |words: &[&str], why: &str| {
        for line in scan.lines_with(words) {
            breaches.push(format!("{path}:{line}: `{}`: {why}", words.concat()));
        }
    };
    forbid(&["unsafe"], "nowhere in this workspace");
    let place = Place::of(path);
    if place.is_test {
        return breaches;
    }
    if place.room == "proto" {
        for word in ["tokio", "rand", "fastrand", "elapsed"] {
            forbid(&[word], "proto has no runtime, clock or dice");
        }
        for clock in ["Instant", "SystemTime"] {
            forbid(&[clock, ":", ":", "now"], "proto is told the time");
        }
    }
    if is_protocol(place.member) {
        if place.room != "conn" && !SPAWNERS.contains(&place.inside) {
            for word in ["spawn", "spawn_on", "spawn_local", "spawn_blocking"] {
                forbid(
                    &[word, "("],
                    "tasks start in conn/ and the files of SPAWNERS",
                );
            }
        }
        if place.room != "conn" {
            for word in ["TcpStream", "TcpSocket", "TcpListener"] {
                forbid(&[word], "the only sockets are in conn");
            }
        }
    }
    if scan.lines > LONGEST && !LONG.iter().any(|(long, _)| *long == path) {
        breaches.push(format!(
            "{path}: {} lines without its tests, over {LONGEST}",
            scan.lines
        ));
    }
    breaches
}

/// The exceptions that are not needed (any more).
pub(crate) fn stale_exceptions(files: &[File]) -> Vec<String> {
    let needed = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.and_then(|file| scan(&file.text).ok())
            .is_some_and(|scan| scan.lines > LONGEST)
    };
    let stale = LONG.iter().filter(|(path, _)| !needed(path));
    stale
        .map(|(path, why)| format!("{path} needs no exception ({why})"))
        .collect()
}

/// Where a file stands: `crates/<member>/src/<room>…`.
struct Place<'a> {
    member: &'a str,
    /// The path inside `src`.
    inside: &'a str,
    /// `conn` for both `conn.rs` and `conn/driver.rs`.
    room: &'a str,
    is_test: bool,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Self {
        let (member, rest) = match path.strip_prefix("crates/") {
            Some(inner) => inner.split_once('/').unwrap_or((inner, "")),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let inside = rest.strip_prefix("src/").unwrap_or_default();
        let room = inside
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        let is_test = rest.starts_with("tests/")
            || rest.starts_with("benches/")
            || inside.contains("/tests/")
            || Path::new(inside)
                .file_name()
                .is_some_and(|name| name == "tests.rs");
        Self {
            member,
            inside,
            room,
            is_test,
        }
    }
}

const LONGEST: usize = 400;

/// Flat tables and generated code, which are read by looking up, not from top to bottom.
const LONG: &[(&str, &str)] = &[("crates/mq-pulsar/src/proto/api.rs", "generated")];

// ordered/run.rs: a handler a partition at a time, on all cores, aborted with the call that runs them.
// producer/transaction/checks.rs: the checker is the application's; a panic or a hang of it ends a task, not the producer.
const SPAWNERS: &[&str] = &[
    "producer/retry.rs",
    "producer/transaction/checks.rs",
    "consumer/run.rs",
    "consumer/attend.rs",
    "producer/attend.rs",
    "publisher/attend.rs",
    "ordered/run.rs",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        breaches(path, &scan(text).unwrap())
    }

    #[test]
    fn proto_has_no_runtime_clock_or_dice() {
        for text in [
            "use tokio::io::AsyncRead;",
            "fn f() { let _ = std::time::Instant::now(); }",
            "fn f() { let _ = SystemTime :: now(); }",
            "fn f() { started.elapsed() }",
            "fn f() -> u32 { fastrand::u32(..) }",
            "fn f() -> u32 { rand::random() }",
        ] {
            for path in [
                "crates/mq-x/src/proto.rs",
                "crates/mq-x/src/proto/command/send.rs",
            ] {
                assert_eq!(found(path, text).len(), 1, "{path}: {text}");
            }
            assert!(
                found("crates/mq-x/src/client.rs", text).is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_task_starts_in_its_room_only() {
        for text in [
            "fn f() { tokio::spawn(task); }",
            "fn f() { set.spawn_on(task, on); }",
        ] {
            for path in [
                "client.rs",
                "producer.rs",
                "producer/batch.rs",
                "consumer/offset.rs",
            ] {
                assert_eq!(
                    found(&format!("crates/mq-x/src/{path}"), text).len(),
                    1,
                    "{path}"
                );
            }
            for path in [
                "conn.rs",
                "conn/driver.rs",
                "producer/retry.rs",
                "consumer/run.rs",
            ] {
                assert!(
                    found(&format!("crates/mq-x/src/{path}"), text).is_empty(),
                    "{path}"
                );
            }
            assert!(found("crates/mq-dev/src/proxy.rs", text).is_empty());
        }
    }

    #[test]
    fn a_socket_is_opened_in_conn_only() {
        let text = "use tokio::net::TcpStream;";
        assert_eq!(found("crates/mq-x/src/producer/retry.rs", text).len(), 1);
        assert!(found("crates/mq-x/src/conn/transport.rs", text).is_empty());
    }

    #[test]
    fn unsafe_is_found_everywhere() {
        let text = "fn f() { unsafe { g() } }";
        for path in [
            "crates/mq-x/src/lib.rs",
            "examples/rocketmq/a.rs",
            "crates/mq-x/tests/a.rs",
        ] {
            assert_eq!(found(path, text).len(), 1, "{path}");
        }
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        let text = "
            // tokio, Instant::now()
            /// unsafe
            fn f() -> &'static str { \"tokio::spawn(x) unsafe\" }
            #[cfg(test)]
            mod tests { fn g() { tokio::spawn(Instant::now()); } }
        ";
        assert!(found("crates/mq-x/src/proto/frame.rs", text).is_empty());
        let text = "fn g() { tokio::spawn(x); }";
        assert!(found("crates/mq-x/src/proto/frame/tests.rs", text).is_empty());
        let after = "#[cfg(test)] mod tests;\nuse tokio::io;";
        assert_eq!(found("crates/mq-x/src/proto/frame.rs", after).len(), 1);
    }

    #[test]
    fn length_is_counted_without_tests() {
        let line = "const X: u8 = 1;\n";
        let long = line.repeat(LONGEST + 1);
        assert_eq!(found("crates/mq-x/src/a.rs", &long).len(), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
        let exact = line.repeat(LONGEST) + &tests;
        assert!(found("crates/mq-x/src/a.rs", &exact).is_empty());
        assert_eq!(found("crates/mq-x/src/a.rs", &(exact + line)).len(), 1);
    }
}
