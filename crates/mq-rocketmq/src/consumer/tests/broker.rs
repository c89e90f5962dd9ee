//! A nameserver and broker in one, in memory, that does what a test tells it to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::proto::command::{
    BrokerData, ConsumerList, ConsumerOffset, FoundOffset, GetConsumerList, GetMaxOffset,
    GetMinOffset, GetRoute, Heartbeat, LockQueues, LockedQueues, MaxOffset, MinOffset, PullMessage,
    PullReply, QueryOffset, QueueData, SearchOffset, SendBack, SendMessage, SendReply, TopicRoute,
    UnlockQueues, Unregister, UpdateOffset, pull_flag,
};
use crate::proto::message::{PropertyText, StoredMessage};
use crate::proto::{ExtFields, Fields, Flags, Frame, FrameDecoder, Header, Request, ResponseCode};

#[derive(Clone)]
pub(super) struct Broker {
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
    pub(super) url: String,
}

#[derive(Default)]
pub(super) struct State {
    address: String,
    /// Messages by topic and queue.
    pub(super) queues: BTreeMap<(String, i32), Vec<StoredMessage>>,
    /// The group's offsets.
    pub(super) offsets: HashMap<(String, i32), i64>,
    /// Every request, oldest first.
    pub(super) log: Vec<(i32, ExtFields, Bytes)>,
    /// Answers instead of the usual ones, by request code: how often, code, remark.
    pub(super) refuse: HashMap<i32, (usize, i32, String)>,
    /// Answers of pulls to come: code and next offset.
    pub(super) pull_answers: Vec<(i32, i64)>,
    /// Queues' first offsets, if not 0.
    pub(super) begins: i64,
    /// Who has locked which queue.
    pub(super) locks: HashMap<(String, i32), String>,
    /// Offsets that are not stored are said to be 0.
    pub(super) young: bool,
    /// Clients that are listed before the one that sent heartbeats.
    pub(super) others: Vec<String>,
    /// Group and id of the clients that are in it.
    own: BTreeSet<(String, String)>,
    connections: Vec<mpsc::Sender<Bytes>>,
    /// How long a pull waits for messages.
    pub(super) hold: Duration,
    /// How long requests of a kind wait for their answer.
    pub(super) delay: HashMap<i32, Duration>,
}

