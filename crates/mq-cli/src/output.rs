//! Where data goes: stdout, with a closed pipe noticed and a terminal protected.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};

use crate::exit::Failure;

/// Data for whoever called. What is written has left the process when the call returns.
pub(crate) struct Output {
    to: Box<dyn Write + Send>,
    terminal: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        Self {
            terminal: stdout.is_terminal(),
            to: Box::new(stdout),
        }
    }

    /// Writes a line of JSON.
    pub(crate) fn json(&mut self, line: &str) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        if self.terminal {
            guard_json(line, &mut bytes);
        } else {
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes.push(b'\n');
        self.bytes(&bytes)
    }

    /// Writes a line of text in which names may come from elsewhere.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        self.guard()(line.as_bytes(), &mut bytes);
        bytes.push(b'\n');
        self.bytes(&bytes)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.to.write_all(bytes).and_then(|()| self.to.flush());
        written.map_err(|cause| {
            if cause.kind() == io::ErrorKind::BrokenPipe {
                Failure::ClosedPipe
            } else {
                Failure::Local("write to stdout".to_owned(), cause)
            }
        })
    }

    /// What text from elsewhere goes through: as it is into a pipe or file, control characters spelled out on a terminal.
    pub(crate) fn guard(&self) -> fn(&[u8], &mut Vec<u8>) {
        if self.terminal {
            guard_text
        } else {
            |bytes, out| out.extend_from_slice(bytes)
        }
    }
}

/// Says something on stderr. Nobody is told when that fails.
pub(crate) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "mq: {text}");
}

/// Resolves when nobody reads stdout any more; never if it is no pipe.
#[cfg(unix)]
pub(crate) async fn hung_up() {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileTypeExt as _;

    use tokio::io::Interest;
    use tokio::net::unix::pipe;

    let watched = || -> io::Result<Option<pipe::Sender>> {
        let file = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if !file.metadata()?.file_type().is_fifo() {
            return Ok(None);
        }
        // The unchecked form leaves the pipe blocking, as others who share it expect.
        pipe::Sender::from_file_unchecked(file).map(Some)
    };
    if let Ok(Some(pipe)) = watched()
        && pipe.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Resolves when nobody reads stdout any more: not noticed here before the next write.
#[cfg(not(unix))]
pub(crate) async fn hung_up() {
    std::future::pending::<()>().await;
}

fn guard_text(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if is_harmful(c) && c != '\n' && c != '\t' {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// JSON has written the first 32 characters as escapes already.
fn guard_json(line: &str, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if is_harmful(c) {
            // Writing to a String does not fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Commands to a terminal, and characters that turn the direction of writing.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands_from_messages() {
        let guarded = |text: &str| {
            let mut out = Vec::new();
            guard_text(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(guarded("a\tb\n中"), "a\tb\n中");
        assert_eq!(guarded("\x1b[2J\u{9b}x\r"), "\\u{1b}[2J\\u{9b}x\\u{d}");
        let mut out = Vec::new();
        guard_json("{\"a\":\"\u{9b}\u{7f}\u{202e}\"}", &mut out);
        assert_eq!(out, br#"{"a":"\u009b\u007f\u202e"}"#);
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_failures() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let write = |kind| {
            Output {
                to: Box::new(Broken(kind)),
                terminal: false,
            }
            .line("x")
        };
        assert!(matches!(
            write(io::ErrorKind::BrokenPipe),
            Err(Failure::ClosedPipe)
        ));
        assert!(matches!(
            write(io::ErrorKind::StorageFull),
            Err(Failure::Local(..))
        ));
    }
}
