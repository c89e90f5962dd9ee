//! What a command below this one gets to see.

use std::process::Command;

/// Takes out of a command's environment what cargo has told this process about its package.
///
/// Some build scripts (ring's is one) run again when such a variable is another one than last time, and everything that rests on them is
/// built again: a cargo below this process would do so, and the next one above it once more.
pub fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let is_told = |text: &str| TOLD.iter().any(|told| text.starts_with(told));
        if name.to_str().is_some_and(is_told) {
            command.env_remove(name);
        }
    }
    command
}

/// How the names of those variables begin.
const TOLD: &[&str] = &[
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_this_package_is_not_passed_on() {
        // Cargo has started this test, and said it.
        assert!(std::env::var("CARGO_PKG_NAME").is_ok());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "export -p"]);
        let seen = without_package(&mut shell).output().unwrap();
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(
            seen.lines().any(|line| line.starts_with("export PATH=")),
            "{seen}"
        );
        assert!(!seen.contains("CARGO_PKG_") && !seen.contains("CARGO_MANIFEST_"));
    }
}
