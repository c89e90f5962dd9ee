//! Declares that are not remembered: what outlives the client, and what lives for a while.

use super::{Binding, Exchange, Queue, call};
use crate::client::Client;
use crate::error::Result;

/// One of them.
#[derive(Debug)]
pub(crate) enum Piece {
    Exchange(Exchange),
    Queue(Queue),
    Binding(Binding),
}

impl Client {
    /// Makes what is missing, in this order.
    pub(crate) async fn lay(&self, pieces: &[Piece]) -> Result<()> {
        let channel = self.topology_channel().await?;
        for piece in pieces {
            let (method, what) = match piece {
                Piece::Exchange(exchange) => (exchange.declare(), "declare exchange"),
                Piece::Queue(queue) => (queue.declare(), "declare queue"),
                Piece::Binding(binding) => (binding.bind(), "bind"),
            };
            call(&channel, method, what).await?;
        }
        Ok(())
    }
}
