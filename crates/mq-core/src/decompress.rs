//! Decompression that can't be made to fill the memory, whatever the input claims.
//!
//! ```text
//!   input ──► decoder ──► 8 KiB ──► output ──► at most max_output bytes,
//!                         a step               at most max_ratio × input (above the floor)
//! ```

use std::{
    fmt,
    io::{self, Read},
};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// zlib (RFC 1950).
    Zlib,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard frames (RFC 8878), with a window of at most 128 MiB.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zlib => "zlib",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// How large the output may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest output in bytes. Default: 16 MiB.
    pub max_output: usize,
    /// Largest output as a multiple of the input; asked only once the output is above 1 MiB, since small
    /// bodies of one repeated byte are innocent. Default: 1000.
    pub max_ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_output: 16 << 20,
            max_ratio: 1000,
        }
    }
}

/// Why a body could not be decompressed.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecompressError {
    /// The output is larger than [`Limits::max_output`].
    TooLarge {
        /// The limit that was hit, in bytes.
        max_output: usize,
    },
    /// The output is more than [`Limits::max_ratio`] times the input.
    RatioTooHigh {
        /// The limit that was hit.
        max_ratio: usize,
    },
    /// The input is not what it claims to be, or ends too early.
    Corrupt {
        /// How it claims to be compressed.
        compression: Compression,
        /// The decoder's own words.
        source: io::Error,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { max_output } => {
                write!(f, "decompresses to more than {max_output} bytes")
            }
            Self::RatioTooHigh { max_ratio } => {
                write!(f, "decompresses to more than {max_ratio} times its size")
            }
            Self::Corrupt { compression, .. } => write!(f, "not valid {compression} data"),
        }
    }
}

impl std::error::Error for DecompressError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } => Some(source),
            Self::TooLarge { .. } | Self::RatioTooHigh { .. } => None,
        }
    }
}

/// Decompresses the whole of `input`.
///
/// The output grows as bytes come out of the decoder; a size that the input declares is not believed.
///
/// # Errors
/// [`DecompressError`], if a limit is hit or the input is corrupt or cut short. Trying again gives the same.
pub fn bounded(
    compression: Compression,
    input: &[u8],
    limits: Limits,
) -> Result<Vec<u8>, DecompressError> {
    let corrupt = |source| DecompressError::Corrupt {
        compression,
        source,
    };
    match compression {
        Compression::Zlib => drain(flate2::read::ZlibDecoder::new(input), input.len(), limits),
        Compression::Lz4 => drain(
            lz4_flex::frame::FrameDecoder::new(input),
            input.len(),
            limits,
        ),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(corrupt)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(corrupt)?;
            drain(decoder, input.len(), limits)
        }
    }
    .map_err(|failure| match failure {
        Failure::Limit(error) => error,
        Failure::Read(source) => corrupt(source),
    })
}

enum Failure {
    Limit(DecompressError),
    Read(io::Error),
}

fn drain(mut decoder: impl Read, input: usize, limits: Limits) -> Result<Vec<u8>, Failure> {
    let by_ratio = input.saturating_mul(limits.max_ratio).max(RATIO_FLOOR);
    let mut output = Vec::new();
    let mut step = [0; STEP];
    loop {
        let read = match decoder.read(&mut step) {
            Ok(0) => return Ok(output),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Read(error)),
        };
        let len = output.len() + read;
        if len > limits.max_output {
            return Err(Failure::Limit(DecompressError::TooLarge {
                max_output: limits.max_output,
            }));
        }
        if len > by_ratio {
            return Err(Failure::Limit(DecompressError::RatioTooHigh {
                max_ratio: limits.max_ratio,
            }));
        }
        output.extend_from_slice(step.get(..read).unwrap_or(&step));
    }
}

const STEP: usize = 8 << 10;
const RATIO_FLOOR: usize = 1 << 20;
/// The decoder's own default; a frame with a larger window is refused before memory is taken for it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
