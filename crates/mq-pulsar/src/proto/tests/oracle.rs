//! What is written and read by hand is what prost's generated types write and read.

use bytestring::ByteString;
use proptest::{collection::vec, option::of, prelude::*};

use super::*;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((text(), text()), 0..4)
}

fn key_values(pairs: Vec<(String, String)>) -> Vec<api::KeyValue> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| api::KeyValue { key, value })
        .collect()
}

/// As Java sets it: beside a key always.
fn base64(key: Option<&String>, set: bool) -> Option<bool> {
    key.map(|_| set)
}

/// As Java sets it: where it holds only.
fn flag(set: bool) -> Option<bool> {
    set.then_some(true)
}

fn encryption_key() -> impl Strategy<Value = api::EncryptionKeys> {
    (text(), bytes(), pairs()).prop_map(|(key, value, pairs)| api::EncryptionKeys {
        key,
        value,
        metadata: key_values(pairs),
    })
}

fn named() -> impl Strategy<Value = api::MessageMetadata> {
    let names = (
        text(),
        of(text()),
        of(text()),
        vec(text(), 0..3),
        of(text()),
    );
    let ids = (
        any::<u64>(),
        any::<u64>(),
        of(any::<u64>()),
        of(any::<u64>()),
    );
    let rest = (pairs(), any::<[bool; 3]>(), of(bytes()), of(any::<i32>()));
    (names, ids, rest).prop_map(|(names, ids, rest)| api::MessageMetadata {
        producer_name: names.0,
        sequence_id: ids.0,
        publish_time: ids.1,
        properties: key_values(rest.0),
        replicated_from: names.1,
        partition_key_b64_encoded: base64(names.2.as_ref(), rest.1[0]),
        partition_key: names.2,
        replicate_to: names.3,
        event_time: ids.2,
        ordering_key: rest.2,
        marker_type: rest.3,
        highest_sequence_id: ids.3,
        null_value: flag(rest.1[1]),
        uuid: names.4,
        null_partition_key: flag(rest.1[2]),
        ..Default::default()
    })
}

fn metadata() -> impl Strategy<Value = api::MessageMetadata> {
    let sizes = (0..5, of(any::<u32>()), of(any::<i32>()), of(any::<i64>()));
    let encryption = (
        vec(encryption_key(), 0..3),
        of(text()),
        of(bytes()),
        of(bytes()),
    );
    let chunks = any::<[Option<i32>; 3]>();
    let txn = of((any::<u64>(), any::<u64>()));
    (named(), sizes, encryption, chunks, txn).prop_map(|(named, sizes, encryption, chunks, txn)| {
        api::MessageMetadata {
            compression: Some(sizes.0).filter(|it| *it != 0),
            uncompressed_size: sizes.1,
            num_messages_in_batch: sizes.2,
            deliver_at_time: sizes.3,
            encryption_keys: encryption.0,
            encryption_algo: encryption.1,
            encryption_param: encryption.2,
            schema_version: encryption.3,
            txnid_least_bits: txn.map(|txn| txn.0),
            txnid_most_bits: txn.map(|txn| txn.1),
            num_chunks_from_msg: chunks[0],
            total_chunk_msg_size: chunks[1],
            chunk_id: chunks[2],
            ..named
        }
    })
}

fn single() -> impl Strategy<Value = (api::SingleMessageMetadata, Bytes)> {
    let rest = (
        of(any::<u64>()),
        of(any::<u64>()),
        any::<[bool; 4]>(),
        bytes(),
    );
    (pairs(), of(text()), of(bytes()), rest).prop_map(|(pairs, key, order, rest)| {
        let (event_time, sequence_id, flags, payload) = rest;
        let metadata = api::SingleMessageMetadata {
            properties: key_values(pairs),
            partition_key_b64_encoded: base64(key.as_ref(), flags[0]),
            partition_key: key,
            payload_size: i32::try_from(payload.len()).unwrap(),
            compacted_out: flag(flags[1]),
            event_time,
            ordering_key: order,
            sequence_id,
            null_value: flag(flags[2]),
            null_partition_key: flag(flags[3]),
        };
        (metadata, payload)
    })
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    (any::<u64>(), any::<u64>(), -1..i32::MAX).prop_map(|(ledger, entry, partition)| EntryId {
        ledger,
        entry,
        partition,
    })
}

fn message_id(id: EntryId) -> api::MessageIdData {
    api::MessageIdData {
        ledger_id: id.ledger,
        entry_id: id.entry,
        partition: Some(id.partition).filter(|it| *it != -1),
        ..Default::default()
    }
}

