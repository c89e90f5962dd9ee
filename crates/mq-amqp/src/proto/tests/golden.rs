//! What pika, the Java client and RabbitMQ wrote, as it was recorded: read field by field, and written again byte by byte.
//!
//! The fixtures' own `README.md` says how they came to be, and where our bytes could be others.

mod answered;
mod contents;
mod sent;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::super::*;

const PEERS: [Peer; 2] = [Peer::Pika, Peer::Java];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Pika,
    Java,
}

/// A method's frames, with those of its content.
type Unit = Vec<Bytes>;

impl Peer {
    /// By the name of the method, what the client `sent`, or the broker `answered`.
    fn fixtures(self, who: &str) -> BTreeMap<String, Vec<Unit>> {
        let name = match self {
            Self::Pika => "pika-1.4.4",
            Self::Java => "java-5.37.0",
        };
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let dir = root.join("tests/fixtures").join(name).join(who);
        let files = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let read = files.map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, text.split("\n\n").skip(1).map(unit).collect())
        });
        read.collect()
    }

    /// Both sides' fixtures.
    fn all(self) -> impl Iterator<Item = (String, Vec<Unit>)> {
        let both = ["sent", "answered"].into_iter();
        both.flat_map(move |who| self.fixtures(who))
    }
}

fn unit(hex: &str) -> Unit {
    let digits: String = hex.split_whitespace().collect();
    let pairs = (0..digits.len() / 2).map(|at| &digits[2 * at..2 * at + 2]);
    let bytes = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap());
    let mut rest = bytes.collect::<Bytes>();
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let mut left = BytesMut::from(&rest[..]);
        let frame = FrameDecoder::new(1 << 20).decode(&mut left).unwrap();
        assert!(frame.is_some(), "a part of a frame: {hex}");
        frames.push(rest.split_to(rest.len() - left.len()));
    }
    frames
}

fn frame(bytes: &Bytes) -> Frame {
    let mut bytes = BytesMut::from(&bytes[..]);
    FrameDecoder::new(1 << 20)
        .decode(&mut bytes)
        .unwrap()
        .unwrap()
}

/// What stands before the properties in a content header.
fn header(payload: &Bytes) -> (u16, u16, u64, Bytes) {
    let mut reader = Reader::new(payload.clone());
    let class = reader.u16("class").unwrap();
    let weight = reader.u16("weight").unwrap();
    let size = reader.u64("size").unwrap();
    (class, weight, size, reader.into_rest())
}

/// The frame as we would write what we have read of it.
fn written_again(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    put_frame(&mut out, frame.kind, frame.channel, |out| {
        match frame.kind {
            Kind::Method => Method::decode(frame.payload.clone()).unwrap().encode(out),
            Kind::Header => {
                let (class, weight, size, properties) = header(&frame.payload);
                let mut writer = Writer::new(out);
                writer.u16(class);
                writer.u16(weight);
                writer.u64(size);
                Properties::decode(properties).unwrap().encode(out);
            }
            Kind::Body => out.extend_from_slice(&frame.payload),
            Kind::Heartbeat => {}
        }
    });
    out.freeze()
}

#[test]
fn what_was_recorded_is_written_again_byte_for_byte() {
    for peer in PEERS {
        let mut frames = 0;
        for (name, units) in peer.all() {
            for bytes in units.iter().flatten() {
                assert_eq!(written_again(&frame(bytes)), bytes, "{peer:?} {name}");
                frames += 1;
            }
        }
        assert!(frames > 150, "{peer:?}: {frames}");
    }
}

/// The parts of a frame are no frame, and nothing is taken off them.
#[test]
fn a_frame_that_was_recorded_is_whole_with_its_last_byte() {
    for (name, units) in PEERS.into_iter().flat_map(Peer::all) {
        for bytes in units.iter().flatten() {
            for end in 0..bytes.len() {
                let mut part = BytesMut::from(&bytes[..end]);
                let decoded = FrameDecoder::new(1 << 20).decode(&mut part);
                assert_eq!(decoded.unwrap(), None, "{name}");
                assert_eq!(part.len(), end);
            }
        }
    }
}

/// Each method without another one of the same fields, in the order in which they were first written; with what is random taken out, and tables in the
/// order of their names: the Java client's have no order of their own.
fn methods(units: &[Unit]) -> Vec<Method> {
    let mut found = Vec::new();
    for unit in units {
        let method = settled(Method::decode(frame(&unit[0]).payload).unwrap());
        if !found.contains(&method) {
            found.push(method);
        }
    }
    found
}

fn settled(mut method: Method) -> Method {
    match &mut method {
        Method::BasicConsume(BasicConsume { consumer_tag, .. })
        | Method::BasicConsumeOk(BasicConsumeOk { consumer_tag })
        | Method::BasicCancel(BasicCancel { consumer_tag, .. })
        | Method::BasicCancelOk(BasicCancelOk { consumer_tag })
        | Method::BasicDeliver(BasicDeliver { consumer_tag, .. }) => settle(consumer_tag),
        Method::QueueDeclareOk(ok) => settle(&mut ok.queue),
        _ => {}
    }
    match &mut method {
        Method::ConnectionStart(ConnectionStart {
            server_properties: table,
            ..
        })
        | Method::ConnectionStartOk(ConnectionStartOk {
            client_properties: table,
            ..
        })
        | Method::ExchangeDeclare(ExchangeDeclare {
            arguments: table, ..
        })
        | Method::QueueDeclare(QueueDeclare {
            arguments: table, ..
        })
        | Method::QueueBind(QueueBind {
            arguments: table, ..
        })
        | Method::QueueUnbind(QueueUnbind {
            arguments: table, ..
        }) => *table = sorted(table),
        _ => {}
    }
    method
}

