//! A client written by hand, which sends what no client would, too.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use integration_tests::harness::{wall, within};
use mq_cmq::proto::tcp::{
    Auth, BatchDelete, BatchPublish, BatchPull, BatchSend, Confirm, ConfirmItem, Delete,
    FrameDecoder, Packet, Publish, Pull, Pulled, Send, cmd, encode, signature,
};
use mq_cmq::proto::{SignatureMethod, SigningKey};
use mq_dev::cmq::{Builder, DevServer, QueueSpec, VirtualClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A server with a gateway, whose clock stands still.
pub(crate) fn builder() -> Builder {
    DevServer::builder()
        .virtual_clock(wall())
        .gateway("127.0.0.1:0")
}

/// The same with the queue `q`, whose visibility is 5 s, and the transactional queue `t`, where is asked twice, every 5 s.
pub(crate) async fn server() -> DevServer {
    let server = builder().start().await.unwrap();
    server.create_queue(crate::raw::q()).unwrap();
    server.create_queue(t()).unwrap();
    server
}

pub(crate) fn t() -> QueueSpec {
    QueueSpec::new("t").transactional(5 * SECOND, 2)
}

pub(crate) fn clock(server: &DevServer) -> VirtualClock {
    server.clock().unwrap()
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    read: BytesMut,
    decoder: FrameDecoder,
    seqno: i64,
    /// What came while an answer was awaited.
    other: VecDeque<Packet>,
}

impl Tcp {
    pub(crate) async fn connect(server: &DevServer) -> Self {
        let address = server.gateway_addr().unwrap();
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            read: BytesMut::new(),
            decoder: FrameDecoder::default(),
            seqno: 0,
            other: VecDeque::new(),
        }
    }

    /// With the login of `AKIDdev`.
    pub(crate) async fn login(server: &DevServer) -> Self {
        let mut tcp = Self::connect(server).await;
        let answer = tcp.ask(login("AKIDdev", "dev-secret")).await;
        assert_eq!(answer.result, Some(0), "{:?}", answer.error);
        tcp
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The same, if the other side may be gone.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a request; the number by which its answer is found.
    pub(crate) async fn send(&mut self, mut packet: Packet) -> i64 {
        self.seqno += 1;
        packet.seqno = self.seqno;
        self.write(&framed(&packet)).await;
        self.seqno
    }

    /// The next packet, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        if let Some(packet) = self.other.pop_front() {
            return Some(packet);
        }
        self.come().await
    }

    async fn come(&mut self) -> Option<Packet> {
        let next = async {
            loop {
                if let Some(packet) = self.decoder.decode(&mut self.read).unwrap() {
                    return Some(packet);
                }
                match self.stream.read_buf(&mut self.read).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        within(20 * SECOND, "a packet", next).await
    }

    /// The answer of this number.
    pub(crate) async fn answer(&mut self, seqno: i64) -> Option<Packet> {
        let is_it = |packet: &Packet| packet.seqno == seqno && packet.query.is_none();
        if let Some(at) = self.other.iter().position(is_it) {
            return self.other.remove(at);
        }
        loop {
            let packet = self.come().await?;
            if is_it(&packet) {
                return Some(packet);
            }
            self.other.push_back(packet);
        }
    }

    pub(crate) async fn ask(&mut self, packet: Packet) -> Packet {
        let cmd = packet.cmd;
        let seqno = self.send(packet).await;
        let answer = self.answer(seqno).await.expect("an answer");
        assert_eq!(answer.cmd, cmd);
        answer
    }

    /// Result and text of what is refused.
    pub(crate) async fn refused(&mut self, packet: Packet) -> (i32, String) {
        let answer = self.ask(packet).await;
        assert!(answer.request_id.is_some(), "{answer:?}");
        (answer.result.unwrap(), answer.error.unwrap_or_default())
    }

    /// The ids that an accepted request got.
    pub(crate) async fn sent(&mut self, packet: Packet) -> Vec<u64> {
        let answer = self.ask(packet).await;
        assert_eq!(answer.result, Some(0), "{:?}", answer.error);
        answer.message_ids
    }

    /// The next message, if there is one.
    pub(crate) async fn pulled(&mut self, queue: &str) -> Option<Pulled> {
        let answer = self.ask(pull(queue, 0)).await;
        if answer.pulled.is_none() {
            assert_eq!(answer.result, Some(10_200), "{:?}", answer.error);
            assert_eq!(answer.error.as_deref(), Some("(10200)no message"));
        }
        answer.pulled
    }

    /// Id and queue of the next question.
    pub(crate) async fn question(&mut self) -> (u64, String) {
        let packet = self.next().await.expect("a question");
        assert_eq!(packet.cmd, cmd::TRANSACTION_QUERY);
        let query = packet.query.unwrap();
        (query.message_id, query.queue)
    }

    /// That nothing has come: what was sent before comes before this answer.
    pub(crate) async fn nothing_came(&mut self) {
        self.ask(Packet::new(0, cmd::HEARTBEAT)).await;
        assert!(self.other.is_empty(), "{:?}", self.other);
    }

    /// Sends nothing more.
    pub(crate) async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Ends when the other side ends.
    pub(crate) async fn ended(&mut self) {
        let ended = async {
            let mut rest = Vec::new();
            // A reset is an end as well.
            let _ = self.stream.read_to_end(&mut rest).await;
        };
        within(20 * SECOND, "the end of the connection", ended).await;
    }
}

pub(crate) fn framed(packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(packet, &mut out).unwrap();
    out.to_vec()
}

pub(crate) fn login(id: &str, key: &str) -> Packet {
    login_by(id, key, SignatureMethod::HmacSha256)
}

pub(crate) fn login_by(id: &str, key: &str, method: SignatureMethod) -> Packet {
    let key = SigningKey::new(method, key).unwrap();
    let auth = Some(Auth {
        secret_id: id.to_owned(),
        signature: signature(&key, "client@1", id),
        client_id: "client@1".to_owned(),
        method: method.wire_name().to_owned(),
    });
    Packet {
        auth,
        ..Packet::new(0, cmd::AUTH)
    }
}

pub(crate) fn send(queue: &str, body: &str) -> Packet {
    let send = Some(Send {
        queue: queue.to_owned(),
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
        ..Send::default()
    });
    Packet {
        send,
        ..Packet::new(0, cmd::SEND)
    }
}

/// A send with something more.
pub(crate) fn send_as(queue: &str, body: &str, change: impl FnOnce(&mut Send)) -> Packet {
    let mut packet = send(queue, body);
    change(packet.send.as_mut().unwrap());
    packet
}

/// A half message.
pub(crate) fn half(queue: &str, body: &str) -> Packet {
    send_as(queue, body, |send| send.transaction = Some(1))
}

pub(crate) fn batch_send(queue: &str, bodies: &[&str]) -> Packet {
    let batch_send = Some(BatchSend {
        queue: queue.to_owned(),
        bodies: owned(bodies),
        ..BatchSend::default()
    });
    Packet {
        batch_send,
        ..Packet::new(0, cmd::BATCH_SEND)
    }
}

fn owned(bodies: &[&str]) -> Vec<Bytes> {
    let own = |body: &&str| Bytes::copy_from_slice(body.as_bytes());
    bodies.iter().map(own).collect()
}

pub(crate) fn pull(queue: &str, wait_seconds: i32) -> Packet {
    pull_as(queue, Some(wait_seconds), None)
}

pub(crate) fn pull_as(queue: &str, wait_seconds: Option<i32>, visibility: Option<u32>) -> Packet {
    let pull = Some(Pull {
        queue: queue.to_owned(),
        wait_seconds,
        visibility_seconds: visibility,
    });
    Packet {
        pull,
        ..Packet::new(0, cmd::PULL)
    }
}

pub(crate) fn batch_pull(queue: &str, most: i32, visibility: Option<u32>) -> Packet {
    let batch_pull = Some(BatchPull {
        queue: queue.to_owned(),
        most,
        wait_seconds: Some(0),
        visibility_seconds: visibility,
    });
    Packet {
        batch_pull,
        ..Packet::new(0, cmd::BATCH_PULL)
    }
}

pub(crate) fn delete(queue: &str, handle: u64) -> Packet {
    let delete = Some(Delete {
        queue: queue.to_owned(),
        handle,
    });
    Packet {
        delete,
        ..Packet::new(0, cmd::DELETE)
    }
}

pub(crate) fn batch_delete(queue: &str, handles: &[u64]) -> Packet {
    let batch_delete = Some(BatchDelete {
        queue: queue.to_owned(),
        handles: handles.to_vec(),
    });
    Packet {
        batch_delete,
        ..Packet::new(0, cmd::BATCH_DELETE)
    }
}

pub(crate) fn publish(topic: &str, body: &str, tags: &[&str], key: Option<&str>) -> Packet {
    let publish = Some(Publish {
        topic: topic.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        routing_key: key.map(ToOwned::to_owned),
    });
    Packet {
        publish,
        ..Packet::new(0, cmd::PUBLISH)
    }
}

pub(crate) fn batch_publish(topic: &str, bodies: &[&str], tags: &[&str]) -> Packet {
    let batch_publish = Some(BatchPublish {
        topic: topic.to_owned(),
        bodies: owned(bodies),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        routing_key: None,
    });
    Packet {
        batch_publish,
        ..Packet::new(0, cmd::BATCH_PUBLISH)
    }
}

/// Ids and states.
pub(crate) fn confirm(queue: &str, items: &[(u64, i32)]) -> Packet {
    let item = |&(message_id, state): &(u64, i32)| ConfirmItem { message_id, state };
    let confirm = Some(Confirm {
        queue: queue.to_owned(),
        items: items.iter().map(item).collect(),
    });
    Packet {
        confirm,
        ..Packet::new(0, cmd::TRANSACTION_CONFIRM)
    }
}

/// As text.
pub(crate) fn body(message: &Pulled) -> &str {
    std::str::from_utf8(message.body.as_ref().unwrap()).unwrap()
}
