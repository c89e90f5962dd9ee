use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mq_core::{Clock as _, ErrorKind, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

mod limits;
mod ordered;

use crate::conn::TimerClock;
use crate::proto::command::{
    BrokerData, GetRoute, QueueData, Reply, Request, SendMessage, SendReply, TopicRoute,
};
use crate::proto::message::properties;
use crate::proto::{
    ExtFields, Fields, Flags, Frame, FrameDecoder, Header, MAX_FRAME, ResponseCode,
};
use crate::{Client, Message};

mod scheduled;

/// How the next send is dealt with.
#[derive(Debug, Clone, Copy)]
enum Step {
    Store,
    Refuse(ResponseCode),
    /// Closes the connection without an answer.
    Cut,
    /// The same, and takes no connection any more.
    Die,
    /// Says nothing, and goes on.
    Ignore,
    /// Waits whether another request comes before this one is answered, and stores it.
    StoreAlone,
}

/// A nameserver and broker in one, which follows a script.
#[derive(Clone)]
struct Server {
    address: String,
    script: Arc<Mutex<Vec<Step>>>,
    sends: Arc<Mutex<Vec<SendMessage>>>,
    /// The headers of the sends.
    headers: Arc<Mutex<Vec<Header>>>,
    /// The version that its answers say; 0: the client's own.
    version: Arc<AtomicI32>,
    /// When each send came.
    times: Arc<Mutex<Vec<Instant>>>,
    /// Reads and says nothing.
    frozen: Arc<AtomicBool>,
    /// Brokers in its route: name and address.
    brokers: Arc<Mutex<Vec<(String, String)>>>,
    /// How many queues each broker of the route has.
    queues: Arc<AtomicI32>,
    /// Another request came before the last was answered.
    crowded: Arc<AtomicBool>,
}

impl Server {
    async fn start(script: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self {
            brokers: Arc::new(Mutex::new(vec![("b".to_owned(), address.clone())])),
            address,
            script: Arc::new(Mutex::new(script.iter().rev().copied().collect())),
            sends: Arc::default(),
            headers: Arc::default(),
            version: Arc::default(),
            times: Arc::default(),
            frozen: Arc::default(),
            queues: Arc::new(AtomicI32::new(1)),
            crowded: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            let (died, mut death) = tokio::sync::mpsc::channel::<()>(1);
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (serving, died) = (serving.clone(), died.clone());
                        tokio::spawn(async move {
                            if serving.serve(accepted.unwrap().0).await {
                                died.send(()).await.unwrap();
                            }
                        });
                    }
                    _ = death.recv() => return,
                }
            }
        });
        server
    }

    /// Serves a connection; the answer is whether the server dies with it.
    async fn serve(&self, mut stream: TcpStream) -> bool {
        let (mut decoder, mut buffer) = (FrameDecoder::new(MAX_FRAME), BytesMut::new());
        loop {
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                if self.frozen.load(Ordering::Acquire) {
                    continue;
                }
                let (code, reply, body) = if frame.header.code == GetRoute::CODE.0 {
                    (ResponseCode::SUCCESS, ExtFields::new(), self.route())
                } else if frame.header.code == SendMessage::CODE.0 {
                    let send = SendMessage::parse(&frame.header.ext, &frame.body).unwrap();
                    self.sends.lock().unwrap().push(send);
                    self.headers.lock().unwrap().push(frame.header.clone());
                    self.times.lock().unwrap().push(TimerClock.now());
                    let step = self
                        .script
                        .lock()
                        .unwrap()
                        .pop()
                        .expect("more sends than steps");
                    match step {
                        Step::Store => (ResponseCode::SUCCESS, stored(), Bytes::new()),
                        Step::Refuse(code) => (code, ExtFields::new(), Bytes::new()),
                        Step::Cut => return false,
                        Step::Die => return true,
                        Step::Ignore => continue,
                        Step::StoreAlone => {
                            let more = stream.read_buf(&mut buffer);
                            let soon = tokio::time::timeout(Duration::from_millis(5), more);
                            if soon.await.is_ok() {
                                self.crowded.store(true, Ordering::Release);
                            }
                            (ResponseCode::SUCCESS, stored(), Bytes::new())
                        }
                    }
                } else {
                    (ResponseCode::SUCCESS, ExtFields::new(), Bytes::new())
                };
                let mut frame = frame;
                let version = self.version.load(Ordering::Acquire);
                if version != 0 {
                    frame.header.version = version;
                }
                answer(&mut stream, &frame, code, reply, &body).await;
            }
            if !matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
                return false;
            }
        }
    }

    fn route(&self) -> Bytes {
        let all = self.brokers.lock().unwrap();
        let share = |(name, _): &(String, String)| QueueData {
            broker_name: name.clone(),
            read_queue_nums: self.queues.load(Ordering::Acquire),
            write_queue_nums: self.queues.load(Ordering::Acquire),
            perm: 6,
            ..QueueData::default()
        };
        let broker = |(name, address): &(String, String)| BrokerData {
            broker_name: name.clone(),
            broker_addrs: [(0, address.clone())].into(),
            ..BrokerData::default()
        };
        TopicRoute {
            queues: all.iter().map(share).collect(),
            brokers: all.iter().map(broker).collect(),
            ..TopicRoute::default()
        }
        .body()
    }

    /// Two brokers; the first is the nameserver, too.
    async fn pair(first: &[Step], second: &[Step]) -> [Self; 2] {
        let pair = [Self::start(first).await, Self::start(second).await];
        let other = ("c".to_owned(), pair[1].address.clone());
        pair[0].brokers.lock().unwrap().push(other);
        pair
    }

    fn count(&self) -> usize {
        self.sends.lock().unwrap().len()
    }

    async fn client(&self) -> Client {
        let url = format!("rocketmq://{}", self.address);
        Client::from_url(&url).unwrap().connect().await.unwrap()
    }

    fn unique_ids(&self) -> Vec<String> {
        let sends = self.sends.lock().unwrap();
        let id = |send: &SendMessage| {
            let all = properties::decode(send.properties.as_deref().unwrap());
            all.get("UNIQ_KEY").unwrap().to_owned()
        };
        sends.iter().map(id).collect()
    }
}

