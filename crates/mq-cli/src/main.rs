//! The `mq` command; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mq_cli::run(std::env::args_os())
}
