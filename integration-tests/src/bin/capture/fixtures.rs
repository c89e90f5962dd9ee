//! Picks frames out of a recording and writes them as hex text.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use mq_dev::proxy::Recorded;

use super::{Codec, Result};

/// File name to frames.
pub(super) struct Fixtures {
    codec: Codec,
    files: BTreeMap<String, Vec<Bytes>>,
}

impl Fixtures {
    pub(super) const fn new(codec: Codec) -> Self {
        Self {
            codec,
            files: BTreeMap::new(),
        }
    }

    /// Adds the commands of one code whose answer is `wanted`, but of several of one shape only the first.
    ///
    /// The n-th frame of the response file answers the n-th of the request file. One-way requests have a file of their own if
    /// the command also exists with an answer.
    pub(super) fn add(
        &mut self,
        name: &str,
        transcript: &[Recorded],
        code: i32,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Result<()> {
        let mut shapes = Vec::new();
        for request in requests(transcript, code) {
            let response = transcript.iter().find(|it| answers(it, request));
            let oneway = request.header.flags.is_oneway();
            // What was under way when the client ended has no answer.
            if !oneway && !response.is_some_and(&wanted) {
                continue;
            }
            let shape = (shape(request), response.map(shape));
            if shapes.contains(&shape) {
                continue;
            }
            shapes.push(shape);
            let suffix = if oneway && code == SEND_V2 {
                "-oneway"
            } else {
                ""
            };
            self.file(format!("{name}{suffix}-request"))
                .push(request.frame.clone());
            if let Some(response) = response {
                self.check_encoding(response)?;
                self.file(format!("{name}-response"))
                    .push(response.frame.clone());
            }
        }
        found(name, &shapes)
    }

    /// As [`add`](Self::add), without the answers.
    pub(super) fn add_requests(
        &mut self,
        name: &str,
        transcript: &[Recorded],
        code: i32,
    ) -> Result<()> {
        let mut shapes = Vec::new();
        for request in requests(transcript, code) {
            if !shapes.contains(&shape(request)) {
                shapes.push(shape(request));
                self.file(format!("{name}-request"))
                    .push(request.frame.clone());
            }
        }
        found(name, &shapes)
    }

    fn file(&mut self, name: String) -> &mut Vec<Bytes> {
        self.files.entry(name).or_default()
    }

    fn check_encoding(&self, answer: &Recorded) -> Result<()> {
        if answer.header.codec == self.codec.header() {
            return Ok(());
        }
        Err(
            "the broker answers in the other encoding: it needs the same ROCKETMQ_SERIALIZE_TYPE"
                .into(),
        )
    }

    /// Writes all files, and removes those of an earlier recording.
    #[allow(clippy::print_stdout, reason = "a program for people")]
    pub(super) fn save(self) -> Result<()> {
        let dir = directory().join(self.codec.name());
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "hex") {
                fs::remove_file(path)?;
            }
        }
        for (name, frames) in &self.files {
            fs::write(
                dir.join(format!("{name}.hex")),
                hex(name, self.codec, frames)?,
            )?;
        }
        println!("{} files in {}", self.files.len(), dir.display());
        Ok(())
    }
}

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mq-rocketmq/tests/fixtures/java-5.5.0")
}

/// Writes one frame of a program of Huawei's guide.
#[allow(clippy::print_stdout, reason = "a program for people")]
pub(super) fn save_dms(which: &str, frame: &Bytes) -> Result<()> {
    let dir = directory().join("../java-4.9.8");
    fs::create_dir_all(&dir)?;
    let name = format!("310-dms-{which}-request");
    let head = format!(
        "# {name}: what the program of Huawei's developer guide, section 3.4, sends to {which} a scheduled message\n\
         # client: org.apache.rocketmq:rocketmq-client 4.9.8; server: an Apache broker, which heeds none of it\n\
         # recorded by `brokers run -- capture dms DIR`\n\n"
    );
    let file = dir.join(format!("{name}.hex"));
    fs::write(&file, head + &digits(frame)?)?;
    println!("{}", file.display());
    Ok(())
}

fn requests(transcript: &[Recorded], code: i32) -> impl Iterator<Item = &Recorded> {
    transcript
        .iter()
        .filter(move |it| !it.header.flags.is_response() && it.header.code == code)
}

fn answers(response: &Recorded, request: &Recorded) -> bool {
    response.header.flags.is_response()
        && response.connection == request.connection
        && response.direction != request.direction
        && response.header.opaque == request.header.opaque
}

/// What tells two frames of one command apart: outcome, one-way or not, fields, and the rough size of the body.
type Shape = (i32, bool, Vec<String>, u32);

fn shape(frame: &Recorded) -> Shape {
    let fields = frame
        .header
        .ext
        .iter()
        .map(|(key, _)| key.to_owned())
        .collect();
    let size = frame.body.len().checked_ilog2().map_or(0, |log| log + 1);
    (
        frame.header.code,
        frame.header.flags.is_oneway(),
        fields,
        size,
    )
}

fn found<T>(name: &str, shapes: &[T]) -> Result<()> {
    if shapes.is_empty() {
        return Err(format!("the client never sent {name}").into());
    }
    Ok(())
}

fn hex(name: &str, codec: Codec, frames: &[Bytes]) -> Result<String> {
    let mut text = format!(
        "# {name}: {} whole frame(s) with length prefix, separated by blank lines\n\
         # client: org.apache.rocketmq:rocketmq-client 5.5.0; server: rocketmq 5.5.0; {} headers\n\
         # recorded by `just capture-rocketmq`\n",
        frames.len(),
        codec.name(),
    );
    for frame in frames {
        text.push('\n');
        text.push_str(&digits(frame)?);
    }
    Ok(text)
}

pub(super) fn digits(frame: &[u8]) -> Result<String> {
    let mut text = String::new();
    for line in frame.chunks(BYTES_A_LINE) {
        for byte in line {
            write!(text, "{byte:02x}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

const SEND_V2: i32 = 310;
const BYTES_A_LINE: usize = 50;
