//! Starts real brokers, natively or by docker compose: see `integration_tests::brokers`.

use std::process::ExitCode;

fn main() -> ExitCode {
    integration_tests::brokers::main().into()
}