impl Broker {
    /// A broker with one topic of so many queues.
    pub(super) async fn start(topic: &str, queues: i32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broker = Self {
            url: format!("rocketmq://{address}"),
            state: Arc::new(Mutex::new(State {
                address,
                hold: Duration::from_millis(200),
                ..State::default()
            })),
            arrived: Arc::new(Notify::new()),
        };
        broker.add_topic(topic, queues);
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        broker
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn add_topic(&self, topic: &str, queues: i32) {
        let mut state = self.state();
        for id in 0..queues {
            state.queues.entry((topic.to_owned(), id)).or_default();
        }
    }

    /// Stores messages of one tag.
    pub(super) fn store(
        &self,
        topic: &str,
        queue: i32,
        tag: &str,
        bodies: impl IntoIterator<Item = String>,
    ) {
        for body in bodies {
            let mut message = StoredMessage::new(topic, body.into());
            message.properties = [("TAGS", tag), ("UNIQ_KEY", "ID")].into_iter().collect();
            self.append(queue, message);
        }
    }

    pub(super) fn append(&self, queue: i32, mut message: StoredMessage) {
        let mut state = self.state();
        let begins = state.begins;
        let log = state
            .queues
            .entry((message.topic.to_string(), queue))
            .or_default();
        message.queue_id = queue;
        message.queue_offset = begins + i64::try_from(log.len()).unwrap();
        message.physical_offset = 1000 * i64::from(queue + 1) + message.queue_offset;
        log.push(message);
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(super) fn offset(&self, topic: &str, queue: i32) -> Option<i64> {
        self.state()
            .offsets
            .get(&(topic.to_owned(), queue))
            .copied()
    }

    /// The requests of one kind so far.
    pub(super) fn requests<R: Request>(&self) -> Vec<R> {
        let state = self.state();
        let of_kind = state.log.iter().filter(|(code, ..)| *code == R::CODE.0);
        of_kind
            .map(|(_, ext, body)| R::parse(ext, body).unwrap())
            .collect()
    }

    /// The next `times` requests of this kind are answered so.
    pub(super) fn refuse<R: Request>(&self, times: usize, code: ResponseCode, remark: &str) {
        self.state()
            .refuse
            .insert(R::CODE.0, (times, code.0, remark.to_owned()));
    }

    /// Sends a request to every client.
    pub(super) fn tell<R: Request>(&self, request: &R) {
        let header = header(R::CODE.0, Flags::ONEWAY, request);
        let body = request.body();
        let frame = [header.encode(body.len()).into_bytes(), body].concat();
        let frame = Bytes::from(frame);
        self.state()
            .connections
            .retain(|to| to.try_send(frame.clone()).is_ok());
    }

    async fn serve(self, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        let (sender, mut outgoing) = mpsc::channel::<Bytes>(1024);
        self.state().connections.push(sender.clone());
        tokio::spawn(async move {
            while let Some(bytes) = outgoing.recv().await {
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let (mut decoder, mut buf) = (FrameDecoder::default(), BytesMut::new());
        while read.read_buf(&mut buf).await.is_ok_and(|read| read > 0) {
            while let Ok(Some(frame)) = decoder.decode(&mut buf) {
                let (broker, sender) = (self.clone(), sender.clone());
                tokio::spawn(async move {
                    let answer = broker.answer(&frame).await;
                    if !frame.header.flags.is_oneway() {
                        let mut bytes = BytesMut::from(
                            &answer.header.encode(answer.body.len()).into_bytes()[..],
                        );
                        bytes.extend_from_slice(&answer.body);
                        let _ = sender.send(bytes.freeze()).await;
                    }
                });
            }
        }
    }

    async fn answer(&self, frame: &Frame) -> Frame {
        let (code, ext, body) = (frame.header.code, &frame.header.ext, &frame.body);
        let refused = {
            let mut state = self.state();
            state.log.push((code, ext.clone(), body.clone()));
            match state.refuse.get_mut(&code) {
                Some((times, code, remark)) if *times > 0 => {
                    *times -= 1;
                    Some((*code, remark.clone()))
                }
                _ => None,
            }
        };
        let delay = self.state().delay.get(&code).copied();
        tokio::time::sleep(delay.unwrap_or_default()).await;
        let mut answer = match refused {
            Some((code, remark)) => plain(code, &remark),
            None if code == PullMessage::CODE.0 => {
                self.pull(&PullMessage::parse(ext, body).unwrap()).await
            }
            None => self.handle(code, ext, body),
        };
        answer.header.opaque = frame.header.opaque;
        answer
    }

    fn handle(&self, code: i32, ext: &ExtFields, body: &Bytes) -> Frame {
        let mut state = self.state();
        if let Some(answer) = state.offsets(code, ext, body) {
            return answer;
        }
        if let Some(answer) = state.locks(code, body) {
            return answer;
        }
        if code == GetRoute::CODE.0 {
            let topic = GetRoute::parse(ext, body).unwrap().topic;
            return state.route(&topic);
        } else if code == Heartbeat::CODE.0 {
            let heartbeat = Heartbeat::parse(ext, body).unwrap();
            for consumer in heartbeat.consumers {
                let member = (consumer.group_name, heartbeat.client_id.clone());
                state.own.insert(member);
            }
        } else if code == Unregister::CODE.0 {
            let asked = Unregister::parse(ext, body).unwrap();
            if let Some(group) = asked.consumer_group {
                let member = (group.to_string(), asked.client_id.to_string());
                state.own.remove(&member);
            }
        } else if code == GetConsumerList::CODE.0 {
            let group = GetConsumerList::parse(ext, body).unwrap().consumer_group;
            let client_ids = state.members(&group);
            return reply(ResponseCode::SUCCESS, &ConsumerList { client_ids });
        } else if code == SendBack::CODE.0 {
            let asked = SendBack::parse(ext, body).unwrap();
            drop(state);
            self.send_back(&asked);
        } else if code == SendMessage::CODE.0 {
            let sent = SendMessage::parse(ext, body).unwrap();
            let mut message = StoredMessage::new(&*sent.topic, sent.body.clone());
            message.properties = sent.properties.unwrap_or_default().into();
            message.reconsume_times = sent.reconsume_times.unwrap_or(0);
            drop(state);
            self.append(0, message);
            return reply(
                ResponseCode::SUCCESS,
                &SendReply {
                    message_id: "M".to_owned(),
                    ..SendReply::default()
                },
            );
        }
        plain(ResponseCode::SUCCESS.0, "")
    }

    fn send_back(&self, asked: &SendBack) {
        let found = {
            let state = self.state();
            let all = state.queues.values().flatten();
            all.clone()
                .find(|message| message.physical_offset == asked.physical_offset)
                .cloned()
        };
        let Some(mut message) = found.filter(|_| asked.delay_level >= 0) else {
            return;
        };
        let first = message.topic.clone();
        if message.properties.get("RETRY_TOPIC").is_none() {
            let mut all = message.properties.to_properties();
            all.set("RETRY_TOPIC", &*first);
            message.properties = PropertyText::from(&all);
        }
        message.topic = format!("%RETRY%{}", asked.group).into();
        message.reconsume_times += 1;
        self.append(0, message);
    }

    async fn pull(&self, asked: &PullMessage) -> Frame {
        let key = (asked.topic.to_string(), asked.queue_id);
        for last in [false, true] {
            let arrived = self.arrived.notified();
            let hold = {
                let mut state = self.state();
                if asked.sys_flag & pull_flag::COMMIT != 0 && !last {
                    state.offsets.insert(key.clone(), asked.commit_offset);
                }
                if !last && !key.0.starts_with('%') && !state.pull_answers.is_empty() {
                    let (code, next) = state.pull_answers.remove(0);
                    return reply(ResponseCode(code), &state.pulled(&key, next, Bytes::new()));
                }
                let begins = state.begins;
                if asked.queue_offset < begins {
                    let moved = state.pulled(&key, begins, Bytes::new());
                    return reply(ResponseCode::PULL_OFFSET_MOVED, &moved);
                }
                let from = usize::try_from(asked.queue_offset - begins).unwrap();
                let log = state
                    .queues
                    .get(&key)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let found = log.get(from..).unwrap_or_default();
                let found = &found[..found
                    .len()
                    .min(usize::try_from(asked.max_messages).unwrap())];
                if !found.is_empty() {
                    let mut body = BytesMut::new();
                    for message in found {
                        message.encode(&mut body);
                    }
                    let next = asked.queue_offset + i64::try_from(found.len()).unwrap();
                    return reply(
                        ResponseCode::SUCCESS,
                        &state.pulled(&key, next, body.freeze()),
                    );
                }
                state.hold
            };
            let _ = tokio::time::timeout(hold, arrived).await;
        }
        let state = self.state();
        reply(
            ResponseCode::PULL_NOT_FOUND,
            &state.pulled(&key, asked.queue_offset, Bytes::new()),
        )
    }
}

impl State {
    /// The clients of a group.
    pub(super) fn members(&self, group: &str) -> Vec<String> {
        let own = self.own.iter().filter(|(of, _)| of == group);
        let own = own.map(|(_, id)| id);
        self.others.iter().chain(own).cloned().collect()
    }

    fn offsets(&mut self, code: i32, ext: &ExtFields, body: &Bytes) -> Option<Frame> {
        if code == QueryOffset::CODE.0 {
            let asked = QueryOffset::parse(ext, body).unwrap();
            return Some(
                match self.offsets.get(&(asked.topic.to_string(), asked.queue_id)) {
                    Some(offset) => {
                        reply(ResponseCode::SUCCESS, &ConsumerOffset { offset: *offset })
                    }
                    // apache/rocketmq: ConsumerManageProcessor.queryConsumerOffset, a queue that is still in memory
                    None if self.young => {
                        reply(ResponseCode::SUCCESS, &ConsumerOffset { offset: 0 })
                    }
                    None => plain(ResponseCode::QUERY_NOT_FOUND.0, "none"),
                },
            );
        } else if code == UpdateOffset::CODE.0 {
            let told = UpdateOffset::parse(ext, body).unwrap();
            self.offsets
                .insert((told.topic.to_string(), told.queue_id), told.commit_offset);
        } else if code == GetMaxOffset::CODE.0 {
            let asked = GetMaxOffset::parse(ext, body).unwrap();
            let offset = self.end(&asked.topic, asked.queue_id);
            return Some(reply(ResponseCode::SUCCESS, &MaxOffset { offset }));
        } else if code == GetMinOffset::CODE.0 {
            return Some(reply(
                ResponseCode::SUCCESS,
                &MinOffset {
                    offset: self.begins,
                },
            ));
        } else if code == SearchOffset::CODE.0 {
            return Some(reply(
                ResponseCode::SUCCESS,
                &FoundOffset {
                    offset: self.begins + 1,
                },
            ));
        }
        None
    }

    fn locks(&mut self, code: i32, body: &Bytes) -> Option<Frame> {
        let ext = ExtFields::default();
        if code == LockQueues::CODE.0 {
            let asked = LockQueues::parse(&ext, body).unwrap();
            let mut queues = asked.queues;
            queues.retain(|queue| {
                let key = (queue.topic.clone(), queue.queue_id);
                let holder = self.locks.entry(key);
                *holder.or_insert_with(|| asked.client_id.clone()) == asked.client_id
            });
            return Some(reply(ResponseCode::SUCCESS, &LockedQueues { queues }));
        } else if code == UnlockQueues::CODE.0 {
            let asked = UnlockQueues::parse(&ext, body).unwrap().0;
            for queue in asked.queues {
                let key = (queue.topic, queue.queue_id);
                if self.locks.get(&key) == Some(&asked.client_id) {
                    self.locks.remove(&key);
                }
            }
        }
        None
    }

    fn route(&self, topic: &str) -> Frame {
        let count = self
            .queues
            .keys()
            .filter(|(known, _)| known == topic)
            .count();
        if count == 0 {
            return plain(ResponseCode::TOPIC_NOT_EXIST.0, "no such topic");
        }
        let count = i32::try_from(count).unwrap();
        let queue = QueueData {
            broker_name: "b".into(),
            read_queue_nums: count,
            write_queue_nums: count,
            perm: 6,
            topic_sys_flag: 0,
        };
        let broker = BrokerData {
            broker_name: "b".into(),
            broker_addrs: [(0, self.address.clone())].into(),
            ..BrokerData::default()
        };
        reply(
            ResponseCode::SUCCESS,
            &TopicRoute {
                queues: vec![queue],
                brokers: vec![broker],
                ..TopicRoute::default()
            },
        )
    }

    fn end(&self, topic: &str, queue: i32) -> i64 {
        let len = self
            .queues
            .get(&(topic.to_owned(), queue))
            .map_or(0, Vec::len);
        self.begins + i64::try_from(len).unwrap()
    }

    fn pulled(&self, key: &(String, i32), next_offset: i64, messages: Bytes) -> PullReply {
        PullReply {
            next_offset,
            min_offset: self.begins,
            max_offset: self.end(&key.0, key.1),
            messages,
            ..PullReply::default()
        }
    }
}

fn header(code: i32, flags: Flags, fields: &dyn Fields) -> Header {
    let mut ext = ExtFields::default();
    fields.fields(&mut ext);
    Header {
        code,
        language: crate::proto::Language::JAVA,
        version: 513,
        opaque: 0,
        flags,
        remark: None,
        ext,
        codec: crate::HeaderCodec::Json,
    }
}

fn plain(code: i32, remark: &str) -> Frame {
    let mut header = header(code, Flags::RESPONSE, &ExtFields::default());
    header.remark = Some(remark.to_owned());
    Frame {
        header,
        body: Bytes::new(),
    }
}

fn reply<R: crate::proto::Reply>(code: ResponseCode, reply: &R) -> Frame {
    Frame {
        header: header(code.0, Flags::RESPONSE, reply),
        body: reply.body(),
    }
}
