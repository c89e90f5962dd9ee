//! How often each action was asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, one an action, by its name in lower case.
#[derive(Debug)]
pub(super) struct Counts {
    actions: HashMap<&'static str, AtomicU64>,
    requests: AtomicU64,
}

impl Counts {
    pub(super) fn new() -> Self {
        let actions = ACTIONS.iter().map(|name| (*name, AtomicU64::new(0)));
        Self {
            actions: actions.collect(),
            requests: AtomicU64::new(0),
        }
    }

    /// The number of a request: the first is 1.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One that was signed well.
    pub(super) fn count(&self, name: &str) {
        if let Some(count) = self.actions.get(name) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        let name = name.to_ascii_lowercase();
        let count = self.actions.get(name.as_str());
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// All that the server knows.
pub(super) const ACTIONS: &[&str] = &[
    "sendmessage",
    "batchsendmessage",
    "receivemessage",
    "batchreceivemessage",
    "deletemessage",
    "batchdeletemessage",
    "publishmessage",
    "batchpublishmessage",
    "createqueue",
    "setqueueattributes",
    "getqueueattributes",
    "listqueue",
    "deletequeue",
    "clearqueue",
    "rewindqueue",
    "unbinddeadletter",
    "listdeadlettersourcequeues",
    "createtopic",
    "settopicattributes",
    "gettopicattributes",
    "listtopic",
    "deletetopic",
    "subscribe",
    "setsubscriptionattributes",
    "getsubscriptionattributes",
    "listsubscriptionbytopic",
    "unsubscribe",
    "clearsubscriptionfiltertags",
    "queryqueueroute",
    "querytopicroute",
    // Over TCP alone, by names of this server's own.
    "confirmtransaction",
    "querytransaction",
    "createcmqqueue",
    "modifycmqqueueattribute",
    "deletecmqqueue",
    "clearcmqqueue",
    "describecmqqueuedetail",
    "describecmqqueues",
    "describecmqdeadlettersourcequeues",
    "rewindcmqqueue",
    "unbindcmqdeadletter",
    "sendcmqmsg",
    "createcmqtopic",
    "modifycmqtopicattribute",
    "deletecmqtopic",
    "describecmqtopicdetail",
    "describecmqtopics",
    "publishcmqmsg",
    "createcmqsubscribe",
    "modifycmqsubscriptionattribute",
    "deletecmqsubscribe",
    "clearcmqsubscriptionfiltertags",
    "describecmqsubscriptiondetail",
];
