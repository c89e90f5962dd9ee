//! Compressing bodies before they are sent.

use std::io::Write as _;

use bytes::Bytes;
use mq_core::decompress::Compression as Kind;

use crate::error::{Error, Result, invalid};

/// How large bodies are compressed. Each form needs its feature: `compression-zlib`, `compression-lz4`, `compression-zstd`.
///
/// Every client reads zlib; Go, C++ and Python clients read nothing else. Java reads all three from 5.0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    kind: Kind,
    level: i32,
    threshold: usize,
}

impl Compression {
    /// zlib at level 5.
    #[cfg(feature = "compression-zlib")]
    pub const fn zlib() -> Self {
        Self::of(Kind::Zlib)
    }

    /// LZ4 in its frame format, which has no levels.
    #[cfg(feature = "compression-lz4")]
    pub const fn lz4() -> Self {
        Self::of(Kind::Lz4)
    }

    /// Zstandard at level 5.
    #[cfg(feature = "compression-zstd")]
    pub const fn zstd() -> Self {
        Self::of(Kind::Zstd)
    }

    #[cfg_attr(
        not(any(
            feature = "compression-zlib",
            feature = "compression-lz4",
            feature = "compression-zstd"
        )),
        expect(dead_code, reason = "no form of writing is compiled in")
    )]
    const fn of(kind: Kind) -> Self {
        // apache/rocketmq: DefaultMQProducer, compressMsgBodyOverHowmuch 4 KiB, level 5
        Self {
            kind,
            level: 5,
            threshold: 4096,
        }
    }

    /// The level; default 5. zlib knows 0 to 9, zstd 1 to 22.
    #[must_use]
    pub const fn level(mut self, level: i32) -> Self {
        self.level = level;
        self
    }

    /// Bodies of at least this many bytes are compressed; default 4096.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The compressed body, or `None` where the body is small or would not shrink.
    pub(crate) fn apply(&self, body: &[u8]) -> Result<Option<Bytes>> {
        if body.len() < self.threshold {
            return Ok(None);
        }
        let packed = match self.kind {
            Kind::Zlib => zlib(body, self.level),
            Kind::Lz4 => lz4(body),
            _ => zstd::bulk::compress(body, self.level.clamp(1, 22)),
        };
        let packed = packed.map_err(|cause| -> Error {
            invalid("compress", "the body can't be compressed")
                .into_builder()
                .source(cause)
                .build()
        })?;
        Ok(Some(Bytes::from(packed)).filter(|packed| packed.len() < body.len()))
    }
}

fn zlib(body: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let level = flate2::Compression::new(u32::try_from(level.clamp(0, 9)).unwrap_or(5));
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::with_capacity(body.len() / 2), level);
    encoder.write_all(body)?;
    encoder.finish()
}

fn lz4(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(body.len() / 2));
    encoder.write_all(body)?;
    encoder.finish().map_err(std::io::Error::other)
}
