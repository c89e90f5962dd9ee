//! Writes `docs/flows.md` from the results that tests have left in `target/flows`.
#![allow(clippy::print_stderr, reason = "a command line speaks to a terminal")]

use std::path::Path;
use std::process::ExitCode;

use integration_tests::conformance::{read_all, render, results};

fn main() -> ExitCode {
    let found = match read_all() {
        Ok(found) if !found.is_empty() => found,
        Ok(_) | Err(_) => {
            eprintln!(
                "no results in {}: run the conformance suite on a broker first, \
                 `cargo run -p integration-tests --bin brokers -- run -- \
                 cargo test -p integration-tests conformance -- --ignored`",
                results().display()
            );
            return ExitCode::FAILURE;
        }
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flows.md");
    if let Err(cause) = std::fs::write(&path, render(&found)) {
        eprintln!("cannot write {}: {cause}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
