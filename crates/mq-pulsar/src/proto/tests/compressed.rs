//! Compression both ways, and what claims to be more than it is.

use proptest::{collection::vec, prelude::*};

use super::*;

const ALL: [Compression; 4] = [
    Compression::Lz4,
    Compression::Zlib,
    Compression::Zstd,
    Compression::Snappy,
];

fn written(compression: Compression, payload: &[u8]) -> Option<Bytes> {
    let packed = compress(compression, payload);
    assert_eq!(packed.is_some(), compression.is_written(), "{compression}");
    packed.map(Bytes::from)
}

proptest! {
    #[test]
    fn what_is_compressed_comes_back(bytes in vec(any::<u8>(), 0..200), times in 1..50_usize) {
        let payload = bytes.repeat(times);
        let size = u32::try_from(payload.len()).unwrap();
        for compression in ALL {
            let Some(packed) = written(compression, &payload) else { continue };
            let back = decompress(compression, &packed, size, payload.len()).unwrap();
            prop_assert_eq!(&back, &payload);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), size in 0..10_000_u32) {
        let bytes = Bytes::from(bytes);
        for compression in ALL {
            if let Ok(output) = decompress(compression, &bytes, size, 8_000) {
                prop_assert_eq!(output.len(), size as usize);
                prop_assert!(size <= 8_000);
            }
        }
    }
}

#[test]
fn what_is_not_compressed_is_not_copied() {
    let payload = Bytes::from_static(b"hello");
    let same = decompress(Compression::None, &payload, 0, 0).unwrap();
    assert_eq!(same.as_ptr(), payload.as_ptr());
}

/// 64 MiB of nothing: nobody is made to hold more than the limit, and the reason is said.
#[test]
fn a_bomb_takes_no_memory() {
    let zeros = vec![0; 64 << 20];
    for compression in ALL {
        let Some(bomb) = written(compression, &zeros) else {
            continue;
        };
        let honest = u32::try_from(zeros.len()).unwrap();
        for (stated, error) in [
            (honest, ValidationError::UncompressedSizeCorruption),
            (u32::MAX, ValidationError::UncompressedSizeCorruption),
            // A lie: what comes out is more than is stated.
            (1 << 20, ValidationError::DecompressionError),
        ] {
            let mut result = None;
            let took = allocation_counter::measure(|| {
                result = Some(decompress(compression, &bomb, stated, 5 << 20));
            });
            match result.unwrap() {
                Err(invalid) => assert_eq!(invalid.validation_error(), error, "{compression}"),
                // As Java: zlib's data is what was asked for, and no more is taken.
                Ok(output) => {
                    assert_eq!(compression, Compression::Zlib);
                    assert_eq!(output.len(), stated as usize);
                }
            }
            assert!(took.bytes_max < 3 << 20, "{compression}: {took:?}");
        }
    }
}

#[test]
fn a_size_that_the_input_cannot_become_buys_no_memory() {
    let input = Bytes::from_static(&[0; 1000]);
    for compression in [Compression::Lz4, Compression::Zlib, Compression::Snappy] {
        let took = allocation_counter::measure(|| {
            let stated = 100 << 20;
            let error = decompress(compression, &input, stated, 1 << 30).unwrap_err();
            assert_eq!(
                error.validation_error(),
                ValidationError::DecompressionError
            );
        });
        assert!(took.bytes_max < 4096, "{compression}: {took:?}");
    }
}
