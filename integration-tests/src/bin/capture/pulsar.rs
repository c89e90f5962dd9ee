//! Records Pulsar's client for Java with a broker of its own: the golden fixtures of mq-pulsar's codec.
//!
//! ```text
//!   Java client ──► recording proxy ──► Node       crates/mq-pulsar/tests/fixtures/java/<step>.<command>.hex
//! ```
//!
//! A step of the script names the commands that it is recorded for; the first of each since the last step is kept.

use std::fs;
use std::time::Duration;

use integration_tests::brokers::pulsar::{ADMIN, Node, VERSION, token};
use integration_tests::foreign::pulsar::{self, Session, fixtures};
use integration_tests::harness::pulsar::{Manage, own_node, own_secured_node};
use integration_tests::harness::{wall, within};
use mq_dev::proxy::{Direction, Proxy, PulsarFrame};
use serde_json::{Value, json};

use super::Result;
use super::fixtures::digits;

mod consuming;
mod producing;
mod transactions;

#[tokio::main]
pub(super) async fn record() -> Result<()> {
    let dir = fixtures();
    for entry in fs::read_dir(&dir).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            fs::remove_file(path)?;
        }
    }
    fs::create_dir_all(&dir)?;
    let node = own_node().await;
    let mut play = Play::start(&node, &node.url(), &[]).await?;
    play.manage = Some(Manage::of(&node));
    play.connect().await?;
    producing::play(&mut play).await?;
    consuming::play(&mut play).await?;
    transactions::play(&mut play).await?;
    play.check_complete()?;
    drop(node);
    secured().await?;
    println!("{} files in {}", fs::read_dir(&dir)?.count(), dir.display());
    Ok(())
}

/// A token that is asked for anew, and one that is refused.
async fn secured() -> Result<()> {
    let node = own_secured_node().await;
    let tokens = node.tokens().ok_or("a secured broker has tokens")?;
    let key = fs::read(tokens.key())?;
    // Beside them, so that it goes with the broker.
    let file = tokens.key().with_file_name("own");
    let soon = wall() + Duration::from_secs(4);
    fs::write(&file, token(&key, ADMIN, Some(soon)))?;
    let option = file.display().to_string();
    let mut play = Play::start(&node, &node.url(), &["--token", &option]).await?;
    play.ask("Producer", json!({ "producer": "p", "topic": "secured" }))
        .await?;
    play.keep("connect-token", "> CONNECT < CONNECTED").await?;
    fs::write(&file, token(&key, ADMIN, None))?;
    play.keep("challenge", "< AUTH_CHALLENGE > AUTH_RESPONSE")
        .await?;
    fs::write(&file, token(&[0; 32], ADMIN, None))?;
    let mut play = Play::start(&node, &node.url(), &["--token", &option]).await?;
    play.refused("Producer", json!({ "producer": "p", "topic": "secured" }))
        .await?;
    play.keep("connect-foreign-token", "> CONNECT < ERROR")
        .await?;
    play.check_complete()
}

/// One client behind a proxy, and what of it is kept.
struct Play {
    theirs: Session,
    proxy: Proxy,
    manage: Option<Manage>,
    seen: usize,
}

impl Play {
    async fn start(node: &Node, url: &str, options: &[&str]) -> Result<Self> {
        let proxy = Proxy::builder(node.addr().to_string())
            .pulsar()
            .record(true);
        let proxy = proxy.start().await?;
        let url = url.replace(&node.addr().to_string(), &proxy.addr().to_string());
        let theirs = Session::start(&url, options).await?;
        Ok(Self {
            theirs,
            proxy,
            manage: None,
            seen: 0,
        })
    }

    async fn connect(&mut self) -> Result<()> {
        self.ask("Partitions", json!({ "topic": "plain" })).await?;
        let wanted = "> CONNECT < CONNECTED > PARTITIONED_METADATA < PARTITIONED_METADATA_RESPONSE \
                      > TC_CLIENT_CONNECT_REQUEST < TC_CLIENT_CONNECT_RESPONSE";
        self.keep("connect", wanted).await?;
        self.keep("idle", "> PING < PONG").await
    }

    fn manage(&self) -> Result<&Manage> {
        Ok(self.manage.as_ref().ok_or("no management")?)
    }

    async fn ask(&mut self, action: &str, params: Value) -> Result<Value> {
        let answer = self.theirs.call(action, params.clone()).await;
        answer.map_err(|why| format!("{action} {params}: {why}").into())
    }

    async fn refused(&mut self, action: &str, params: Value) -> Result<()> {
        match self.theirs.call(action, params.clone()).await {
            Ok(_) => Err(format!("{action} {params} was not refused").into()),
            Err(_) => Ok(()),
        }
    }

