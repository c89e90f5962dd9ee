//! One connection: a login, then requests, many at a time.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mq_cmq::proto::limits::Refusal;
use mq_cmq::proto::tcp::{FrameDecoder, Packet, cmd};
use mq_cmq::proto::{ErrorCode, Malformed};
use mq_core::{Clock as _, SystemClock, later};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::Out;
use super::answer::{answer, refuse};
use super::buffer::Buffer;
use super::requests;
use super::write::write;
use crate::cmq::engine::Sender;
use crate::cmq::faults::Kind;
use crate::cmq::front::Patience;
use crate::cmq::room::Room;
use crate::cmq::shared::{Begun, Enrolled, Shared};

/// Serves until one of both sides ends.
pub(super) async fn serve(
    socket: TcpStream,
    number: u64,
    shared: Arc<Shared>,
    patience: Patience,
    room: Room,
) {
    let _ = socket.set_nodelay(true);
    let (read, written) = socket.into_split();
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let mut writing = pin!(write(outgoing, written, patience.body));
    let connection = Connection {
        shared,
        number,
        patience,
        out,
        login: None,
        until: soon(patience.head),
        frame: None,
        waiting: JoinSet::new(),
    };
    tokio::select! {
        () = connection.read(read, Buffer::new(room)) => {}
        () = &mut writing => return,
    }
    // What was answered before the end is written still.
    let _ = timeout(LAST_WRITE, writing).await;
}

struct Connection {
    shared: Arc<Shared>,
    number: u64,
    patience: Patience,
    out: mpsc::Sender<Out>,
    login: Option<Login>,
    /// When a login has to be there.
    until: Instant,
    /// When a frame that was begun has to be there.
    frame: Option<Instant>,
    /// Answers that come later.
    waiting: JoinSet<()>,
}

struct Login {
    sender: Sender,
    /// How often all logins had been forgotten.
    age: u64,
    _enrolled: Enrolled,
}

impl Connection {
    async fn read(mut self, mut socket: OwnedReadHalf, mut buffer: Buffer) {
        let mut decoder = FrameDecoder::new(FRAME_OF_STRANGERS);
        loop {
            let known = self.login.is_some();
            let ended = match decoder.decode(&mut buffer.bytes) {
                Ok(Some(packet)) => {
                    self.frame = None;
                    self.handle(packet).await
                }
                Ok(None) => self.more(&mut socket, &mut buffer).await,
                Err(error) => self.garbage(&error),
            };
            if ended.is_break() {
                return;
            }
            if !known && self.login.is_some() {
                decoder = FrameDecoder::new(FRAME);
            }
        }
    }

