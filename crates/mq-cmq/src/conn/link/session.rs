//! What is under way on one connection, without the socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mq_core::Clock;
use tokio::sync::oneshot;

use super::{Call, OnQuery};
use crate::conn::pool::Failure;
use crate::proto::Malformed;
use crate::proto::tcp::{self, Auth, FrameDecoder, NOT_AUTHENTICATED, Packet, cmd};

/// See the module.
pub(super) struct Session {
    /// What is to be written.
    pub(super) out: BytesMut,
    waiting: HashMap<i64, Waiting>,
    seqno: i64,
    decoder: FrameDecoder,
    clock: Arc<dyn Clock>,
    heard: Instant,
    /// When something was read or written last.
    busy: Instant,
    /// Whether this gateway answers heartbeats: only then their silence says something.
    answers_beats: bool,
    /// Since when a heartbeat has been out, with nothing heard behind it.
    beat: Option<Instant>,
}

struct Waiting {
    since: Instant,
    deadline: Instant,
    answer: oneshot::Sender<Result<Box<Packet>, Failure>>,
}

impl Session {
    pub(super) fn new(seqno: i64, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            out: BytesMut::new(),
            waiting: HashMap::new(),
            seqno,
            decoder: FrameDecoder::default(),
            clock,
            heard: now,
            busy: now,
            answers_beats: false,
            beat: None,
        }
    }

    /// Whether no more should be taken on before some of it is written or answered.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() >= MOST_BYTES || self.waiting.len() >= MOST_WAITING
    }

    pub(super) fn is_idle(&self) -> bool {
        self.out.is_empty() && self.waiting.values().all(|it| it.answer.is_closed())
    }

    /// Numbers a request and has it written.
    pub(super) fn submit(&mut self, call: Call) {
        // Before it is looked whether anybody waits: who stops waiting and then finds that nothing was sent is right.
        call.sent.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if call.answer.is_closed() {
            return;
        }
        let mut packet = call.packet;
        packet.seqno = self.number();
        if let Err(malformed) = tcp::encode(&packet, &mut self.out) {
            let _ = call.answer.send(Err(Failure::Unwritable(malformed)));
            return;
        }
        let now = self.clock.now();
        self.busy = now;
        let waiting = Waiting {
            since: now,
            deadline: call.deadline,
            answer: call.answer,
        };
        self.waiting.insert(packet.seqno, waiting);
    }

    /// Hands out the answers that have come, and the server's questions.
    pub(super) fn received(
        &mut self,
        inbound: &mut BytesMut,
        on_query: &OnQuery,
    ) -> Result<(), String> {
        self.heard = self.clock.now();
        self.busy = self.heard;
        self.beat = None;
        while let Some(packet) = self.decoder.decode(inbound).map_err(|it| it.to_string())? {
            if packet.cmd == cmd::TRANSACTION_QUERY {
                if let Some(query) = packet.query {
                    on_query(query);
                }
                continue;
            }
            self.answers_beats |= packet.cmd == cmd::HEARTBEAT;
            let Some(waiting) = self.waiting.remove(&packet.seqno) else {
                // Of a heartbeat, or of somebody who does not wait any more.
                continue;
            };
            if packet.result == Some(NOT_AUTHENTICATED) {
                let _ = waiting.answer.send(Err(forgotten()));
                self.forgotten_since(packet.seqno);
                return Err(FORGOTTEN.to_owned());
            }
            // Nobody need wait for it.
            let _ = waiting.answer.send(Ok(Box::new(packet)));
        }
        Ok(())
    }

    /// The gateway did not know any more who sent this request, nor, then, who sent those behind it: none of them was carried out.
    fn forgotten_since(&mut self, seqno: i64) {
        let behind: Vec<i64> = self
            .waiting
            .keys()
            .copied()
            .filter(|it| *it > seqno)
            .collect();
        for waiting in behind.iter().filter_map(|seqno| self.waiting.remove(seqno)) {
            let _ = waiting.answer.send(Err(forgotten()));
        }
    }

    /// Time has passed: a sign of life is due, or the other side has given none.
    pub(super) fn tick(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        let heard = self.heard;
        let overdue = |it: &Waiting| now > it.deadline + SLACK && heard <= it.since;
        let deaf = |since: Instant| now.saturating_duration_since(since) >= DEAF;
        let deaf = self.answers_beats && self.beat.is_some_and(deaf);
        if deaf || self.waiting.values().any(overdue) {
            return Err("the gateway gave no sign of life".to_owned());
        }
        self.waiting
            .retain(|_, it| !it.answer.is_closed() || now <= it.deadline + SLACK);
        // tencentyun/cmq-java-tcp-sdk: NettyClientConfig.clientChannelMaxIdleTimeSeconds
        if now.saturating_duration_since(self.busy) >= QUIET {
            let heartbeat = Packet::new(self.number(), cmd::HEARTBEAT);
            // It can't be too large.
            let _ = tcp::encode(&heartbeat, &mut self.out);
            self.busy = now;
            self.beat.get_or_insert(now);
        }
        Ok(())
    }

    /// The connection is gone: whoever waits hears of it.
    pub(super) fn lose(&mut self, why: &str) {
        for (_, waiting) in self.waiting.drain() {
            let broken = Failure::Broken(why.to_owned().into());
            let _ = waiting.answer.send(Err(broken));
        }
    }

    const fn number(&mut self) -> i64 {
        self.seqno = self.seqno.wrapping_add(1);
        self.seqno
    }
}

fn forgotten() -> Failure {
    Failure::Connect(std::io::Error::other(FORGOTTEN))
}

const FORGOTTEN: &str = "the gateway has forgotten who this is";

/// The first frame of a connection.
pub(super) fn authentication(auth: Auth) -> BytesMut {
    let packet = Packet {
        auth: Some(auth),
        ..Packet::new(FIRST, cmd::AUTH)
    };
    let mut out = BytesMut::new();
    // It can't be too large: a client's name and keys are short.
    let _ = tcp::encode(&packet, &mut out);
    out
}

/// The answer to the first frame, if it is there: the last number that was used, or the gateway's no.
pub(super) fn authenticated(
    inbound: &mut BytesMut,
) -> Result<Option<Result<i64, Packet>>, Malformed> {
    let Some(packet) = FrameDecoder::default().decode(inbound)? else {
        return Ok(None);
    };
    let known = [None, Some(0), Some(tcp::ALREADY_AUTHENTICATED)].contains(&packet.result);
    Ok(Some(if known { Ok(FIRST) } else { Err(packet) }))
}

const FIRST: i64 = 1;
const MOST_BYTES: usize = 4 * 1024 * 1024;
const MOST_WAITING: usize = 16 * 1024;
const QUIET: Duration = Duration::from_secs(3);
/// For how long a heartbeat may stay unanswered where they are answered: three more of them are out by then.
const DEAF: Duration = Duration::from_secs(10);
/// An answer that comes a little late finds its connection still there.
const SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
