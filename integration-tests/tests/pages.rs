//! What the pages for people who come from other languages show in Rust compiles, and what they count is so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(
    dead_code,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "they are shown, not called"
)]
#[path = "pages/snippets.rs"]
mod snippets;

#[allow(
    dead_code,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "they are shown, not called"
)]
#[path = "pages/amqp.rs"]
mod amqp;

#[allow(
    dead_code,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "they are shown, not called"
)]
#[path = "pages/pulsar.rs"]
mod pulsar;

use std::path::{Path, PathBuf};

#[test]
fn every_block_of_rust_compiles() {
    let source = [
        include_str!("pages/snippets.rs"),
        include_str!("pages/amqp.rs"),
        include_str!("pages/pulsar.rs"),
    ];
    let source = bare(&source.concat());
    let mut blocks = 0;
    for (page, text) in pages() {
        for block in text.split("```rust\n").skip(1) {
            let block = block.split("```").next().unwrap();
            blocks += 1;
            assert!(
                source.contains(&bare(block)),
                "{page}: not in integration-tests/tests/pages/*.rs, which compile:\n{block}"
            );
        }
    }
    assert!(blocks >= 60, "only {blocks} blocks were found");
}

#[test]
fn both_languages_show_the_same_code() {
    let pages = pages();
    let code = |text: &str| {
        let blocks = text.split("```").skip(1).step_by(2).map(bare);
        blocks.collect::<Vec<_>>()
    };
    for (page, text) in pages.iter().filter(|(page, _)| !page.contains("zh-CN")) {
        let twin = page.replace(".md", ".zh-CN.md");
        let other = pages.iter().find(|(name, _)| *name == twin);
        let other = &other.unwrap_or_else(|| panic!("{twin} is missing")).1;
        assert_eq!(code(text), code(other), "{page}");
    }
}

/// In `docs/rocketmq/seeds.md` each example is followed by how many lines of code it has.
#[test]
fn the_lines_of_examples_are_counted() {
    for (page, text) in pages().iter().filter(|(page, _)| page.contains("seeds")) {
        let mut counted = 0;
        for part in text.split("](../../examples/rocketmq/").skip(1) {
            let (file, rest) = part.split_once(')').unwrap();
            let Some((lines, _)) = rest.strip_prefix(" (").and_then(|it| it.split_once(')')) else {
                continue;
            };
            let path = root().join("examples/rocketmq").join(file);
            let source = std::fs::read_to_string(path).unwrap();
            let code = source.lines().map(str::trim);
            let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
            let code = code.filter(|line| !line.starts_with("#!")).count();
            assert_eq!(lines.parse(), Ok(code), "{page}: {file}");
            counted += 1;
        }
        assert!(counted >= 10, "{page}: only {counted} examples are counted");
    }
}

/// Code without its comments and blanks, and without the commas that a formatter puts before a bracket.
fn bare(code: &str) -> String {
    let lines = code
        .lines()
        .map(|line| match line.trim().strip_prefix("//") {
            Some(_) => "",
            None => line.split(" // ").next().unwrap(),
        });
    let text: String = lines.flat_map(str::split_whitespace).collect();
    text.replace(",)", ")").replace(",}", "}")
}

/// Those about coming from elsewhere, those of CMQ, AMQP and Pulsar, and the README; the other pages are sketches.
fn pages() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let languages = ["from-java", "from-go", "from-python", "seeds"];
    let mut pages = Vec::new();
    for twin in [".md", ".zh-CN.md"] {
        for page in languages {
            let name = format!("{page}{twin}");
            let text = read(&format!("docs/rocketmq/{name}"));
            pages.push((name, text));
        }
        for page in ["guarantees", "from-sdk", "dev-server"] {
            let name = format!("cmq/{page}{twin}");
            let text = read(&format!("docs/{name}"));
            pages.push((name, text));
        }
        for page in [
            "guarantees",
            "ordered",
            "transactional",
            "scheduled",
            "from-pika",
            "from-lapin",
        ] {
            let name = format!("amqp/{page}{twin}");
            let text = read(&format!("docs/{name}"));
            pages.push((name, text));
        }
        for page in ["from-python", "from-pulsar-crate"] {
            let name = format!("pulsar/{page}{twin}");
            let text = read(&format!("docs/{name}"));
            pages.push((name, text));
        }
        let name = format!("README{twin}");
        let text = read(&name);
        pages.push((name, text));
    }
    pages
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().to_owned()
}