fn base(kind: api::base_command::Type) -> api::BaseCommand {
    api::BaseCommand {
        r#type: kind.into(),
        ..Default::default()
    }
}

/// The command of a frame that has nothing behind it.
fn command(frame: &[u8]) -> api::BaseCommand {
    let (total, rest) = frame.split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*total) as usize, rest.len());
    let (size, rest) = rest.split_first_chunk().unwrap();
    api::BaseCommand::decode(&rest[..u32::from_be_bytes(*size) as usize]).unwrap()
}

fn incoming(frame: &[u8]) -> Incoming {
    let mut buf = BytesMut::from(frame);
    let incoming = FrameDecoder::default().decode(&mut buf).unwrap().unwrap();
    assert!(buf.is_empty());
    incoming
}

fn said() -> Metadata {
    Metadata {
        producer_name: ByteString::from_static("p"),
        sequence_id: 3,
        ..Metadata::default()
    }
}

proptest! {
    #[test]
    fn metadata_both_ways(theirs in metadata()) {
        let bytes = Bytes::from(theirs.encode_to_vec());
        let ours = Metadata::decode(&bytes).unwrap();
        let mut out = BytesMut::new();
        ours.encode(&mut out);
        prop_assert_eq!(ours.encoded_len(), out.len());
        // Byte-equal: both write in the order of the fields' numbers.
        prop_assert_eq!(&out[..], &bytes[..]);
        prop_assert_eq!(api::MessageMetadata::decode(out.freeze()).unwrap(), theirs);
    }

    #[test]
    fn batches_both_ways(theirs in vec(single(), 1..5)) {
        let mut bytes = BytesMut::new();
        for (metadata, payload) in &theirs {
            bytes.extend_from_slice(&u32::try_from(metadata.encoded_len()).unwrap().to_be_bytes());
            metadata.encode(&mut bytes).unwrap();
            bytes.extend_from_slice(payload);
        }
        let bytes = bytes.freeze();
        let mut writer = BatchWriter::default();
        let count = i32::try_from(theirs.len()).unwrap();
        for (single, (_, payload)) in BatchReader::new(bytes.clone(), count).zip(&theirs) {
            let Single { metadata, payload: ours } = single.unwrap();
            prop_assert_eq!(&ours, payload);
            let before = writer.len();
            writer.append(&metadata, &ours);
            prop_assert_eq!(writer.len() - before, BatchWriter::size_of(&metadata, ours.len()));
        }
        prop_assert_eq!(writer.count(), theirs.len());
        prop_assert_eq!(writer.take(), bytes);
        prop_assert!(writer.is_empty());
    }

    #[test]
    fn sends_both_ways(
        ids in any::<[u64; 4]>(), num in 0..2000_i32, flags in any::<[bool; 4]>(), id in of(entry_id()), payload in bytes(),
    ) {
        let head = SendHead {
            producer_id: ids[0],
            sequence_id: ids[1],
            highest_sequence_id: flags[0].then_some(ids[2]),
            num_messages: num.max(1),
            txn: flags[1].then_some(TxnId { most: ids[3], least: ids[2] }),
            is_chunk: flags[2],
            marker: flags[3],
            id,
        };
        let (mut metadata, mut frame) = (BytesMut::new(), BytesMut::new());
        said().encode(&mut metadata);
        encode::send(&mut frame, &head, &metadata, &payload);
        frame.extend_from_slice(&payload);
        let theirs = api::BaseCommand {
            send: Some(api::CommandSend {
                producer_id: ids[0],
                sequence_id: ids[1],
                num_messages: Some(num).filter(|it| *it > 1),
                txnid_least_bits: head.txn.map(|txn| txn.least),
                txnid_most_bits: head.txn.map(|txn| txn.most),
                highest_sequence_id: head.highest_sequence_id,
                is_chunk: flag(flags[2]),
                marker: flag(flags[3]),
                message_id: id.map(message_id),
            }),
            ..base(api::base_command::Type::Send)
        };
        prop_assert_eq!(command(&frame), theirs);
        let Incoming::Send(sent) = incoming(&frame) else { panic!("not a SEND") };
        prop_assert_eq!(sent.head, head);
        prop_assert_eq!(sent.content.unwrap(), Content { metadata: said(), payload });
    }

    #[test]
    fn messages_both_ways(
        id in entry_id(), consumer_id: u64, redelivery_count: u32, ack_set in vec(any::<i64>(), 0..5),
        consumer_epoch in of(any::<u64>()), payload in bytes(), broker in of(bytes()), checked: bool,
    ) {
        let content = Content { metadata: said(), payload };
        let entry = Entry {
            consumer_id, id, redelivery_count, ack_set, consumer_epoch, content: Ok(content.clone()),
        };
        let (mut metadata, mut body, mut frame) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        said().encode(&mut metadata);
        if let Some(broker) = broker {
            body.extend_from_slice(&[0x0E, 0x02]);
            body.extend_from_slice(&u32::try_from(broker.len()).unwrap().to_be_bytes());
            body.extend_from_slice(&broker);
        }
        let unchecked = body.len();
        encode::body(&mut body, &metadata, &content.payload);
        if !checked {
            let metadata = body.split_off(unchecked + 6);
            body.truncate(unchecked);
            body.unsplit(metadata);
        }
        body.extend_from_slice(&content.payload);
        encode::message(&mut frame, &entry, body.len());
        frame.extend_from_slice(&body);
        let theirs = api::BaseCommand {
            message: Some(api::CommandMessage {
                consumer_id,
                message_id: api::MessageIdData { partition: Some(id.partition), ..message_id(id) },
                redelivery_count: Some(redelivery_count).filter(|it| *it > 0),
                ack_set: entry.ack_set.clone(),
                consumer_epoch,
            }),
            ..base(api::base_command::Type::Message)
        };
        prop_assert_eq!(command(&frame), theirs);
        let Incoming::Message(ours) = incoming(&frame) else { panic!("not a MESSAGE") };
        prop_assert_eq!(format!("{ours:?}"), format!("{entry:?}"));
        prop_assert_eq!(ours.content.unwrap(), content);
    }

    #[test]
    fn receipts_both_ways(ids in any::<[u64; 3]>(), id in of(entry_id())) {
        let ours = Receipt { producer_id: ids[0], sequence_id: ids[1], highest_sequence_id: ids[2], id };
        let mut frame = BytesMut::new();
        encode::receipt(&mut frame, &ours);
        let theirs = api::BaseCommand {
            send_receipt: Some(api::CommandSendReceipt {
                producer_id: ids[0],
                sequence_id: ids[1],
                message_id: id.map(message_id),
                highest_sequence_id: Some(ids[2]),
            }),
            ..base(api::base_command::Type::SendReceipt)
        };
        prop_assert_eq!(command(&frame), theirs);
        let Incoming::Receipt(read) = incoming(&frame) else { panic!("not a SEND_RECEIPT") };
        prop_assert_eq!(read, ours);
    }

    #[test]
    fn acks_are_prosts(
        ids in vec((entry_id(), vec(any::<i64>(), 0..4), of(0..5000_i32)), 0..5), consumer_id: u64, cumulative: bool,
        error in of(0..5_i32), txn in of((any::<u64>(), any::<u64>())), request_id in of(any::<u64>()),
    ) {
        let acked: Vec<_> = ids.iter().map(|(id, ack_set, batch_size)| encode::AckId {
            ack_set: ack_set.clone(),
            batch_size: *batch_size,
            ..(*id).into()
        }).collect();
        let ours = encode::Ack {
            consumer_id,
            cumulative,
            ids: &acked,
            validation_error: error.map(|it| it.try_into().unwrap()),
            txn: txn.map(|(most, least)| TxnId { most, least }),
            request_id,
        };
        let mut frame = BytesMut::new();
        encode::ack(&mut frame, &ours);
        let theirs = api::BaseCommand {
            ack: Some(api::CommandAck {
                consumer_id,
                ack_type: cumulative.into(),
                message_id: ids.into_iter().map(|(id, ack_set, batch_size)| api::MessageIdData {
                    ledger_id: id.ledger,
                    entry_id: id.entry,
                    ack_set,
                    batch_size,
                    ..Default::default()
                }).collect(),
                validation_error: error,
                properties: Vec::new(),
                txnid_least_bits: txn.map(|txn| txn.1),
                txnid_most_bits: txn.map(|txn| txn.0),
                request_id,
            }),
            ..base(api::base_command::Type::Ack)
        };
        prop_assert_eq!(command(&frame), theirs);
    }

    #[test]
    fn flows_and_commands_are_prosts(consumer_id: u64, message_permits: u32) {
        let theirs = api::BaseCommand {
            flow: Some(api::CommandFlow { consumer_id, message_permits }),
            ..base(api::base_command::Type::Flow)
        };
        let (mut ours, mut whole) = (BytesMut::new(), BytesMut::new());
        encode::flow(&mut ours, consumer_id, message_permits);
        encode::command(&mut whole, &theirs);
        prop_assert_eq!(&ours, &whole);
        let Incoming::Command(read) = incoming(&ours) else { panic!("not a command") };
        prop_assert_eq!(*read, theirs);
    }
}
