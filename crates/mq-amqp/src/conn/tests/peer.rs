//! A server on loopback that does what a script says, and otherwise what a broker does that takes everything.

mod words;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use self::words::*;
use crate::conn::now;
use crate::proto::*;
use crate::{Client, ClientBuilder, Consumer, Delivery, Event, Events, Result};

/// Longer than anything takes that does not hang.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long a call may take when it is not to be answered.
pub(crate) const HASTE: Duration = Duration::from_millis(500);

/// What a client has said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Which connection, from 0 on.
    pub(crate) connection: usize,
    pub(crate) channel: u16,
    /// The method's name; `header` and `heartbeat` for what is none.
    pub(crate) name: &'static str,
    /// Of a message: its number on its channel, from 1 on; 0 in a transaction.
    pub(crate) tag: u64,
    /// `None` for the protocol header and for heartbeats.
    pub(crate) incoming: Option<Incoming>,
}

/// What a script does about it.
pub(crate) enum Then {
    Usual,
    Nothing,
    /// This, in the place of the usual answer.
    Say(BytesMut),
    /// The usual answer and this, in one write.
    Add(BytesMut),
    HangUp,
    /// The usual answer; after it nothing more is read, for so long.
    Deaf(Duration),
}

type Script = dyn FnMut(&Said) -> Then + Send;

pub(crate) struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    script: Mutex<Box<Script>>,
    said: Mutex<Vec<Said>>,
    /// Of each connection: what it is to say, and `None` when it is over.
    voices: Mutex<Vec<Option<mpsc::Sender<BytesMut>>>>,
}

impl Peer {
    pub(crate) async fn start(script: impl FnMut(&Said) -> Then + Send + 'static) -> Self {
        Self::at("127.0.0.1:0", script).await
    }

    /// Does what every broker does.
    pub(crate) async fn usual() -> Self {
        Self::start(|_| Then::Usual).await
    }

    pub(crate) async fn at(
        address: &str,
        script: impl FnMut(&Said) -> Then + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            said: Mutex::default(),
            voices: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let serving = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (voice, words) = mpsc::channel(64);
                let mut voices = serving.voices.lock().unwrap();
                let connection = voices.len();
                voices.push(Some(voice));
                drop(voices);
                let shared = Arc::clone(&serving);
                each.spawn(async move {
                    Conversation::new(connection, stream, &shared)
                        .hold(words)
                        .await;
                    shared.voices.lock().unwrap()[connection] = None;
                });
            }
        });
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Options of a client of this server.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::from_url(&format!("amqp://guest:guest@{}/", self.address)).unwrap()
    }

    /// A client that waits for nothing longer than [`HASTE`].
    pub(crate) async fn hasty(&self) -> Client {
        let client = self.client().call_timeout(HASTE).connect_timeout(HASTE * 2);
        within(client.connect()).await.unwrap()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) async fn connect(&self) -> Client {
        within(self.client().connect()).await.unwrap()
    }

    /// Says something on every connection that stands.
    pub(crate) async fn say(&self, bytes: &[u8]) {
        let voices = self.shared.voices.lock().unwrap().clone();
        for voice in voices.into_iter().flatten() {
            // It may be over by now.
            let _ = voice.send(bytes.into()).await;
        }
    }

    /// Says something on one connection.
    pub(crate) async fn tell(&self, connection: usize, bytes: &[u8]) {
        let voice = self.shared.voices.lock().unwrap()[connection].clone();
        if let Some(voice) = voice {
            let _ = voice.send(bytes.into()).await;
        }
    }

    /// Delivers a message to who began to consume last, and gives on which channel that was.
    pub(crate) async fn deliver(&self, tag: u64, body: &str) -> u16 {
        let (connection, channel) = self.consuming();
        self.tell(connection, &deliver(channel, CONSUMER, tag, body))
            .await;
        channel
    }

    /// Delivers a message to a consumer, again wherever it begins again, and gives what it receives.
    pub(crate) async fn receive(&self, consumer: &Consumer) -> Result<Option<Delivery>> {
        within(async {
            let mut told = None;
            loop {
                if told.replace(self.consuming()) != Some(self.consuming()) {
                    self.deliver(1, "x").await;
                }
                let next = tokio::time::timeout(Duration::from_millis(20), consumer.recv());
                if let Ok(next) = next.await {
                    return next;
                }
            }
        })
        .await
    }

    /// The connection and the channel of who began to consume last.
    pub(crate) fn consuming(&self) -> (usize, u16) {
        let said = self.shared.said.lock().unwrap();
        let mut begun = said.iter().rev();
        let begun = begun.find(|said| said.name == "basic.BasicConsume");
        begun.map(|said| (said.connection, said.channel)).unwrap()
    }

    /// Cuts every connection that stands.
    pub(crate) async fn hang_up(&self) {
        // An empty word is the last one.
        self.say(b"").await;
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.shared.said.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        let said = self.shared.said.lock().unwrap();
        said.iter().filter(|said| said.name == name).count()
    }

    /// How many connections were made.
    pub(crate) fn made(&self) -> usize {
        self.shared.voices.lock().unwrap().len()
    }

    /// How many of them stand.
    pub(crate) fn stand(&self) -> usize {
        self.shared.voices.lock().unwrap().iter().flatten().count()
    }
}

