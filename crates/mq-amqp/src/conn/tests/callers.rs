//! What callers can do wrong, and what the compiler is to let them.

use super::peer::Peer;
use crate::{
    Binding, Client, Consumer, Error, ErrorKind, Exchange, Message, Outcome, Publisher, Queue,
};

/// Handles may be used and dropped by any task.
#[test]
fn handles_are_of_any_thread() {
    fn any<T: Send + Sync + 'static>() {}
    any::<Client>();
    any::<Publisher>();
    any::<Consumer>();
    any::<crate::ConsumerHandle>();
    any::<crate::Delivery>();
    any::<crate::Acker>();
    any::<crate::RpcClient>();
    any::<crate::SendError>();
}
