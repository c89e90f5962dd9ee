//! What is wrong inside an entry, which is said of it; and what is wrong with the stream, which ends it.

use bytes::BufMut as _;

use super::*;

/// A MESSAGE of this body, and a FLOW behind it.
fn stream(body: &[u8]) -> BytesMut {
    let id = EntryId {
        ledger: 1,
        entry: 2,
        partition: -1,
    };
    let entry = Entry {
        consumer_id: 7,
        id,
        redelivery_count: 0,
        ack_set: Vec::new(),
        consumer_epoch: None,
        content: Err(Invalid::Compression(9)),
    };
    let mut out = BytesMut::new();
    encode::message(&mut out, &entry, body.len());
    out.extend_from_slice(body);
    encode::flow(&mut out, 1, 1);
    out
}

/// What the entry's content is found to be; and the stream goes on.
fn content(body: &[u8]) -> Result<Content, Invalid> {
    let mut buf = stream(body);
    let mut decoder = FrameDecoder::default();
    let Some(Incoming::Message(entry)) = decoder.decode(&mut buf).unwrap() else {
        panic!("no entry")
    };
    assert_eq!(entry.id.entry, 2);
    let next = decoder.decode(&mut buf).unwrap();
    assert!(matches!(next, Some(Incoming::Command(it)) if it.flow.is_some()));
    entry.content
}

fn metadata() -> api::MessageMetadata {
    api::MessageMetadata {
        producer_name: "p".into(),
        ..Default::default()
    }
}

fn body(metadata: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    encode::body(&mut out, metadata, b"hello");
    out.extend_from_slice(b"hello");
    out
}

#[test]
fn a_changed_bit_is_a_wrong_checksum_and_the_stream_goes_on() {
    let sound = body(&metadata().encode_to_vec());
    assert_eq!(content(&sound).unwrap().payload, "hello");
    // Behind the two bytes that say there is a checksum.
    for at in 2..sound.len() {
        for bit in 0..8 {
            let mut changed = sound.clone();
            changed[at] ^= 1 << bit;
            let error = content(&changed).unwrap_err();
            assert!(matches!(error, Invalid::Checksum { .. }), "{error}");
            let said = error.validation_error();
            assert_eq!(said, ValidationError::ChecksumMismatch);
        }
    }
}

#[test]
fn metadata_that_cannot_be_read_is_said_and_the_stream_goes_on() {
    let sound = metadata().encode_to_vec();
    for bad in [
        &[][..],
        // The producer's name is cut off, or is longer than all.
        &sound[..sound.len() - 1],
        &sound[3..],
        &[0x0A, 0x7F, b'p'],
        &[0x0B],
    ] {
        let error = content(&body(bad)).unwrap_err();
        assert!(matches!(error, Invalid::Metadata(_)), "{error}");
        let said = error.validation_error();
        assert_eq!(said, ValidationError::ChecksumMismatch);
    }
    for cut in [
        &[][..],
        &[0],
        &[0x0E, 0x01],
        &[0x0E, 0x02, 0, 0, 0, 1],
        &[0x0E, 0x02, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 1],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0],
    ] {
        let error = content(cut).unwrap_err();
        assert!(matches!(error, Invalid::Metadata(_)), "{cut:?}: {error}");
    }
}

#[test]
fn a_compression_of_the_future_is_said() {
    let future = api::MessageMetadata {
        compression: Some(77),
        ..metadata()
    };
    let error = content(&body(&future.encode_to_vec())).unwrap_err();
    assert_eq!(error, Invalid::Compression(77));
    assert_eq!(
        error.validation_error(),
        ValidationError::DecompressionError
    );
}

#[test]
fn unknown_fields_are_left_out() {
    let mut bytes = metadata().encode_to_vec();
    // Field 99 as a number, as bytes, of four and of eight bytes; and a known field of a type that it hasn't.
    bytes.extend_from_slice(&[
        0x98, 0x06, 0xFF, 0x01, 0x9A, 0x06, 1, 0, 0x9D, 0x06, 1, 2, 3, 4,
    ]);
    bytes.extend_from_slice(&[0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0x12, 1, 5]);
    let read = content(&body(&bytes)).unwrap().metadata;
    assert_eq!(read.producer_name, "p");
    assert_eq!(read.sequence_id, 0);
}

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let mut decoder = FrameDecoder::new(1000);
    let error = decoder.decode(&mut BytesMut::from(bytes)).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    // Nothing says where the next frame begins.
    let mut sound = BytesMut::new();
    encode::flow(&mut sound, 1, 1);
    assert_eq!(decoder.decode(&mut sound).unwrap_err(), error);
}

