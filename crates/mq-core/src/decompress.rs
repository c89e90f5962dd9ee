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

use lz4_flex::frame::FrameDecoder;

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
            Lz4 {
                decoder: FrameDecoder::new(Watched::new(input)),
            },
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

/// Reads LZ4 frames one after another, and tells a frame's end from the input's: `lz4_flex` answers both with 0 bytes,
/// so that a body cut between two blocks would pass for a whole one.
struct Lz4<'a> {
    decoder: FrameDecoder<Watched<'a>>,
}

impl Read for Lz4<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoder.read(out)?;
            let input = self.decoder.get_ref();
            match (read, input.ran_dry) {
                (0, true) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (0, false) if !input.rest.is_empty() => {}
                _ => return Ok(read),
            }
        }
    }
}

/// Input that knows whether more was asked of it than it had.
struct Watched<'a> {
    rest: &'a [u8],
    ran_dry: bool,
}

impl<'a> Watched<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            ran_dry: false,
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(out)?;
        self.ran_dry |= read < out.len();
        Ok(read)
    }
}

const STEP: usize = 8 << 10;
const RATIO_FLOOR: usize = 1 << 20;
/// The decoder's own default; a frame with a larger window is refused before memory is taken for it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Compression; 3] = [Compression::Zlib, Compression::Lz4, Compression::Zstd];

    /// Compresses `repeat` copies of `step`, streaming, so that a bomb is made without its content in memory.
    fn compress(compression: Compression, step: &[u8], repeat: usize) -> Vec<u8> {
        match compression {
            Compression::Zlib => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                (0..repeat).for_each(|_| encoder.write_all(step).unwrap());
                encoder.finish().unwrap()
            }
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                (0..repeat).for_each(|_| encoder.write_all(step).unwrap());
                encoder.finish().unwrap()
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
                (0..repeat).for_each(|_| encoder.write_all(step).unwrap());
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let text: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| (n / 7).to_be_bytes())
            .collect();
        for compression in ALL {
            let packed = compress(compression, &text, 1);
            assert_eq!(
                bounded(compression, &packed, Limits::default()).unwrap(),
                text
            );
        }
    }

    #[test]
    fn small_bodies_may_be_of_one_byte() {
        let zeros = vec![0; 1 << 20];
        for compression in ALL {
            let packed = compress(compression, &zeros, 1);
            assert_eq!(
                bounded(compression, &packed, Limits::default()).unwrap(),
                zeros
            );
        }
    }

    #[test]
    fn frames_may_follow_each_other() {
        for compression in [Compression::Lz4, Compression::Zstd] {
            let packed = compress(compression, b"ab", 1).repeat(3);
            assert_eq!(
                bounded(compression, &packed, Limits::default()).unwrap(),
                b"ababab"
            );
        }
    }

    #[test]
    fn empty_bodies() {
        for compression in ALL {
            let packed = compress(compression, b"", 1);
            assert_eq!(
                bounded(compression, &packed, Limits::default()).unwrap(),
                b""
            );
        }
    }

    /// zstd 10 GiB, zlib 4 GiB, lz4 1 GiB, put together from repeated blocks.
    fn bomb(compression: Compression) -> Vec<u8> {
        match compression {
            Compression::Zlib => {
                let mut raw = flate2::Compress::new(flate2::Compression::best(), false);
                let mut mebibyte = Vec::with_capacity(64 << 10);
                let flush = flate2::FlushCompress::Full;
                raw.compress_vec(&vec![0; 1 << 20], &mut mebibyte, flush)
                    .unwrap();
                assert_eq!(raw.total_in(), 1 << 20);
                [&[0x78, 0x9C][..], &mebibyte.repeat(4 << 10)].concat()
            }
            Compression::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max4MB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&vec![0; 4 << 20]).unwrap();
                let frame = encoder.finish().unwrap();
                let (header, blocks) = frame.split_at(7);
                let block = &blocks[..blocks.len() - 4];
                [header, &block.repeat(256), &[0; 4]].concat()
            }
            Compression::Zstd => {
                // Blocks of one byte repeated 128 KiB times, in a window of as much.
                let header = [0x28, 0xB5, 0x2F, 0xFD, 0x00, (17 - 10) << 3];
                let block = [&((128_u32 << 10) << 3 | 1 << 1).to_le_bytes()[..3], &[0]].concat();
                [
                    &header[..],
                    &block.repeat((10 << 30) / (128 << 10)),
                    &[1, 0, 0],
                ]
                .concat()
            }
        }
    }

    #[test]
    fn bombs_end_at_a_limit() {
        for compression in ALL {
            let bomb = bomb(compression);
            assert!(bomb.len() < 16 << 20);
            let by_size = Limits {
                max_ratio: usize::MAX,
                ..Limits::default()
            };
            let error = bounded(compression, &bomb, by_size).unwrap_err();
            assert!(matches!(
                error,
                DecompressError::TooLarge {
                    max_output: 0x0100_0000
                }
            ));
            let by_ratio = Limits {
                max_output: usize::MAX,
                max_ratio: 2,
            };
            let error = bounded(compression, &bomb, by_ratio).unwrap_err();
            assert!(matches!(
                error,
                DecompressError::RatioTooHigh { max_ratio: 2 }
            ));
        }
    }

    /// They are as large as they say.
    #[test]
    fn bombs_are_bombs() {
        for (compression, size) in ALL.into_iter().zip([4_u64 << 30, 1 << 30, 10 << 30]) {
            let bomb = bomb(compression);
            let sink = &mut io::sink();
            let (Ok(out) | Err((out, _))) = match compression {
                Compression::Zlib => copy(flate2::read::ZlibDecoder::new(&bomb[..]), sink),
                Compression::Lz4 => copy(FrameDecoder::new(&bomb[..]), sink),
                Compression::Zstd => {
                    copy(zstd::stream::read::Decoder::new(&bomb[..]).unwrap(), sink)
                }
            };
            assert_eq!(out, size, "{compression}");
        }
    }

    fn copy(mut from: impl Read, to: &mut io::Sink) -> Result<u64, (u64, io::Error)> {
        let mut total = 0;
        let mut step = [0; STEP];
        loop {
            match from.read(&mut step) {
                Ok(0) => return Ok(total),
                Ok(read) => total += io::copy(&mut &step[..read], to).unwrap(),
                Err(error) => return Err((total, error)),
            }
        }
    }

    #[test]
    fn a_limit_is_the_last_size_that_passes() {
        for compression in ALL {
            let packed = compress(compression, &[7; 10_000], 1);
            let limits = |max_output| Limits {
                max_output,
                ..Limits::default()
            };
            assert_eq!(
                bounded(compression, &packed, limits(10_000)).unwrap().len(),
                10_000
            );
            assert!(bounded(compression, &packed, limits(9_999)).is_err());
        }
    }

    #[test]
    fn cut_short_is_corrupt() {
        let text: Vec<u8> = (0..900_u32).flat_map(u32::to_be_bytes).collect();
        for compression in ALL {
            let packed = compress(compression, &text, 20);
            for len in 0..packed.len() {
                let error = bounded(compression, &packed[..len], Limits::default()).unwrap_err();
                assert!(
                    matches!(error, DecompressError::Corrupt { .. }),
                    "{compression} {len}"
                );
            }
        }
    }

    #[test]
    fn a_window_above_the_limit_is_refused() {
        // Magic, a descriptor without a single segment, a window of 2^28 bytes, one empty last block.
        let frame = [
            0x28,
            0xB5,
            0x2F,
            0xFD,
            0x00,
            (28 - 10) << 3,
            0x01,
            0x00,
            0x00,
        ];
        let error = bounded(Compression::Zstd, &frame, Limits::default()).unwrap_err();
        assert!(
            matches!(error, DecompressError::Corrupt { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_declared_size_is_not_believed() {
        // A frame that declares 2^62 bytes, in one segment: window and content are the same.
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1110_0000];
        frame.extend_from_slice(&(1_u64 << 62).to_le_bytes());
        frame.extend_from_slice(&[1, 0, 0]);
        assert!(bounded(Compression::Zstd, &frame, Limits::default()).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (compression, magic) in ALL.into_iter().zip([
                &[0x78, 0x9C][..],
                &[0x04, 0x22, 0x4D, 0x18],
                &[0x28, 0xB5, 0x2F, 0xFD],
            ]) {
                let _ = bounded(compression, &bytes, Limits::default());
                let _ = bounded(compression, &[magic, &bytes].concat(), Limits::default());
            }
        }
    }
}