async fn answer(
    stream: &mut TcpStream,
    request: &Frame,
    code: ResponseCode,
    ext: ExtFields,
    body: &Bytes,
) {
    let mut header = request.header.clone();
    header.flags = Flags::RESPONSE;
    header.code = code.0;
    header.ext = ext;
    let mut bytes = BytesMut::from(&header.encode(body.len()).into_bytes()[..]);
    bytes.extend_from_slice(body);
    // The client may have gone.
    let _ = stream.write_all(&bytes).await;
}

fn stored() -> ExtFields {
    let mut ext = ExtFields::new();
    SendReply {
        message_id: "00".into(),
        queue_offset: 7,
        ..SendReply::default()
    }
    .fields(&mut ext);
    ext
}

fn message() -> Message {
    Message::new("t", "body")
}

#[tokio::test]
async fn a_busy_broker_is_tried_again_under_the_same_id() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    let server = Server::start(&[busy, busy, Step::Store]).await;
    let producer = server.client().await.producer("g").build().await.unwrap();
    let receipt = producer.send(message()).await.unwrap();
    assert_eq!(receipt.offset(), 7);
    assert_eq!(server.unique_ids(), [receipt.unique_id(); 3]);
}

#[tokio::test]
async fn the_pause_before_the_same_broker_begins_with_its_refusal() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    let server = Server::start(&[Step::Store, busy, busy, Step::Store]).await;
    let producer = server.client().await.producer("g").build().await.unwrap();
    producer.send(message()).await.unwrap();
    // The retry task was last awake long before the refusal.
    tokio::time::sleep(Duration::from_millis(400)).await;
    producer.send(message()).await.unwrap();
    let times = server.times.lock().unwrap();
    for (attempt, pair) in (1..).zip(times[1..].windows(2)) {
        let pause = pair[1] - pair[0];
        assert!(
            pause >= Duration::from_millis(100) * attempt,
            "{pause:?} after attempt {attempt}"
        );
    }
}

#[tokio::test]
async fn no_attempt_is_made_past_the_deadline() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    let server = Server::start(&[busy]).await;
    let producer = server.client().await.producer("g").build().await.unwrap();
    // Shorter than the pause before the second attempt.
    let sending = producer.send(message()).timeout(Duration::from_millis(80));
    let failed = sending.await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Busy, "{failed}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.unique_ids().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_tried_again_under_the_same_id() {
    let server = Server::start(&[Step::Cut, Step::Store]).await;
    let producer = server.client().await.producer("g").build().await.unwrap();
    let receipt = producer.send(message()).await.unwrap();
    assert_eq!(server.unique_ids(), [receipt.unique_id(); 2]);
}