    /// Keeps what is wanted since the last time: `> SEND < SEND_RECEIPT` is what the client sent, and what it was answered. Waits for it.
    async fn keep(&mut self, step: &str, wanted: &str) -> Result<()> {
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let seen = self.seen;
        let found = |proxy: &Proxy| {
            let frames = proxy.pulsar_frames();
            let since = frames.get(seen..).unwrap_or_default();
            let mut places = Vec::new();
            let mut asked = 0;
            for pair in words.chunks(2) {
                let [arrow, command] = pair else { return None };
                // An answer comes behind what was asked last.
                let from = if *arrow == ">" { 0 } else { asked };
                let mut later = since.iter().enumerate().skip(from);
                let (place, _) = later
                    .find(|(at, frame)| !places.contains(at) && is_meant(frame, arrow, command))?;
                if *arrow == ">" {
                    asked = place;
                }
                places.push(place);
            }
            Some((since.to_vec(), places))
        };
        let waiting = self.proxy.until(|proxy| found(proxy).is_some());
        within(
            Duration::from_secs(40),
            &format!("{step}: {wanted}"),
            waiting,
        )
        .await;
        let (since, places) = found(&self.proxy).ok_or("frames are gone")?;
        self.seen += since.len();
        let mut names: Vec<String> = Vec::new();
        for (pair, place) in words.chunks(2).zip(places) {
            let command = pair.last().copied().unwrap_or_default();
            let command = command.to_lowercase().replace('_', "-");
            let mut name = format!("{step}.{command}");
            if names.contains(&name) {
                name += "-2";
            }
            names.push(name.clone());
            let frame = since.get(place).ok_or("a frame is gone")?;
            save(&name, frame)?;
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<()> {
        if self.proxy.is_complete() {
            return Ok(());
        }
        Err("the recording is longer than the proxy keeps".into())
    }
}

fn is_meant(frame: &PulsarFrame, arrow: &str, command: &str) -> bool {
    let direction = if arrow == ">" {
        Direction::ToServer
    } else {
        Direction::ToClient
    };
    let code = COMMANDS.iter().find(|(_, name)| *name == command);
    // The type is a command's first field.
    let is_code = |code: u8| frame.frame.get(8..10) == Some(&[8, code]);
    frame.direction == direction && code.is_some_and(|(code, _)| is_code(*code))
}

fn save(name: &str, frame: &PulsarFrame) -> Result<()> {
    let whose = match frame.direction {
        Direction::ToServer => "what the client sent",
        Direction::ToClient => "what the broker sent",
    };
    let text = format!(
        "# {name}: {whose}, a whole frame with its total size\n\
         # client: org.apache.pulsar:pulsar-client {}; server: Pulsar {VERSION}; recorded by `just capture-pulsar`\n\n{}",
        pulsar::VERSION,
        digits(&frame.frame)?
    );
    fs::write(fixtures().join(format!("{name}.hex")), text)?;
    Ok(())
}

/// apache/pulsar: PulsarApi.proto, `BaseCommand.Type`.
const COMMANDS: &[(u8, &str)] = &[
    (2, "CONNECT"),
    (3, "CONNECTED"),
    (4, "SUBSCRIBE"),
    (5, "PRODUCER"),
    (6, "SEND"),
    (7, "SEND_RECEIPT"),
    (8, "SEND_ERROR"),
    (9, "MESSAGE"),
    (10, "ACK"),
    (11, "FLOW"),
    (12, "UNSUBSCRIBE"),
    (13, "SUCCESS"),
    (14, "ERROR"),
    (15, "CLOSE_PRODUCER"),
    (16, "CLOSE_CONSUMER"),
    (17, "PRODUCER_SUCCESS"),
    (18, "PING"),
    (19, "PONG"),
    (20, "REDELIVER_UNACKNOWLEDGED_MESSAGES"),
    (21, "PARTITIONED_METADATA"),
    (22, "PARTITIONED_METADATA_RESPONSE"),
    (23, "LOOKUP"),
    (24, "LOOKUP_RESPONSE"),
    (25, "CONSUMER_STATS"),
    (26, "CONSUMER_STATS_RESPONSE"),
    (27, "REACHED_END_OF_TOPIC"),
    (28, "SEEK"),
    (29, "GET_LAST_MESSAGE_ID"),
    (30, "GET_LAST_MESSAGE_ID_RESPONSE"),
    (31, "ACTIVE_CONSUMER_CHANGE"),
    (32, "GET_TOPICS_OF_NAMESPACE"),
    (33, "GET_TOPICS_OF_NAMESPACE_RESPONSE"),
    (34, "GET_SCHEMA"),
    (35, "GET_SCHEMA_RESPONSE"),
    (36, "AUTH_CHALLENGE"),
    (37, "AUTH_RESPONSE"),
    (38, "ACK_RESPONSE"),
    (39, "GET_OR_CREATE_SCHEMA"),
    (40, "GET_OR_CREATE_SCHEMA_RESPONSE"),
    (50, "NEW_TXN"),
    (51, "NEW_TXN_RESPONSE"),
    (52, "ADD_PARTITION_TO_TXN"),
    (53, "ADD_PARTITION_TO_TXN_RESPONSE"),
    (54, "ADD_SUBSCRIPTION_TO_TXN"),
    (55, "ADD_SUBSCRIPTION_TO_TXN_RESPONSE"),
    (56, "END_TXN"),
    (57, "END_TXN_RESPONSE"),
    (58, "END_TXN_ON_PARTITION"),
    (59, "END_TXN_ON_PARTITION_RESPONSE"),
    (60, "END_TXN_ON_SUBSCRIPTION"),
    (61, "END_TXN_ON_SUBSCRIPTION_RESPONSE"),
    (62, "TC_CLIENT_CONNECT_REQUEST"),
    (63, "TC_CLIENT_CONNECT_RESPONSE"),
    (64, "WATCH_TOPIC_LIST"),
    (65, "WATCH_TOPIC_LIST_SUCCESS"),
    (66, "WATCH_TOPIC_UPDATE"),
    (67, "WATCH_TOPIC_LIST_CLOSE"),
    (68, "TOPIC_MIGRATED"),
];
