//! Records pika and RabbitMQ's client for Java with a RabbitMQ: the golden fixtures of mq-amqp's codec.
//!
//! ```text
//!   peer ──► tap ──► RabbitMQ of MQ_AMQP_URL       crates/mq-amqp/tests/fixtures/<peer>/{sent,answered}/<class>.<method>.hex
//! ```
//!
//! A method that has a content is recorded with its header and body frames. Of frames that are the same, one is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use integration_tests::brokers::rabbitmq::{Shared, VERSION, shared, variable};
use integration_tests::foreign::amqp::{Peer, Session, play};
use integration_tests::foreign::{Streams, Tap};
use integration_tests::harness::amqp::cut;
use integration_tests::harness::until;
use mq_amqp::proto::{FrameDecoder, Kind, Method, PROTOCOL_HEADER};
use serde_json::json;

use super::Result;
use super::fixtures::digits;

#[tokio::main]
pub(super) async fn record() -> Result<()> {
    let node = shared()?;
    for peer in Peer::ALL {
        let tap = Tap::start(node.address().parse()?).await?;
        let mut theirs = start(peer, &node, &tap, "fixture").await?;
        play(peer, &mut theirs).await?;
        blocked_by_the_broker(peer, &node, &tap).await?;
        closed_by_the_broker(peer, &node, &tap).await?;
        save(peer, &tap.streams())?;
    }
    Ok(())
}

async fn start(peer: Peer, node: &Shared, tap: &Tap, name: &str) -> Result<Session> {
    let url = node
        .url()
        .replace(node.address(), &tap.address().to_string());
    Ok(peer.start(&url, name).await?)
}

/// A memory alarm: `connection.blocked` when something is published, and `connection.unblocked`.
async fn blocked_by_the_broker(peer: Peer, node: &Shared, tap: &Tap) -> Result<()> {
    let mut theirs = start(peer, node, tap, "fixture-blocked").await?;
    let nowhere = json!({"exchange": "amq.fanout", "key": "", "properties": {}, "body": ""});
    theirs.call("Publish", nowhere.clone()).await?;
    control(&["set_vm_memory_high_watermark", "0.00001"]).await?;
    let told = async |wanted: &str| {
        let what = format!("{wanted} from the broker");
        let told = async || {
            let last = tap.streams().pop().unwrap_or_default();
            let said = units(&last.down).unwrap_or_default();
            said.iter().any(|(name, _)| name == wanted)
        };
        until(Duration::from_secs(30), &what, told).await;
    };
    let (said, restored) = tokio::join!(theirs.call("Publish", nowhere), async {
        told("connection.blocked").await;
        control(&["set_vm_memory_high_watermark", "absolute", "512MB"]).await
    });
    restored?;
    said?;
    told("connection.unblocked").await;
    theirs.call("Close", json!({})).await?;
    Ok(())
}

async fn control(args: &[&str]) -> Result<(), String> {
    let tool = variable("CTL").map_err(|why| why.to_string())?;
    let ended = tokio::process::Command::new(tool)
        .arg("-q")
        .args(args)
        .status();
    match ended.await {
        Ok(status) if status.success() => Ok(()),
        ended => Err(format!("rabbitmqctl {args:?}: {ended:?}")),
    }
}

/// The broker's `connection.close`, and their answer.
async fn closed_by_the_broker(peer: Peer, node: &Shared, tap: &Tap) -> Result<()> {
    let mut theirs = start(peer, node, tap, "fixture-cut").await?;
    let there = json!({"exchange": "amq.direct", "kind": "direct", "passive": true});
    theirs.call("DeclareExchange", there.clone()).await?;
    cut("fixture-cut").await;
    // pika reads only while it is asked for something.
    if theirs.call("DeclareExchange", there).await.is_ok() {
        return Err("the connection was not closed".into());
    }
    if peer == Peer::Pika {
        // pika/connection.py, `_on_connection_close_from_broker`: it ends the stream without a word.
        return Ok(());
    }
    let answered = async || {
        let last = tap.streams().pop().unwrap_or_default();
        let sent = units(&last.up).unwrap_or_default();
        sent.iter().any(|(name, _)| name == "connection.close-ok")
    };
    until(Duration::from_secs(30), "connection.close-ok", answered).await;
    Ok(())
}

/// A method's name, and its frames with those of its content.
type Unit = (String, Vec<Bytes>);

fn units(stream: &[u8]) -> Result<Vec<Unit>> {
    let stream = stream.strip_prefix(&PROTOCOL_HEADER).unwrap_or(stream);
    let mut left = BytesMut::from(stream);
    let mut decoder = FrameDecoder::new(1 << 20);
    let mut units: Vec<(u16, Unit)> = Vec::new();
    let mut begin = 0;
    while let Some(frame) = decoder.decode(&mut left)? {
        let end = stream.len() - left.len();
        let whole = Bytes::copy_from_slice(stream.get(begin..end).unwrap_or_default());
        begin = end;
        match frame.kind {
            Kind::Method => {
                let method = Method::decode(frame.payload)?;
                units.push((frame.channel, (wire_name(method.name()), vec![whole])));
            }
            Kind::Header | Kind::Body => {
                let mut of = units.iter_mut().rev();
                let of = of.find_map(|(channel, unit)| (*channel == frame.channel).then_some(unit));
                of.ok_or("a content without its method")?.1.push(whole);
            }
            Kind::Heartbeat => units.push((0, ("heartbeat".to_owned(), vec![whole]))),
        }
    }
    Ok(units.into_iter().map(|(_, unit)| unit).collect())
}

/// `queue.QueueDeclareOk` is `queue.declare-ok`.
fn wire_name(name: &str) -> String {
    let (class, method) = name.split_once('.').unwrap_or((name, ""));
    let method = method.get(class.len()..).unwrap_or_default();
    let mut wire = format!("{class}.");
    for (at, letter) in method.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            wire.push('-');
        }
        wire.push(letter.to_ascii_lowercase());
    }
    wire
}

fn save(peer: Peer, streams: &[Streams]) -> Result<()> {
    let dir = peer.fixtures();
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    for who in ["sent", "answered"] {
        let mut files: BTreeMap<String, Vec<Vec<Bytes>>> = BTreeMap::new();
        for streams in streams {
            let stream = if who == "sent" {
                &streams.up
            } else {
                &streams.down
            };
            for (name, frames) in units(stream)? {
                let file = files.entry(name).or_default();
                if !file.contains(&frames) {
                    file.push(frames);
                }
            }
        }
        write(&dir.join(who), peer, who, &files)?;
        println!("{}: {} methods {who}", peer.version(), files.len());
    }
    Ok(())
}

fn write(
    dir: &Path,
    peer: Peer,
    who: &str,
    files: &BTreeMap<String, Vec<Vec<Bytes>>>,
) -> Result<()> {
    fs::create_dir_all(dir)?;
    for (name, units) in files {
        let mut text = format!(
            "# {name}, {who}: whole frames, a content's behind its method; a blank line ends a method\n\
             # client: {}; server: RabbitMQ {VERSION}; recorded by `just capture-amqp`\n",
            peer.version()
        );
        for frames in units {
            text.push('\n');
            for frame in frames {
                write!(text, "{}", digits(frame)?)?;
            }
        }
        fs::write(dir.join(format!("{name}.hex")), text)?;
    }
    Ok(())
}
