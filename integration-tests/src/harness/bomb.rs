//! Compressed bodies that unpack to far more than memory, made block by block without ever being unpacked.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// A zstd frame of `bytes` zeros: one block of run length a 128 KiB, four bytes each.
pub fn zstd(bytes: u64) -> Bytes {
    // RFC 8878: magic, a descriptor without content size, a window of 128 KiB.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
    let blocks = bytes / BLOCK;
    for number in 1..=blocks {
        let last = u64::from(number == blocks);
        // last block, type 1 (run length), size; then the byte that is repeated
        let header = (BLOCK << 3) | (1 << 1) | last;
        frame.extend_from_slice(header.to_le_bytes().get(..3).unwrap_or_default());
        frame.push(0);
    }
    frame.into()
}

/// A zlib stream of `bytes` zeros: one segment of 16 MiB, again and again.
pub fn zlib(bytes: u64) -> Bytes {
    let mut deflate = Compress::new(Compression::best(), false);
    let zeros = vec![0; 1 << 20];
    let mut segment = Vec::with_capacity(64 << 10);
    for part in 1..=16 {
        // A full flush ends on a byte and forgets what came before: what follows can be repeated.
        let flush = if part == 16 {
            FlushCompress::Full
        } else {
            FlushCompress::None
        };
        deflate
            .compress_vec(&zeros, &mut segment, flush)
            .expect("deflate");
    }
    let segments = bytes / (16 << 20);
    let mut stream = vec![0x78, 0xDA];
    for _ in 0..segments {
        stream.extend_from_slice(&segment);
    }
    // An empty last block, and the Adler-32 of that many zeros: its lower half stays 1.
    stream.extend_from_slice(&[0x03, 0x00]);
    let upper = u32::try_from(segments * (16 << 20) % 65_521).unwrap_or_default();
    stream.extend_from_slice(&((upper << 16) | 1).to_be_bytes());
    stream.into()
}

/// An LZ4 frame of `bytes` zeros.
pub fn lz4(bytes: u64) -> Bytes {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max4MB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    let zeros = vec![0; 4 << 20];
    for _ in 0..bytes / (4 << 20) {
        encoder.write_all(&zeros).expect("lz4");
    }
    encoder.finish().expect("lz4").into()
}

const BLOCK: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{lz4, zlib, zstd as bomb_of};

    fn unpacked(mut from: impl Read) -> u64 {
        std::io::copy(&mut from, &mut std::io::sink()).unwrap()
    }

    /// What is smaller than a bomb but made in the same way is what a decoder takes for it.
    #[test]
    fn small_ones_are_valid() {
        let size = 32 << 20;
        assert_eq!(unpacked(flate2::read::ZlibDecoder::new(&*zlib(size))), size);
        assert_eq!(
            unpacked(lz4_flex::frame::FrameDecoder::new(&*lz4(size))),
            size
        );
        assert_eq!(
            unpacked(zstd::stream::read::Decoder::new(&*bomb_of(size)).unwrap()),
            size
        );
    }

    /// A broker takes 4 MiB.
    #[test]
    fn large_ones_are_small() {
        assert!(bomb_of(10 << 30).len() < 400 << 10);
        assert!(zlib(4 << 30).len() < 4 << 20);
    }
}
