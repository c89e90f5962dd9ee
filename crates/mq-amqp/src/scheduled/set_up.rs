//! What a virtual host has to have, made once.

use mq_core::ErrorKind;

use super::ladder::{self, OUT, UNDELIVERED};
use crate::client::Client;
use crate::error::Result;
use crate::topology::{Binding, Exchange, Piece};

/// The exchange of the plugin's type.
pub(super) const DELAYED: &str = "mq.delay.v1.delayed";

/// Makes the ladder where it is missing.
pub(super) async fn ladder(client: &Client, quorum: bool) -> Result<()> {
    match client.queue(UNDELIVERED).await {
        // What is declared last is there; who made it may have gone before it was bound.
        Ok(_) => {
            let bound = Binding::queue(UNDELIVERED).to(UNDELIVERED);
            let last = [Piece::Queue(ladder::last(quorum)), Piece::Binding(bound)];
            client.lay(&last).await
        }
        Err(error) if error.kind() == ErrorKind::NotFound => whole_ladder(client, quorum).await,
        Err(error) => Err(error),
    }
}

/// Makes all of it that is missing.
pub(super) async fn whole_ladder(client: &Client, quorum: bool) -> Result<()> {
    client.lay(&ladder::pieces(quorum)).await
}

/// Makes the plugin's exchange. A broker without the plugin may close the connection for it: on one of its own.
// rabbitmq-server 3.10: rabbit_exchange.erl, check_type, answers COMMAND_INVALID, which ends a connection
pub(super) async fn plugin(client: &Client) -> Result<()> {
    let another = client.another().await?;
    let delayed =
        Exchange::of_kind(DELAYED, "x-delayed-message").argument("x-delayed-type", "fanout");
    let made = another.lay(&[Piece::Exchange(delayed)]).await;
    another.close().await;
    made?;
    client.lay(&[Piece::Binding(from_the_plugin())]).await
}

/// What the plugin's exchange lets go takes the ladder's last step.
pub(super) fn from_the_plugin() -> Binding {
    Binding::exchange(OUT).to(DELAYED)
}
