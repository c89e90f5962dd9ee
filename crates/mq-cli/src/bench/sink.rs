//! A file for a result: opened before the load begins, written when it has ended.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use crate::exit::Failure;

/// Where a result goes. What a file held before stays until there is a result.
#[derive(Debug)]
pub(crate) struct Sink {
    flag: &'static str,
    path: PathBuf,
    file: Option<File>,
}

impl Sink {
    pub(crate) const fn new(flag: &'static str, path: PathBuf) -> Self {
        Self {
            flag,
            path,
            file: None,
        }
    }

    /// Opens the file, so that what is wrong with it is known before anything is sent.
    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        let opened = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path);
        let file = opened.map_err(|cause| {
            let path = self.path.display();
            Failure::Usage(format!("{} {path} can't be written: {cause}", self.flag))
        })?;
        self.file = Some(file);
        Ok(())
    }

    /// Whether both are the same file; known only when they are open.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let at = |sink: &Self| sink.path.canonicalize().ok();
        at(self).is_some_and(|path| at(other) == Some(path))
    }

    /// Writes the result, in place of what was there.
    pub(crate) fn write(self, text: &str) -> Result<(), Failure> {
        let what = format!("write {}", self.path.display());
        let written = || {
            let mut file = self.file.map_or_else(|| File::create(&self.path), Ok)?;
            // A pipe can't be cut, and needs not be.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
                file.rewind()?;
            }
            file.write_all(text.as_bytes())
        };
        written().map_err(|cause| Failure::Local(what, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_until_there_is_a_result() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "a long result of before").unwrap();
        let mut sink = Sink::new("--svg", path.clone());
        sink.open().unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("a long")
        );
        sink.write("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn what_can_not_be_written_is_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("absent/out")] {
            let failure = Sink::new("--svg", path.clone()).open().unwrap_err();
            let told = failure.to_string();
            assert!(matches!(failure, Failure::Usage(_)), "{told}");
            assert!(told.starts_with("--svg") && told.contains(&path.display().to_string()));
        }
    }

    #[test]
    fn one_file_is_known_by_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let sink = |name: &str| {
            let mut sink = Sink::new("--svg", dir.path().join(name));
            sink.open().unwrap();
            sink
        };
        assert!(sink("a").is_same(&sink("./a")));
        assert!(!sink("a").is_same(&sink("b")));
    }
}
