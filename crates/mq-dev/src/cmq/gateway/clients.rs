//! Who can be asked what became of a half message.

use std::collections::BTreeMap;
use std::sync::Arc;

use mq_cmq::proto::tcp::{Packet, TransactionQuery, cmd};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Out;
use crate::cmq::engine::{Question, Sender};
use crate::cmq::faults::{Faults, Kind, QUERY};

/// The connections that have logged in, by their numbers.
#[derive(Debug, Default)]
pub(in crate::cmq) struct Clients {
    all: BTreeMap<u64, Client>,
    seqno: i64,
}

#[derive(Debug)]
struct Client {
    secret_id: Arc<str>,
    out: mpsc::Sender<Out>,
}

impl Clients {
    pub(in crate::cmq) fn add(&mut self, sender: &Sender, out: mpsc::Sender<Out>) {
        let secret_id = Arc::clone(&sender.secret_id);
        self.all
            .insert(sender.connection, Client { secret_id, out });
    }

    pub(in crate::cmq) fn remove(&mut self, connection: u64) {
        self.all.remove(&connection);
    }

    /// Asks the sender's connection first, and each further time the next one of the same secret id; where there is no room on its connection for another
    /// question now, another of them. The answer is whether it was asked, or nobody is there.
    pub(in crate::cmq) fn ask(&mut self, question: &Question, faults: &Faults) -> bool {
        let Question {
            queue,
            id,
            sender,
            turn,
        } = question;
        let strikes = faults.strike(QUERY);
        if strikes.contains(&Kind::DropReply) {
            tracing::warn!(queue, id, "fault: the question is lost");
            return true;
        }
        self.seqno += 1;
        let seqno = self.seqno;
        let turn = usize::try_from(*turn).unwrap_or(usize::MAX);
        let mut somebody = false;
        let asked = self.in_turn(sender, turn).any(|client| {
            let out = if strikes.contains(&Kind::Cut) {
                Out::Close
            } else {
                Out::Packet(packet(seqno, queue, *id))
            };
            let told = client.out.try_send(out);
            somebody |= matches!(told, Err(TrySendError::Full(_)));
            told.is_ok()
        });
        if !asked && !somebody {
            tracing::info!(queue, id, turn, "nobody is there to be asked");
        }
        asked || !somebody
    }

    /// All of the secret id, beginning with the one whose turn it is.
    fn in_turn(&self, sender: &Sender, turn: usize) -> impl Iterator<Item = &Client> {
        let own = self.all.get(&sender.connection);
        let own = own.filter(|client| client.secret_id == sender.secret_id);
        let others = self.all.iter().filter(|(connection, client)| {
            **connection != sender.connection && client.secret_id == sender.secret_id
        });
        let all: Vec<&Client> = own
            .into_iter()
            .chain(others.map(|(_, client)| client))
            .collect();
        let first = turn.saturating_sub(1) % all.len().max(1);
        let count = all.len();
        all.into_iter().cycle().skip(first).take(count)
    }
}

fn packet(seqno: i64, queue: &str, message_id: u64) -> Packet {
    let query = Some(TransactionQuery {
        queue: queue.to_owned(),
        message_id,
    });
    Packet {
        query,
        ..Packet::new(seqno, cmd::TRANSACTION_QUERY)
    }
}
