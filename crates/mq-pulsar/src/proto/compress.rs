//! How payloads are compressed: as Java's clients do it, so that those read it, and bounded whatever the input claims.

use std::fmt;

use bytes::Bytes;

use super::Invalid;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// One LZ4 block, without its size.
    Lz4,
    /// zlib (RFC 1950).
    Zlib,
    /// Zstandard frames (RFC 8878).
    Zstd,
    /// One Snappy block, without frames around it.
    Snappy,
}

impl Compression {
    /// Whether the crate was built with the feature that writes it.
    pub const fn is_written(self) -> bool {
        match self {
            Self::None => true,
            Self::Lz4 => cfg!(feature = "compression-lz4"),
            Self::Zlib => cfg!(feature = "compression-zlib"),
            Self::Zstd => cfg!(feature = "compression-zstd"),
            Self::Snappy => cfg!(feature = "compression-snappy"),
        }
    }

    pub(super) fn of(number: u64) -> Result<Self, Invalid> {
        let all = [Self::None, Self::Lz4, Self::Zlib, Self::Zstd, Self::Snappy];
        let found = all.into_iter().find(|it| it.number() == number);
        found.ok_or(Invalid::Compression(number))
    }

    /// Its number in `CompressionType`.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zlib => 2,
            Self::Zstd => 3,
            Self::Snappy => 4,
        }
    }

    /// The most bytes that a byte of input can become. Zstd has no such bound: a block of its is one byte and a count.
    const fn most(self) -> usize {
        match self {
            Self::None => 1,
            Self::Lz4 => 255,
            Self::Zlib => 1032,
            Self::Zstd => usize::MAX,
            // A copy of 64 bytes takes three, or of 11 bytes two.
            Self::Snappy => 22,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Lz4 => "LZ4",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Snappy => "Snappy",
        })
    }
}

/// Decompresses a payload, which is exactly `size` bytes, as the metadata says, and at most `max`.
///
/// No memory is taken for a size above `max`, nor for one that the input can't become.
///
/// # Errors
/// [`Invalid::TooLarge`] above `max`; [`Invalid::Decompression`] where it isn't what it claims to be.
pub fn decompress(
    compression: Compression,
    input: &Bytes,
    size: u32,
    max: usize,
) -> Result<Bytes, Invalid> {
    if compression == Compression::None {
        return Ok(input.clone());
    }
    let len = size as usize;
    if len > max {
        return Err(Invalid::TooLarge { stated: size, max });
    }
    let invalid = |reason| Invalid::Decompression {
        compression,
        reason,
    };
    // 64: small inputs have heads and tails that the ratio does not know.
    if len
        > input
            .len()
            .saturating_mul(compression.most())
            .saturating_add(64)
    {
        return Err(invalid("its input is too short for it".into()));
    }
    let output = match compression {
        Compression::None => return Ok(input.clone()),
        Compression::Lz4 => lz4(input, len),
        Compression::Zlib => zlib(input, len),
        Compression::Zstd => zstd(input, len),
        Compression::Snappy => snappy(input, len),
    };
    let output = output.map_err(|reason| invalid(reason.into()))?;
    if output.len() != len {
        let reason = format!("{} bytes, where {len} are stated", output.len());
        return Err(invalid(reason.into()));
    }
    Ok(output.into())
}

/// Compresses a payload; `None` for [`Compression::None`], and where the crate was built without it ([`Compression::is_written`]).
pub fn compress(compression: Compression, input: &[u8]) -> Option<Vec<u8>> {
    match compression {
        #[cfg(feature = "compression-lz4")]
        Compression::Lz4 => Some(lz4_flex::block::compress(input)),
        #[cfg(feature = "compression-zlib")]
        Compression::Zlib => {
            use std::io::Write as _;
            let level = flate2::Compression::default();
            let room = Vec::with_capacity(input.len() / 2 + 64);
            let mut encoder = flate2::write::ZlibEncoder::new(room, level);
            encoder.write_all(input).ok()?;
            encoder.finish().ok()
        }
        // Java's level.
        #[cfg(feature = "compression-zstd")]
        Compression::Zstd => ::zstd::bulk::compress(input, 3).ok(),
        #[cfg(feature = "compression-snappy")]
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(input).ok(),
        _ => {
            // All that uses it may be left out.
            let _ = input;
            None
        }
    }
}

fn lz4(input: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut output = vec![0; len];
    let written = lz4_flex::block::decompress_into(input, &mut output);
    output.truncate(written.map_err(|error| error.to_string())?);
    Ok(output)
}

/// Java flushes its deflater but does not finish it: there is no end of stream and no checksum behind its data, and what was asked for is
/// taken for all (apache/pulsar: `CompressionCodecZLib.decode`).
fn zlib(input: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut output = Vec::with_capacity(len);
    let mut decoder = flate2::Decompress::new(true);
    while output.len() < len {
        let before = (decoder.total_in(), output.len());
        let rest = usize::try_from(before.0)
            .ok()
            .and_then(|at| input.get(at..));
        decoder
            .decompress_vec(
                rest.unwrap_or_default(),
                &mut output,
                flate2::FlushDecompress::None,
            )
            .map_err(|error| error.to_string())?;
        if (decoder.total_in(), output.len()) == before {
            break;
        }
    }
    Ok(output)
}

fn zstd(input: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut output = Vec::with_capacity(len);
    let mut decoder = ::zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?;
    let written = decoder.decompress_to_buffer(input, &mut output);
    written.map_err(|error| error.to_string())?;
    Ok(output)
}

fn snappy(input: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut output = vec![0; len];
    let written = snap::raw::Decoder::new().decompress(input, &mut output);
    output.truncate(written.map_err(|error| error.to_string())?);
    Ok(output)
}