#[test]
fn a_stream_that_cannot_be_trusted_ends() {
    refused(&[0, 0, 0, 3], "too short");
    refused(&[0, 0, 3, 0xE5], "above the limit of 1000");
    refused(&[0xFF; 4], "above the limit");
    refused(b"HTTP/1.1 400 Bad Request", "HTTP answer");
    refused(&[0x15, 3, 3, 0, 2, 2, 70], "TLS");
    refused(&[0, 0, 0, 8, 0, 0, 0, 5], "5 bytes in a frame of 8");
    refused(&[0, 0, 0, 8, 0xFF, 0xFF, 0xFF, 0xFF], "in a frame of 8");
    // No type; a MESSAGE without itself; one without its id; a field that runs out of it; a PING that prost refuses.
    refused(&[0, 0, 0, 4, 0, 0, 0, 0], "type");
    refused(&[0, 0, 0, 6, 0, 0, 0, 2, 8, 9], "MESSAGE");
    refused(
        &[0, 0, 0, 10, 0, 0, 0, 6, 8, 9, 0x4A, 2, 8, 7],
        "message_id",
    );
    refused(&[0, 0, 0, 8, 0, 0, 0, 4, 8, 9, 0x4A, 2], "longer");
    refused(&[0, 0, 0, 8, 0, 0, 0, 4, 8, 18, 0x90, 1], "command");
}

#[test]
fn a_command_of_the_future_is_handed_over() {
    let frame = [0, 0, 0, 8, 0, 0, 0, 4, 0x08, 0xC8, 0x01, 0x00];
    let mut buf = BytesMut::from(&frame[..7]);
    buf.extend_from_slice(&[3, 0x08, 0xC8, 0x01, 0]);
    let Some(Incoming::Command(command)) = FrameDecoder::default().decode(&mut buf).unwrap() else {
        panic!("no command")
    };
    assert_eq!(command.r#type, 200);
    // What stands behind a command, and isn't known, is left out with its frame.
    assert!(buf.is_empty());
}

#[test]
fn the_type_need_not_come_first() {
    let mut frame = BytesMut::new();
    frame.put_u32(4 + 14);
    frame.put_u32(14);
    frame.extend_from_slice(&[0x4A, 10, 8, 7, 0x12, 4, 8, 1, 16, 2, 24, 3, 8, 9]);
    let incoming = FrameDecoder::default().decode(&mut frame).unwrap();
    let Some(Incoming::Message(entry)) = incoming else {
        panic!("{incoming:?}")
    };
    assert_eq!((entry.consumer_id, entry.redelivery_count), (7, 3));
    assert!(entry.content.is_err());
}

#[test]
fn the_largest_frame_can_be_changed() {
    let mut frame = BytesMut::new();
    encode::flow(&mut frame, 1, 1);
    for (max, fits) in [(frame.len(), true), (frame.len() - 1, false)] {
        let mut decoder = FrameDecoder::new(9);
        decoder.set_max_frame(max);
        let decoded = decoder.decode(&mut frame.clone());
        assert_eq!(decoded.is_ok(), fits, "{decoded:?}");
    }
}

#[test]
fn a_length_alone_buys_no_memory() {
    let mut buf = BytesMut::from(&[0, 0x4F, 0xFF, 0xFF, 0, 0, 0, 9][..]);
    let none = FrameDecoder::default().decode(&mut buf).unwrap();
    assert!(
        none.is_none() && buf.capacity() <= 128 << 10,
        "{}",
        buf.capacity()
    );
}

#[test]
fn payloads_and_texts_are_views_of_the_read_buffer() {
    let mut writer = BatchWriter::default();
    let key = "a key that is no copy";
    let single = SingleMetadata {
        partition_key: Some(key.into()),
        ..SingleMetadata::default()
    };
    writer.append(&single, b"hello");
    let batch = writer.take();
    let mut said = BytesMut::new();
    encode::body(&mut said, &metadata().encode_to_vec(), &batch);
    said.extend_from_slice(&batch);
    let mut buf = stream(&said);
    let range = buf.as_ptr_range();
    let Some(Incoming::Message(entry)) = FrameDecoder::default().decode(&mut buf).unwrap() else {
        panic!("no entry")
    };
    let content = entry.content.unwrap();
    let single = BatchReader::new(content.payload.clone(), 1).next();
    let single = single.unwrap().unwrap();
    for view in [
        content.payload.as_ptr(),
        content.metadata.producer_name.as_ptr(),
        single.payload.as_ptr(),
        single.metadata.partition_key.unwrap().as_ptr(),
    ] {
        assert!(range.contains(&view));
    }
    assert_eq!(single.payload, "hello");
}

#[test]
fn a_batch_that_lies_ends_with_an_error() {
    let mut writer = BatchWriter::default();
    writer.append(&SingleMetadata::default(), b"one");
    let one = writer.take();
    let negative = [
        0, 0, 0, 11, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1,
    ];
    for (bytes, sound) in [
        (&one[..], 1),
        (&one[..one.len() - 1], 0),
        (&[0, 0, 0, 0], 0),
        (&[0, 0, 0, 3, 0x18, 1], 0),
        (&[0xFF; 9], 0),
        (&negative, 0),
    ] {
        let mut batch = BatchReader::new(Bytes::copy_from_slice(bytes), i32::MAX);
        assert!(batch.size_hint().1.unwrap() <= bytes.len());
        for _ in 0..sound {
            batch.next().unwrap().unwrap();
        }
        batch.next().unwrap().unwrap_err();
        assert!(batch.next().is_none());
    }
    for none in [0, -1, i32::MIN] {
        assert!(BatchReader::new(one.clone(), none).next().is_none());
    }
}
