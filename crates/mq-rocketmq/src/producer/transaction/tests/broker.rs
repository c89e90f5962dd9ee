//! A nameserver and broker in one, which stores half messages, asks when it is told to, and answers as it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::Client;
use crate::proto::command::{
    BrokerData, CheckTransaction, ClusterInfo, EndTransaction, GetClusterInfo, GetRoute, QueueData,
    Reply as _, SendMessage, SendReply, TopicRoute,
};
use crate::proto::message::{OffsetMessageId, StoredMessage, SysFlag};
use crate::proto::{ExtFields, Fields, Flags, Frame, FrameDecoder, Header, Request, ResponseCode};

/// Instead of the usual answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Answer(ResponseCode),
    Cut,
    Keep,
    /// The usual answer, later.
    After(Duration),
}

#[derive(Clone)]
pub(super) struct Broker {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    log: Vec<(i32, bool, ExtFields, Bytes)>,
    steps: HashMap<i32, VecDeque<Step>>,
    connections: Vec<mpsc::Sender<Bytes>>,
    /// Other brokers: name and address.
    others: Vec<(String, String)>,
    halves: i64,
    without_topics: bool,
}

impl Broker {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Self {
            address: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
        };
        let serving = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        broker
    }

    pub(super) async fn client(&self) -> Client {
        let url = format!("rocketmq://{}", self.address);
        Client::from_url(&url).unwrap().connect().await.unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next request of this kind is dealt with so.
    pub(super) fn next<R: Request>(&self, step: Step) {
        let mut state = self.state();
        state.steps.entry(R::CODE.0).or_default().push_back(step);
    }

    pub(super) fn forget_steps(&self) {
        self.state().steps.clear();
    }

    /// Its routes name another broker, too.
    pub(super) fn beside(&self, name: &str, other: &Self) {
        let other = (name.to_owned(), other.address.clone());
        self.state().others.push(other);
    }

    pub(super) fn has_no_topics(&self) {
        self.state().without_topics = true;
    }

    /// The requests of one kind, and whether they want an answer.
    pub(super) fn requests<R: Request>(&self) -> Vec<(R, bool)> {
        let state = self.state();
        let of_kind = state.log.iter().filter(|(code, ..)| *code == R::CODE.0);
        of_kind
            .map(|(_, oneway, ext, body)| (R::parse(ext, body).unwrap(), !oneway))
            .collect()
    }

    /// Decisions, as (number, offset of the half message, whether asked, whether an answer is wanted).
    pub(super) fn ends(&self) -> Vec<(i32, i64, bool, bool)> {
        let all = self.requests::<EndTransaction>();
        all.into_iter()
            .map(|(end, wants)| {
                (
                    end.decision,
                    end.half_offset,
                    end.from_check == Some(true),
                    wants,
                )
            })
            .collect()
    }

    /// Asks everybody about a half message of `group`, stored anew at `half_offset`.
    pub(super) fn ask(&self, group: &str, id: &str, half_offset: i64) {
        let mut stored = StoredMessage::new("t", Bytes::from_static(b"body"));
        stored.properties = [
            ("UNIQ_KEY", id),
            ("PGROUP", group),
            ("TRANSACTION_CHECK_TIMES", "2"),
        ]
        .into_iter()
        .collect();
        let mut body = BytesMut::new();
        stored.encode(&mut body);
        let question = CheckTransaction {
            half_offset,
            physical_offset: 1000 + half_offset,
            message_id: Some(id.to_owned()),
            body: body.freeze(),
            ..CheckTransaction::default()
        };
        let header = header(CheckTransaction::CODE.0, Flags::ONEWAY, &question);
        let head = header.encode(question.body.len()).into_bytes();
        let frame = Bytes::from([head, question.body].concat());
        let mut state = self.state();
        state
            .connections
            .retain(|to| to.try_send(frame.clone()).is_ok());
    }

    async fn serve(self, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        let (sender, mut outgoing) = mpsc::channel::<Bytes>(1024);
        self.state().connections.push(sender.clone());
        tokio::spawn(async move {
            while let Some(bytes) = outgoing.recv().await {
                // Empty: the connection is cut.
                if bytes.is_empty() || write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let (mut decoder, mut buffer) = (FrameDecoder::default(), BytesMut::new());
        while read
            .read_buf(&mut buffer)
            .await
            .is_ok_and(|count| count > 0)
        {
            while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
                let (code, flags) = (frame.header.code, frame.header.flags);
                let step = {
                    let mut state = self.state();
                    let ext = frame.header.ext.clone();
                    state
                        .log
                        .push((code, flags.is_oneway(), ext, frame.body.clone()));
                    state.steps.get_mut(&code).and_then(VecDeque::pop_front)
                };
                let mut answer = match step {
                    Some(Step::Cut) => {
                        sender.send(Bytes::new()).await.unwrap();
                        return;
                    }
                    Some(Step::Keep) => continue,
                    Some(Step::Answer(code)) if code == ResponseCode::FLUSH_DISK_TIMEOUT => {
                        let mut answer = self.handle(&frame);
                        answer.header.code = code.0;
                        answer
                    }
                    Some(Step::Answer(code)) => plain(code),
                    Some(Step::After(time)) => {
                        tokio::time::sleep(time).await;
                        self.handle(&frame)
                    }
                    None => self.handle(&frame),
                };
                answer.header.opaque = frame.header.opaque;
                let mut bytes =
                    BytesMut::from(&answer.header.encode(answer.body.len()).into_bytes()[..]);
                bytes.extend_from_slice(&answer.body);
                if !flags.is_oneway() {
                    // The client may have gone.
                    let _ = sender.send(bytes.freeze()).await;
                }
            }
        }
    }

    fn handle(&self, frame: &Frame) -> Frame {
        let (code, ext) = (frame.header.code, &frame.header.ext);
        if code == GetRoute::CODE.0 {
            let topic = GetRoute::parse(ext, &frame.body).unwrap().topic;
            return self.route(&topic);
        } else if code == GetClusterInfo::CODE.0 {
            let clusters = BTreeMap::from([("cluster".to_owned(), vec!["b".to_owned()])]);
            let mut answer = plain(ResponseCode::SUCCESS);
            answer.body = ClusterInfo {
                clusters,
                ..ClusterInfo::default()
            }
            .body();
            return answer;
        } else if code == SendMessage::CODE.0 {
            let sent = SendMessage::parse(ext, &frame.body).unwrap();
            let half = SysFlag(sent.sys_flag).contains(SysFlag::PREPARED);
            assert!(half, "the tests send nothing else");
            let mut state = self.state();
            state.halves += 1;
            let id = OffsetMessageId {
                host: self.address.parse().unwrap(),
                physical_offset: 1000 + state.halves,
            };
            let reply = SendReply {
                message_id: id.to_string(),
                queue_offset: state.halves,
                ..SendReply::default()
            };
            let mut answer = plain(ResponseCode::SUCCESS);
            reply.fields(&mut answer.header.ext);
            return answer;
        }
        plain(ResponseCode::SUCCESS)
    }

    fn route(&self, topic: &str) -> Frame {
        let state = self.state();
        if state.without_topics && topic != "cluster" {
            return plain(ResponseCode::TOPIC_NOT_EXIST);
        }
        let own = ("b".to_owned(), self.address.clone());
        let all: Vec<_> = std::iter::once(&own).chain(&state.others).collect();
        let mut answer = plain(ResponseCode::SUCCESS);
        answer.body = TopicRoute {
            queues: all
                .iter()
                .map(|(name, _)| QueueData {
                    broker_name: name.clone(),
                    read_queue_nums: 1,
                    write_queue_nums: 1,
                    perm: 6,
                    ..QueueData::default()
                })
                .collect(),
            brokers: all
                .iter()
                .map(|(name, address)| BrokerData {
                    broker_name: name.clone(),
                    broker_addrs: [(0, address.clone())].into(),
                    ..BrokerData::default()
                })
                .collect(),
            ..TopicRoute::default()
        }
        .body();
        answer
    }
}

fn plain(code: ResponseCode) -> Frame {
    Frame {
        header: header(code.0, Flags::RESPONSE, &ExtFields::new()),
        body: Bytes::new(),
    }
}

fn header(code: i32, flags: Flags, fields: &impl Fields) -> Header {
    let mut ext = ExtFields::new();
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
