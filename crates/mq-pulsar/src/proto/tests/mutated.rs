//! Frames with bytes changed, of both roles: no panic, no memory beyond what the frame can hold.

use super::*;

/// A million; 100 million with `MQ_SOAK=1`, or as many as `MQ_FUZZ_FRAMES` says.
fn count() -> u64 {
    let soak = std::env::var("MQ_SOAK").is_ok_and(|it| it == "1");
    let usual = if soak { 100_000_000 } else { 1_000_000 };
    std::env::var("MQ_FUZZ_FRAMES").map_or(usual, |it| it.parse().unwrap())
}

/// What became of the frames.
#[derive(Debug, Default)]
struct Tally {
    malformed: u64,
    commands: u64,
    invalid: u64,
    sound: u64,
    singles: u64,
}

const MOST: usize = 64 << 10;

#[test]
fn frames_mutated() {
    let frames = count();
    let corpus = corpus();
    let mut random = fastrand::Rng::with_seed(0x6d71);
    let mut tally = Tally::default();
    for _ in 0..frames {
        let whole = &corpus[random.usize(..corpus.len())];
        let mut bytes = mutate(whole, &mut random);
        let room = bytes.len();
        let took = allocation_counter::measure(|| take(&mut bytes, &mut tally));
        // The largest of prost's types for the smallest field; a decompressed payload, and what a decoder needs for itself.
        let most = 100 * room + 6 * MOST + (16 << 10);
        assert!(took.bytes_max <= most as u64, "{took:?} for {room} bytes");
    }
    // All the ways are gone, or the mutations are too weak, or too strong.
    for of in [tally.malformed, tally.commands, tally.invalid, tally.sound] {
        assert!(of > frames / 50, "{tally:?}");
    }
    assert!(tally.singles > frames / 50, "{tally:?}");
}

fn take(bytes: &mut BytesMut, tally: &mut Tally) {
    let content = match FrameDecoder::new(4096).decode(bytes) {
        Ok(None) => return,
        Err(_) => {
            tally.malformed += 1;
            return;
        }
        Ok(Some(Incoming::Message(entry))) => entry.content,
        Ok(Some(Incoming::Send(sent))) => sent.content,
        Ok(Some(Incoming::Command(_) | Incoming::Receipt(_))) => {
            tally.commands += 1;
            return;
        }
    };
    match content.and_then(|content| split(&content)) {
        Ok(singles) => {
            tally.sound += 1;
            tally.singles += singles;
        }
        Err(_) => tally.invalid += 1,
    }
}

/// What a consumer does with it.
fn split(content: &Content) -> Result<u64, Invalid> {
    let Metadata {
        compression,
        uncompressed_size,
        num_messages_in_batch,
        ..
    } = content.metadata;
    let size = uncompressed_size.unwrap_or_default();
    let payload = decompress(compression, &content.payload, size, MOST)?;
    let mut singles = 0;
    for single in BatchReader::new(payload, num_messages_in_batch.unwrap_or_default()) {
        single.map_err(Invalid::Batch)?;
        singles += 1;
    }
    Ok(singles)
}

/// What Java writes, and batches, compressed and not, with and without a checksum: behind one, few changes are seen.
fn corpus() -> Vec<Vec<u8>> {
    let lines = include_str!("../../../tests/fixtures/java-4.0.8/vectors.txt").lines();
    let frames = lines.filter(|line| !line.starts_with(['#', 'h', 'c']));
    let mut corpus: Vec<Vec<u8>> = frames
        .map(|line| {
            let hex = line.rsplit(' ').next().unwrap();
            let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(digit).collect()
        })
        .collect();
    assert!(corpus.len() > 15);
    for compression in [
        Compression::None,
        Compression::Lz4,
        Compression::Zlib,
        Compression::Zstd,
        Compression::Snappy,
    ] {
        let packed = match compression {
            Compression::None => None,
            it => Some(compress(it, &batch())),
        };
        if packed != Some(None) {
            let payload = packed.flatten().map_or_else(batch, Bytes::from);
            corpus.extend([true, false].map(|checked| frame(compression, &payload, checked)));
        }
    }
    corpus
}

fn batch() -> Bytes {
    let mut writer = BatchWriter::default();
    for id in 0..8 {
        let single = SingleMetadata {
            properties: vec![("key".into(), "value".into())],
            partition_key: Some("k".into()),
            sequence_id: Some(id),
            ..SingleMetadata::default()
        };
        writer.append(&single, &[b'x'; 20]);
    }
    writer.take()
}

fn frame(compression: Compression, payload: &[u8], checked: bool) -> Vec<u8> {
    let metadata = Metadata {
        compression,
        uncompressed_size: Some(u32::try_from(batch().len()).unwrap()),
        num_messages_in_batch: Some(8),
        ..Metadata::default()
    };
    let (mut said, mut body, mut out) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    metadata.encode(&mut said);
    encode::body(&mut body, &said, payload);
    body.extend_from_slice(payload);
    let body = if checked { body } else { body.split_off(6) };
    let id = EntryId {
        ledger: 300,
        entry: 2,
        partition: 1,
    };
    let entry = Entry {
        consumer_id: 7,
        id,
        redelivery_count: 1,
        ack_set: vec![-1],
        consumer_epoch: Some(1),
        content: Err(Invalid::Compression(9)),
    };
    encode::message(&mut out, &entry, body.len());
    out.extend_from_slice(&body);
    out.to_vec()
}

/// Changes, cuts, grows; in three of four cases the lengths are set right again.
fn mutate(whole: &[u8], random: &mut fastrand::Rng) -> BytesMut {
    let mut bytes = BytesMut::from(whole);
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        match random.u8(..7) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = *random.choice(&[0, 1, 0x7F, 0x80, 0xFF, 0x0E, 8]).unwrap(),
            3 if bytes.len() > 16 => bytes.truncate(at.max(12)),
            4 => {
                let tail = bytes.split_off(at);
                bytes.extend((0..random.usize(..9)).map(|_| random.u8(..)));
                bytes.unsplit(tail);
            }
            5 => {
                let from = random.usize(..bytes.len());
                bytes[at] = bytes[from];
            }
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    if random.u8(..4) > 0 {
        let length = u32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..8].copy_from_slice(&whole[4..8]);
    }
    bytes
}

#[test]
fn fuzz_frames() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            let (mut buf, mut tally) = (BytesMut::from(&bytes[..]), Tally::default());
            take(&mut buf, &mut tally);
        });
}

#[test]
fn fuzz_content() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            let bytes = Bytes::copy_from_slice(bytes);
            let metadata = Metadata::decode(&bytes);
            for single in BatchReader::new(bytes.clone(), i32::MAX) {
                let _ = single;
            }
            if let Ok(metadata) = metadata {
                let mut out = BytesMut::new();
                metadata.encode(&mut out);
                assert_eq!(Metadata::decode(&out.freeze()).unwrap(), metadata);
            }
        });
}
