//! The flow that CMQ has over TCP alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mq_cmq::{Pending, TcpClient, TransactionalProducer, Verdict};
use mq_dev::cmq::DevServer;

use super::stage::{PATIENCE, Row};
use crate::output::say;

/// What the local work has decided, by the id of its transaction.
type Decided = Arc<Mutex<BTreeMap<String, Verdict>>>;

/// Delivered if, and only if, the local work says so; also when nobody has ended the transaction.
pub(super) async fn transactional(server: &DevServer) -> Row {
    say("transactional, over TCP: one committed, one rolled back, two left to the checker");
    let decided = Decided::default();
    let (mut came, mut wrong) = (Vec::new(), Vec::new());
    match run(server, &decided).await {
        Ok(bodies) => came = bodies,
        Err(error) => wrong.push(error.to_string()),
    }
    came.sort();
    let half = server.counts(QUEUE).map_or(0, |counts| counts.half);
    if half > 0 {
        wrong.push(format!("not ended: {half}"));
    }
    let kept = wrong.is_empty() && came == EXPECTED;
    let told = format!("delivered: {}", came.join(", "));
    Row {
        flow: "transactional",
        sent: SENT.len(),
        came: came.len(),
        kept,
        told: wrong.into_iter().fold(told, |told, it| told + "; " + &it),
    }
}

async fn run(server: &DevServer, decided: &Decided) -> mq_cmq::Result<Vec<String>> {
    let client = TcpClient::from_url(&server.tcp_url())?.build()?;
    let checker = {
        let decided = Arc::clone(decided);
        move |pending: Pending| {
            let verdict = known(&decided).get(pending.id()).copied();
            let verdict = verdict.unwrap_or(Verdict::Unknown);
            say(format_args!("  the server asks, the answer: {verdict:?}"));
            async move { verdict }
        }
    };
    let producer = client.transactional(QUEUE, checker)?;
    for (body, verdict, ends) in SENT {
        if let Err(error) = begin(&producer, decided, body, verdict, ends).await {
            say(format_args!("  {body}: {error}"));
        }
    }
    let queue = client.queue(QUEUE)?;
    let mut came = Vec::new();
    while let Some(message) = queue.receive(PATIENCE).await? {
        queue.delete(message.handle()).await?;
        came.push(message.into_body());
    }
    client.close();
    Ok(came)
}

async fn begin(
    producer: &TransactionalProducer,
    decided: &Decided,
    body: &str,
    verdict: Verdict,
    ends: bool,
) -> mq_cmq::Result<()> {
    let prepared = producer.begin(body).await?;
    known(decided).insert(prepared.id().to_owned(), verdict);
    match verdict {
        // As if the process died here.
        _ if !ends => Ok(()),
        Verdict::Commit => prepared.commit().await,
        _ => prepared.rollback().await,
    }
}

fn known(decided: &Decided) -> std::sync::MutexGuard<'_, BTreeMap<String, Verdict>> {
    decided.lock().unwrap_or_else(PoisonError::into_inner)
}

const QUEUE: &str = "payments";
/// What is sent, what becomes of it, and whether its transaction is ended by who began it.
const SENT: [(&str, Verdict, bool); 4] = [
    ("paid", Verdict::Commit, true),
    ("refused", Verdict::Rollback, true),
    ("paid, then died", Verdict::Commit, false),
    ("refused, then died", Verdict::Rollback, false),
];
const EXPECTED: [&str; 2] = ["paid", "paid, then died"];