    /// Reads more bytes.
    async fn more(&mut self, socket: &mut OwnedReadHalf, buffer: &mut Buffer) -> ControlFlow<()> {
        if buffer.grow(soon(self.patience.body)).await.is_err() {
            tracing::warn!(number = self.number, "gateway: no room for a frame: closed");
            return ControlFlow::Break(());
        }
        let idle = buffer.bytes.is_empty();
        self.frame = (!idle).then(|| self.frame.unwrap_or_else(|| soon(self.patience.body)));
        let until = match self.frame {
            _ if self.login.is_none() => self.until,
            Some(frame) => frame,
            None => soon(IDLE),
        };
        match timeout_at(until, socket.read_buf(&mut buffer.bytes)).await {
            Ok(Ok(1..)) => ControlFlow::Continue(()),
            Err(_) if self.login.is_some() && idle && !self.waiting.is_empty() => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }

    fn garbage(&self, error: &Malformed) -> ControlFlow<()> {
        tracing::info!(number = self.number, %error, "gateway: closed");
        ControlFlow::Break(())
    }

    async fn handle(&mut self, packet: Packet) -> ControlFlow<()> {
        while self.waiting.try_join_next().is_some() {}
        let mut answer = answer(&packet, self.shared.counts.request());
        if packet.cmd == cmd::AUTH {
            if let Err(refusal) = self.log_in(&packet) {
                refuse(&mut answer, &refusal);
            }
            return self.send(Out::Packet(answer)).await;
        }
        let Some(sender) = self.sender() else {
            let message = "tcp connection not authed";
            refuse(
                &mut answer,
                &Refusal::new(ErrorCode::NOT_AUTHENTICATED, message),
            );
            return self.send(Out::Packet(answer)).await;
        };
        if packet.cmd == cmd::HEARTBEAT {
            let beat = Packet::new(packet.seqno, cmd::HEARTBEAT);
            return self.send(Out::Packet(beat)).await;
        }
        self.act(&packet, answer, &sender).await
    }

    async fn act(
        &mut self,
        packet: &Packet,
        mut answer: Packet,
        sender: &Sender,
    ) -> ControlFlow<()> {
        let action = requests::action(packet.cmd).unwrap_or_default();
        self.shared.counts.count(action);
        let faults = self.shared.faults.strike(action);
        if faults.contains(&Kind::Restart) {
            self.shared.life.send_modify(|life| *life += 1);
            return ControlFlow::Break(());
        }
        if faults.contains(&Kind::Cut) {
            return ControlFlow::Break(());
        }
        if self.waiting.len() >= UNDER_WAY {
            let message = format!("{UNDER_WAY} requests of this connection wait already");
            refuse(&mut answer, &Refusal::new(ErrorCode::THROTTLED, message));
            return self.send(Out::Packet(answer)).await;
        }
        if faults.contains(&Kind::Status500) {
            refuse(
                &mut answer,
                &Refusal::new(ErrorCode::INTERNAL_ERROR, "a fault was injected"),
            );
            return self.send(Out::Packet(answer)).await;
        }
        let lose = faults.contains(&Kind::LoseOne);
        let Some(begun) = requests::receive(&self.shared, packet) else {
            let done = requests::act(&self.shared, sender, packet, &mut answer, lose);
            if let Err(refusal) = done {
                refuse(&mut answer, &refusal);
            }
            return self.reply(answer, &faults).await;
        };
        match begun {
            Ok(Begun::Now(messages)) => {
                requests::received(&mut answer, &messages);
                self.reply(answer, &faults).await
            }
            Ok(Begun::Later(wait)) => {
                let out = self.out.clone();
                self.waiting.spawn(async move {
                    match wait.end().await {
                        Ok(messages) => requests::received(&mut answer, &messages),
                        Err(refusal) => refuse(&mut answer, &refusal),
                    }
                    reply_late(answer, &faults, &out).await;
                });
                ControlFlow::Continue(())
            }
            Err(refusal) => {
                refuse(&mut answer, &refusal);
                self.reply(answer, &faults).await
            }
        }
    }

    /// Answers, as the faults have it.
    async fn reply(&mut self, answer: Packet, faults: &[Kind]) -> ControlFlow<()> {
        if faults.is_empty() {
            return self.send(Out::Packet(answer)).await;
        }
        let (out, faults) = (self.out.clone(), faults.to_vec());
        self.waiting.spawn(async move {
            reply_late(answer, &faults, &out).await;
        });
        ControlFlow::Continue(())
    }

    async fn send(&self, out: Out) -> ControlFlow<()> {
        match self.out.send(out).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn log_in(&mut self, packet: &Packet) -> Result<(), Refusal> {
        if self.sender().is_some() {
            let message = "tcp connection is already authed";
            return Err(Refusal::new(ErrorCode::ALREADY_AUTHENTICATED, message));
        }
        let missing = || Refusal::new(ErrorCode::MISSING_PARAMETER, "tcp_auth is missing");
        let login = packet.auth.as_ref().ok_or_else(missing)?;
        self.shared.auth.check_login(login)?;
        let sender = Sender {
            secret_id: login.secret_id.as_str().into(),
            connection: self.number,
        };
        self.login = Some(Login {
            age: self.shared.logins.load(Ordering::Acquire),
            _enrolled: self.shared.enroll(&sender, self.out.clone()),
            sender,
        });
        Ok(())
    }

    /// Who has logged in, if that still counts.
    fn sender(&mut self) -> Option<Sender> {
        let age = self.shared.logins.load(Ordering::Acquire);
        if self.login.as_ref().is_some_and(|login| login.age != age) {
            self.login = None;
            self.until = soon(self.patience.head);
        }
        self.login.as_ref().map(|login| login.sender.clone())
    }
}

async fn reply_late(answer: Packet, faults: &[Kind], out: &mpsc::Sender<Out>) {
    for fault in faults {
        if let Kind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    let last = if faults.contains(&Kind::DropReply) {
        Out::Close
    } else if faults.contains(&Kind::HalfBody) {
        Out::Half(answer)
    } else {
        Out::Packet(answer)
    };
    // Nobody is there any more.
    let _ = out.send(last).await;
}

fn soon(after: Duration) -> Instant {
    Instant::from_std(later(SystemClock.now(), after))
}

/// Bytes of a frame: 1 MiB of bodies, and what is around them.
const FRAME: usize = 2 * 1024 * 1024;
const FRAME_OF_STRANGERS: usize = 64 * 1024;
/// Answers that are not written yet.
const OUTGOING: usize = 64;
/// Requests whose answers come later.
const UNDER_WAY: usize = 256;
/// SDKs send a heartbeat every few seconds.
const IDLE: Duration = Duration::from_secs(300);
const LAST_WRITE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
