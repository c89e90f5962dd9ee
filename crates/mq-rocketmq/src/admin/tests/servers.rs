//! A nameserver with two brokers, `a` (which is the nameserver too) and `b`, in memory: they answer as a test tells them to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Client;
use crate::proto::command::{
    BrokerData, ClusterInfo, CreateTopic, GetGroups, GetRoute, GroupConfig, Groups, QueueData,
    TopicRoute,
};
use crate::proto::{ExtFields, Flags, Frame, FrameDecoder, Header, Reply, Request};

#[derive(Clone)]
pub(super) struct Servers {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    addresses: Vec<String>,
    /// Every request: which server, the code, the fields; oldest first.
    pub(super) asked: Vec<(&'static str, i32, ExtFields)>,
    /// What a server refuses, by server and code: the code and remark of its answer. Code 0 is no answer at all.
    pub(super) refuse: HashMap<(&'static str, i32), (i32, &'static str)>,
    /// Which topics there are, and with how many queues at which broker.
    pub(super) topics: BTreeMap<String, BTreeMap<&'static str, i32>>,
    /// How often the nameserver has yet to be asked for a route before it shows what was created.
    pub(super) hidden: usize,
    /// The groups of each broker.
    pub(super) groups: BTreeMap<&'static str, Vec<String>>,
    /// How many groups a page holds.
    pub(super) page: usize,
}

impl Servers {
    pub(super) async fn start() -> Self {
        let servers = Self {
            state: Arc::new(Mutex::new(State {
                page: usize::MAX,
                ..State::default()
            })),
        };
        for name in NAMES {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            servers.state().addresses.push(address);
            let serving = servers.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serving.clone().serve(name, stream));
                }
            });
        }
        servers
    }

    pub(super) async fn client(&self, path: &str) -> Client {
        let url = format!("rocketmq://{}{path}", self.state().addresses[0]);
        let builder = Client::from_url(&url).unwrap();
        let timeout = std::time::Duration::from_millis(400);
        builder.request_timeout(timeout).connect().await.unwrap()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests with this code so far: at which servers.
    pub(super) fn asked<R: Request>(&self) -> Vec<(&'static str, R)> {
        let state = self.state();
        let of_kind = state.asked.iter().filter(|(_, code, _)| *code == R::CODE.0);
        of_kind
            .map(|(server, _, ext)| (*server, R::parse(ext, &Bytes::new()).unwrap()))
            .collect()
    }

    async fn serve(self, name: &'static str, mut stream: TcpStream) {
        let (mut decoder, mut buf) = (FrameDecoder::default(), BytesMut::new());
        while stream.read_buf(&mut buf).await.is_ok_and(|count| count > 0) {
            while let Some(frame) = decoder.decode(&mut buf).unwrap() {
                let Some((code, remark, ext, body)) = self.state().answer(name, &frame) else {
                    continue;
                };
                let header = Header {
                    code,
                    flags: Flags::RESPONSE,
                    remark: Some(remark.to_owned()),
                    ext,
                    ..frame.header
                };
                let head = header.encode(body.len()).into_bytes();
                stream.write_all(&head).await.unwrap();
                stream.write_all(&body).await.unwrap();
            }
        }
    }
}

type Answer = (i32, &'static str, ExtFields, Bytes);

impl State {
    fn answer(&mut self, name: &'static str, frame: &Frame) -> Option<Answer> {
        let (code, ext) = (frame.header.code, &frame.header.ext);
        self.asked.push((name, code, ext.clone()));
        match self.refuse.get(&(name, code)) {
            Some((0, _)) => return None,
            Some((code, remark)) => {
                return Some((*code, *remark, ExtFields::new(), Bytes::new()));
            }
            None => {}
        }
        let done = (0, "", ExtFields::new(), Bytes::new());
        Some(match code {
            17 => {
                let asked = CreateTopic::parse(ext, &frame.body).unwrap();
                let topic = self.topics.entry(asked.topic.to_string()).or_default();
                topic.insert(name, asked.write_queue_nums);
                done
            }
            105 => self.route(&GetRoute::parse(ext, &frame.body).unwrap().topic),
            106 => reply(&ClusterInfo {
                brokers: NAMES
                    .map(|name| (name.to_owned(), self.broker(name)))
                    .into(),
                clusters: [("c".to_owned(), NAMES.map(str::to_owned).to_vec())].into(),
            }),
            201 => reply(&self.page(name, &GetGroups::parse(ext, &frame.body).unwrap())),
            _ => done,
        })
    }

    fn route(&mut self, topic: &str) -> Answer {
        let shares = self.topics.get(topic).filter(|_| self.hidden == 0);
        self.hidden = self.hidden.saturating_sub(1);
        let Some(shares) = shares else {
            return (17, "no such topic", ExtFields::new(), Bytes::new());
        };
        let share = |(name, queues): (&&str, &i32)| QueueData {
            broker_name: (*name).to_owned(),
            read_queue_nums: *queues,
            write_queue_nums: *queues,
            perm: 6,
            topic_sys_flag: 0,
        };
        reply(&TopicRoute {
            queues: shares.iter().map(share).collect(),
            brokers: shares.keys().map(|name| self.broker(name)).collect(),
            ..TopicRoute::default()
        })
    }

    fn page(&self, name: &str, asked: &GetGroups) -> Groups {
        let names = self.groups.get(name).cloned().unwrap_or_default();
        let from = usize::try_from(asked.group_seq.unwrap()).unwrap();
        let page = names.iter().skip(from).take(self.page);
        Groups {
            total: Some(i32::try_from(names.len()).unwrap()),
            configs: page
                .map(|name| (name.clone(), GroupConfig::default()))
                .collect(),
            data_version: Some("{\"counter\":1}".to_owned()),
            ..Groups::default()
        }
    }

    fn broker(&self, name: &str) -> BrokerData {
        let at = NAMES.iter().position(|other| *other == name).unwrap();
        BrokerData {
            broker_name: name.to_owned(),
            broker_addrs: [(0, self.addresses[at].clone())].into(),
            ..BrokerData::default()
        }
    }
}

fn reply(reply: &impl Reply) -> Answer {
    let mut ext = ExtFields::new();
    reply.fields(&mut ext);
    (0, "", ext, reply.body())
}

const NAMES: [&str; 2] = ["a", "b"];
