//! Reads the files of the workspace.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A text file, by its path from the workspace root.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Reads one file, by its path from the root.
pub(crate) fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Every Rust source of every member.
pub(crate) fn rust_files() -> io::Result<Vec<File>> {
    let mut files = text_files()?;
    files.retain(|file| {
        Path::new(&file.path)
            .extension()
            .is_some_and(|it| it == "rs")
    });
    Ok(files)
}

/// Every text file that belongs to the project, lock files apart.
pub(crate) fn text_files() -> io::Result<Vec<File>> {
    let root = root();
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
            // In a worktree of git's, `.git` is a file.
            if IGNORED.iter().any(|ignored| name == *ignored) {
                continue;
            }
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && !LOCKS.iter().any(|lock| name == *lock) {
                // Not UTF-8: a capture, which holds what the wire held.
                if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                    let path = entry.path();
                    let path = path.strip_prefix(&root).unwrap_or(&path);
                    files.push(File {
                        path: path.display().to_string(),
                        text,
                    });
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What `.gitignore` names, and git's own.
const IGNORED: &[&str] = &[".git", ".brokers", "target"];

/// Written by package tools, which name the place that they took a package from.
const LOCKS: &[&str] = &["Cargo.lock", "go.sum"];