/// What a test waits for has to come.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .expect("it came to no end")
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = now();
    while !condition() {
        assert!(now() - begun < SOON, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The next loss of a connection, with why.
pub(crate) async fn lost(events: &mut Events) -> crate::Error {
    within(lost_at_any_time(events)).await
}

pub(crate) async fn lost_at_any_time(events: &mut Events) -> crate::Error {
    loop {
        if let Event::Disconnected { error, .. } = events.next().await.unwrap() {
            return error;
        }
    }
}

struct Conversation<'a> {
    connection: usize,
    stream: TcpStream,
    shared: &'a Shared,
    inbound: BytesMut,
    channels: HashMap<u16, (Assembler, u64)>,
    /// Those in transactional mode.
    transactional: HashSet<u16>,
    /// The protocol header has come.
    greeted: bool,
    /// Nothing is read until then.
    deaf: Option<tokio::time::Instant>,
}

impl<'a> Conversation<'a> {
    fn new(connection: usize, stream: TcpStream, shared: &'a Shared) -> Self {
        Self {
            connection,
            stream,
            shared,
            inbound: BytesMut::new(),
            channels: HashMap::new(),
            transactional: HashSet::new(),
            greeted: false,
            deaf: None,
        }
    }

    async fn hold(mut self, mut words: mpsc::Receiver<BytesMut>) {
        let mut decoder = FrameDecoder::new(1 << 30);
        loop {
            if !self.greeted && self.inbound.len() >= PROTOCOL_HEADER.len() {
                assert_eq!(self.inbound.split_to(8), PROTOCOL_HEADER[..]);
                if !self.answer(0, None).await {
                    return;
                }
            }
            while self.greeted
                && let Some(frame) = decoder.decode(&mut self.inbound).unwrap()
            {
                let channel = frame.channel;
                if frame.kind == Kind::Heartbeat {
                    if !self.answer(channel, None).await {
                        return;
                    }
                    continue;
                }
                let (assembler, _) = self.channels.entry(channel).or_default();
                if let Some(incoming) = assembler.take(frame, u64::MAX).unwrap()
                    && !self.answer(channel, Some(incoming)).await
                {
                    return;
                }
            }
            let deaf = self.deaf;
            tokio::select! {
                () = async { tokio::time::sleep_until(deaf.unwrap()).await }, if deaf.is_some() => self.deaf = None,
                read = self.stream.read_buf(&mut self.inbound), if deaf.is_none() => if !matches!(read, Ok(1..)) {
                    return;
                },
                Some(said) = words.recv() => if said.is_empty() || self.stream.write_all(&said).await.is_err() {
                    return;
                },
            }
        }
    }

    /// Asks the script; the answer is whether it goes on.
    async fn answer(&mut self, channel: u16, incoming: Option<Incoming>) -> bool {
        let said = self.read(channel, incoming);
        self.shared.said.lock().unwrap().push(said.clone());
        let then = (self.shared.script.lock().unwrap())(&said);
        let last = said.name == "connection.ConnectionClose";
        let answer = match then {
            Then::Usual => usual(&said),
            Then::Nothing => return true,
            Then::Say(bytes) => bytes,
            Then::Add(bytes) => {
                let mut answer = usual(&said);
                answer.extend_from_slice(&bytes);
                answer
            }
            Then::Deaf(time) => {
                self.deaf = Some(now() + time);
                usual(&said)
            }
            Then::HangUp => return false,
        };
        self.stream.write_all(&answer).await.is_ok() && !last
    }

    fn read(&mut self, channel: u16, incoming: Option<Incoming>) -> Said {
        let (_, published) = self.channels.entry(channel).or_default();
        let mut tag = 0;
        let name = match &incoming {
            Some(Incoming::Content(method, _)) => {
                if !self.transactional.contains(&channel) {
                    *published += 1;
                    tag = *published;
                }
                method.name()
            }
            Some(Incoming::Method(method)) => {
                if matches!(method, Method::ChannelOpen(_)) {
                    *published = 0;
                    self.transactional.remove(&channel);
                }
                if matches!(method, Method::TxSelect(_)) {
                    self.transactional.insert(channel);
                }
                method.name()
            }
            None if self.greeted => "heartbeat",
            None => "header",
        };
        self.greeted = true;
        Said {
            connection: self.connection,
            channel,
            name,
            tag,
            incoming,
        }
    }
}