#[tokio::test]
async fn what_may_be_stored_stays_unknown_whatever_later_attempts_say() {
    let refused = Step::Refuse(ResponseCode::MESSAGE_ILLEGAL);
    for script in [&[Step::Cut, refused][..], &[Step::Die][..]] {
        let server = Server::start(script).await;
        let producer = server.client().await.producer("g").build().await.unwrap();
        let failed = producer.send(message()).await.unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown, "{script:?}: {failed}");
        assert!(failed.error.to_string().contains("attempt"), "{failed}");
        assert_eq!(
            failed.message.unique_id(),
            server.unique_ids().first().map(String::as_str)
        );
    }
}

#[tokio::test]
async fn a_refusal_that_no_attempt_can_cure_is_not_tried_again() {
    let server = Server::start(&[Step::Refuse(ResponseCode::MESSAGE_ILLEGAL)]).await;
    let producer = server.client().await.producer("g").build().await.unwrap();
    let failed = producer.send(message()).await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Rejected);
    assert_eq!(server.unique_ids().len(), 1);
}

#[tokio::test]
async fn a_closed_client_sends_nothing_and_gives_the_message_back() {
    let server = Server::start(&[]).await;
    let client = server.client().await;
    let producer = client.producer("g").build().await.unwrap();
    client.close().await.unwrap();
    let failed = producer
        .send(message())
        .timeout(Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(
        (failed.error.kind(), failed.outcome()),
        (ErrorKind::Closed, Outcome::NotSent)
    );
    assert_eq!(failed.message.body(), message().body());
}

#[tokio::test]
async fn another_broker_is_tried_at_once_under_the_same_id() {
    let busy = Step::Refuse(ResponseCode::SYSTEM_BUSY);
    for failure in [busy, Step::Cut, Step::Die] {
        let [one, other] = Server::pair(&[Step::Store; 9], &[failure, Step::Store]).await;
        let producer = one.client().await.producer("g").build().await.unwrap();
        while other.count() == 0 {
            producer.send(message()).await.unwrap();
        }
        let refused = other.unique_ids().remove(0);
        assert_eq!(one.unique_ids().last(), Some(&refused), "{failure:?}");
        let times = [&one, &other].map(|server| *server.times.lock().unwrap().last().unwrap());
        let pause = times[0] - times[1];
        assert!(pause < Duration::from_millis(90), "{failure:?}: {pause:?}");
    }
}

/// The first sends of a frozen broker are answered by the other one; further ones do not go there until it answers.
#[tokio::test]
async fn a_broker_that_keeps_silent_gets_no_sends_until_it_answers() {
    let [one, other] = Server::pair(&[Step::Store; 99], &[Step::Store; 99]).await;
    let client = one.client().await;
    let producer = client
        .producer("g")
        .attempt_timeout(Duration::from_millis(600))
        .build()
        .await
        .unwrap();
    while other.count() == 0 {
        producer.send(message()).await.unwrap();
    }
    other.frozen.store(true, Ordering::Release);
    let begun = TimerClock.now();
    for _ in 0..20 {
        producer.send(message()).await.unwrap();
    }
    // One found out.
    let waited = TimerClock.now() - begun;
    assert!(waited < Duration::from_millis(1150), "{waited:?}");
    let ill = client.health();
    let [ill] = ill
        .peers
        .iter()
        .filter(|peer| peer.failure.is_some())
        .collect::<Vec<_>>()[..]
    else {
        panic!("{ill:?}");
    };
    assert_eq!((&*ill.endpoint, ill.avoided), (&*other.address, true));
    other.frozen.store(false, Ordering::Release);
    let before = other.count();
    while other.count() == before {
        assert!(TimerClock.now() - begun < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
        producer.send(message()).await.unwrap();
    }
    assert!(client.health().is_good());
}

#[tokio::test]
async fn a_oneway_send_that_was_written_is_no_failure_and_gives_its_room_back_once() {
    let server = Server::start(&[Step::Store; 4]).await;
    let producer = server.client().await.producer("g").max_in_flight(1);
    let producer = producer.build().await.unwrap();
    for key in [None, Some("k")] {
        let mut message = message();
        if let Some(key) = key {
            message = message.ordering_key(key);
        }
        producer.send_oneway(message.clone()).await.unwrap();
        producer.flush().await.unwrap();
        producer.send(message).await.unwrap();
    }
}
