//! How much the server takes.

/// What is refused beyond. Those of the service, and of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Queues; default 10 000.
    pub queues: usize,
    /// Topics; default 10 000.
    pub topics: usize,
    /// Subscriptions of a topic; default 500.
    pub subscriptions: usize,
    /// Messages of a queue whose delay has not ended; default 20 000, as Tencent Cloud's documents say (product 406, document 8128).
    pub delayed: usize,
    /// Bytes of all messages together, each counted as its body and 256 bytes; default 2 GiB.
    pub bytes: usize,
    /// Messages that wait to be pushed to URLs; default 10 000.
    pub pushes: usize,
    /// Bytes of requests that are being read or carried out, together; default 256 MiB. Who finds no room while a body may be waited for
    /// ([`Builder::patience`](crate::cmq::Builder::patience)) is refused with 4420/10250, which clients try again.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queues: 10_000,
            topics: 10_000,
            subscriptions: 500,
            delayed: 20_000,
            bytes: 2 << 30,
            pushes: 10_000,
            requests: 256 << 20,
        }
    }
}
