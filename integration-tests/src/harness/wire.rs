//! Frames written by hand: what the client's API refuses to send, and what only an administrator asks.

use std::io;

use bytes::{Bytes, BytesMut};
use mq_rocketmq::proto::command::{
    GetMaxOffset, GetRoute, MaxOffset, SendMessage, TopicRoute, UpdateOffset,
};
use mq_rocketmq::proto::{
    ExtFields, Fields, Flags, Frame, FrameDecoder, HeaderCodec, HeaderParts, Language, Reply,
    Request, RequestCode, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection without a client behind it.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buf: BytesMut,
    decoder: FrameDecoder,
    opaque: i32,
}

/// The code of an answer, and what came with it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 0 is success.
    pub code: i32,
    /// What the broker says about an error.
    pub remark: String,
    frame: Frame,
}

impl Wire {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// As the socket's.
    pub async fn connect(to: &str) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(to).await?,
            buf: BytesMut::new(),
            decoder: FrameDecoder::default(),
            opaque: 0,
        })
    }

    /// A connection to each broker of a cluster, by name.
    pub async fn brokers(nameserver: &str) -> Vec<(String, Self)> {
        let mut to_nameserver = Self::connect(nameserver).await.expect("the nameserver");
        let route = to_nameserver.route("TBW102").await;
        let mut brokers = Vec::new();
        for broker in route.brokers {
            let addr = broker.broker_addrs.get(&0).expect("a master");
            let wire = Self::connect(addr).await.expect("the broker");
            brokers.push((broker.broker_name, wire));
        }
        brokers
    }

    /// The route of a topic; asked of a nameserver.
    pub async fn route(&mut self, topic: &str) -> TopicRoute {
        let request = GetRoute::new(topic);
        self.ask(&request).await.reply()
    }

    /// Whether a nameserver knows the topic.
    pub async fn has_route(&mut self, topic: &str) -> bool {
        let request = GetRoute::new(topic);
        self.ask(&request).await.code == 0
    }

    /// Tells a nameserver that a topic is an ordered one, with one queue at `broker`.
    pub async fn declare_ordered(&mut self, topic: &str, broker: &str) {
        let value = format!("{broker}:1");
        // apache/rocketmq: PutKVConfigRequestHeader, NamesrvUtil.NAMESPACE_ORDER_TOPIC_CONFIG
        let fields: ExtFields = [
            ("namespace", "ORDER_TOPIC_CONFIG"),
            ("key", topic),
            ("value", &value),
        ]
        .into_iter()
        .collect();
        let code = RequestCode::PUT_KV_CONFIG;
        self.call(code, &fields, Bytes::new()).await.expect_ok();
    }

    /// Creates or changes a topic at this broker, for both ways. An `ordered` one heeds the broker's own permission when it is written.
    pub async fn create_topic(&mut self, topic: &str, queues: u32, ordered: bool) {
        let (queues, ordered) = (queues.to_string(), ordered.to_string());
        // apache/rocketmq: CreateTopicRequestHeader
        let fields: ExtFields = [
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", &queues),
            ("writeQueueNums", &queues),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", &ordered),
        ]
        .into_iter()
        .collect();
        let code = RequestCode::UPDATE_AND_CREATE_TOPIC;
        self.call(code, &fields, Bytes::new()).await.expect_ok();
    }

    /// Changes settings of this broker, `name=value` each.
    pub async fn configure(&mut self, settings: &str) {
        let body = Bytes::copy_from_slice(settings.as_bytes());
        let code = RequestCode::UPDATE_BROKER_CONFIG;
        self.call(code, &ExtFields::new(), body).await.expect_ok();
    }

    /// Creates or changes a group at this broker, which may or may not consume.
    pub async fn create_group(&mut self, group: &str, may_consume: bool) {
        // apache/rocketmq: SubscriptionGroupConfig
        let body = format!(
            "{{\"groupName\":\"{group}\",\"consumeEnable\":{may_consume},\"consumeBroadcastEnable\":true,\
             \"consumeFromMinEnable\":true,\"retryQueueNums\":1,\"retryMaxTimes\":16}}"
        );
        let code = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        let answer = self.call(code, &ExtFields::new(), body.into()).await;
        answer.expect_ok();
    }

    /// Sets a group back (or forward) to what was stored at a time, as an operator does while the group consumes. A 5.x broker tells each queue's
    /// reader at its next pull, a 4.x one sends every member an order (220).
    pub async fn reset_group(&mut self, group: &str, topic: &str, timestamp_ms: u128) {
        let timestamp = timestamp_ms.to_string();
        // apache/rocketmq: ResetOffsetRequestHeader, INVOKE_BROKER_TO_RESET_OFFSET
        let fields: ExtFields = [
            ("group", group),
            ("topic", topic),
            ("timestamp", &timestamp),
            ("isForce", "true"),
        ]
        .into_iter()
        .collect();
        self.call(RequestCode(222), &fields, Bytes::new())
            .await
            .expect_ok();
    }

    /// Stores an offset for a group, whatever its members say.
    pub async fn store_offset(&mut self, group: &str, topic: &str, queue: i32, offset: i64) {
        let request = UpdateOffset {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id: queue,
            commit_offset: offset,
            ..UpdateOffset::default()
        };
        self.ask(&request).await.expect_ok();
    }

    /// How far a queue is written.
    pub async fn max_offset(&mut self, topic: &str, queue: i32) -> i64 {
        let request = GetMaxOffset {
            topic: topic.into(),
            queue_id: queue,
            ..GetMaxOffset::default()
        };
        let offset: MaxOffset = self.ask(&request).await.reply();
        offset.offset
    }

    /// Sends a message exactly as given, whatever a client would say of it.
    pub async fn send(&mut self, message: &SendMessage) -> Answer {
        self.ask(message).await
    }

    /// Asks, and waits for the answer.
    pub async fn ask<R: Request>(&mut self, request: &R) -> Answer {
        self.call(R::CODE, request, request.body()).await
    }

    async fn call(
        &mut self,
        code: RequestCode,
        fields: &(impl Fields + ?Sized),
        body: Bytes,
    ) -> Answer {
        let parts = HeaderParts {
            code: code.0,
            flags: Flags::REQUEST,
            remark: None,
            language: Language::RUST,
            version: 473,
            codec: HeaderCodec::Json,
        };
        let mut head = encode(&parts, fields, &[], body.len());
        self.opaque += 1;
        head.set_opaque(self.opaque);
        let written = async {
            self.stream.write_all(&head.into_bytes()).await?;
            self.stream.write_all(&body).await
        };
        written.await.expect("the broker reads");
        loop {
            let next = self.decoder.decode(&mut self.buf).expect("a frame");
            match next {
                // A broker may ask something by itself in between.
                Some(frame) if frame.header.opaque == self.opaque => return Answer::of(frame),
                Some(_) => {}
                None => {
                    let count = self.stream.read_buf(&mut self.buf).await.expect("bytes");
                    assert!(count > 0, "the broker closed the connection");
                }
            }
        }
    }
}

impl Answer {
    fn of(frame: Frame) -> Self {
        Self {
            code: frame.header.code,
            remark: frame.header.remark.clone().unwrap_or_default(),
            frame,
        }
    }

    /// Fails unless the answer is success.
    #[track_caller]
    pub fn expect_ok(&self) {
        assert_eq!(self.code, 0, "{}", self.remark);
    }

    /// The reply of a success.
    #[track_caller]
    pub fn reply<R: Reply>(&self) -> R {
        self.expect_ok();
        R::parse(&self.frame.header.ext, &self.frame.body).expect("the reply that was asked for")
    }
}