/// `ctag3.<random>` of pika's, `amq.ctag-<random>` and `amq.gen-<random>` of the broker's, and where it was recorded.
fn settle(name: &mut ByteString) {
    for known in ["ctag3.", "amq.ctag-", "amq.gen-", "mq@", "Python 3."] {
        if name.starts_with(known) {
            *name = known.into();
        }
    }
}

fn sorted(table: &Table) -> Table {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(name, _)| *name);
    let value = |value: &Value| match value {
        Value::Table(inner) => Value::Table(sorted(inner)),
        Value::Text(text) => {
            let mut text = text.clone();
            settle(&mut text);
            Value::Text(text)
        }
        other => other.clone(),
    };
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, held)| (ByteString::from(name), value(held)))
        .collect()
}

fn table<const N: usize>(pairs: [(&'static str, Value); N]) -> Table {
    sorted(&pairs.into_iter().collect())
}

/// What is expected names every method that was recorded, and nothing else.
fn is_as_expected(peer: Peer, who: &str, expected: Vec<(&'static str, Vec<Method>)>) {
    let mut recorded = peer.fixtures(who);
    for (name, expected) in expected {
        let units = recorded.remove(name);
        let units = units.unwrap_or_else(|| panic!("{peer:?} has no {who}/{name}"));
        assert_eq!(methods(&units), expected, "{peer:?} {who} {name}");
    }
    let left: Vec<_> = recorded.keys().collect();
    assert!(left.is_empty(), "{peer:?} {who}: not expected: {left:?}");
}

#[test]
fn what_the_peers_send_is_read_field_by_field() {
    for peer in PEERS {
        is_as_expected(peer, "sent", sent::methods(peer));
    }
}

#[test]
fn what_the_broker_answers_is_read_field_by_field() {
    for peer in PEERS {
        is_as_expected(peer, "answered", answered::methods(peer));
    }
}

/// Contents, put together as a connection does it. A body that comes back is the one that was sent.
#[test]
fn contents_are_put_together() {
    for peer in PEERS {
        let sent = contents(&peer.fixtures("sent")["basic.publish"]);
        let wanted = contents::first(peer);
        assert_eq!(sent[..wanted.len()], wanted, "{peer:?}");
        let full = wanted[0].clone();
        assert_eq!(
            contents(&peer.fixtures("answered")["basic.get-ok"])[0],
            full
        );
        let returned = contents(&peer.fixtures("answered")["basic.return"]);
        assert_eq!(returned, wanted[2..3], "{peer:?}");
        for came in contents(&peer.fixtures("answered")["basic.deliver"]) {
            assert!(sent.contains(&came), "{peer:?} {came:?}");
        }
    }
}

fn contents(units: &[Unit]) -> Vec<(Properties, Bytes)> {
    let whole = |unit: &Unit| {
        let mut assembler = Assembler::default();
        let mut whole = None;
        for bytes in unit {
            assert!(whole.is_none(), "more than is whole");
            whole = assembler.take(frame(bytes), 1 << 20).unwrap();
        }
        let Some(Incoming::Content(_, content)) = whole else {
            panic!("not whole: {whole:?}")
        };
        let mut properties = Properties::decode(content.properties).unwrap();
        properties.headers = properties.headers.as_ref().map(sorted);
        (properties, content.body)
    };
    units.iter().map(whole).collect()
}

/// Each type of a field table that one of them writes is in a fixture.
#[test]
fn every_type_that_they_write_was_recorded() {
    let mut letters = BTreeSet::new();
    for peer in PEERS {
        for (properties, _) in contents(&peer.fixtures("sent")["basic.publish"]) {
            let headers = properties.headers.unwrap_or_default();
            headers
                .iter()
                .for_each(|(_, value)| note(value, &mut letters));
        }
    }
    let letters: String = letters.into_iter().collect();
    // Neither writes `B`, `u` and `i`, numbers without a sign; see the round trips over RabbitMQ for those.
    assert_eq!(letters, "ADFISTVbdflstx");
}

fn note(value: &Value, letters: &mut BTreeSet<char>) {
    let mut out = BytesMut::new();
    table([("", value.clone())]).encode(&mut Writer::new(&mut out));
    // Behind the table's length and the name's.
    letters.insert(char::from(out[5]));
    match value {
        Value::Array(values) => values.iter().for_each(|value| note(value, letters)),
        Value::Table(inner) => inner.iter().for_each(|(_, value)| note(value, letters)),
        _ => {}
    }
}

/// A challenge, which needs an authentication that Debian's RabbitMQ has not got.
#[test]
fn what_has_no_fixture_is_known() {
    let units = PEERS.into_iter().flat_map(Peer::all);
    let units = units.flat_map(|(_, units)| units);
    let recorded: Vec<&str> = units
        .map(|unit| Method::decode(frame(&unit[0]).payload).unwrap().name())
        .collect();
    let mut missing: Vec<&str> = Method::every().iter().map(Method::name).collect();
    missing.retain(|name| !recorded.contains(name));
    assert_eq!(
        missing,
        [
            "connection.ConnectionSecure",
            "connection.ConnectionSecureOk"
        ]
    );
}
