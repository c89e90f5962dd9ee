//! One attempt over TCP: a gateway, a packet, and what became of it.

use std::time::Instant;

use mq_core::Outcome;

use super::{Answered, Body, Carrier, Shared};
use crate::error::{ErrorCode, Result, failed, rejected};
use crate::proto::action::Destination;
use crate::proto::tcp::Packet;
use crate::proto::{Action, Envelope};

impl Shared {
    pub(super) async fn attempt_packet<A: Action + Sync>(
        &self,
        carrier: &Carrier,
        to: Destination<'_>,
        packet: Box<Packet>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Answered> {
        let gateway = self.gateway(carrier, to, operation, deadline).await?;
        let begun = self.clock.now();
        let sent = carrier
            .gateways
            .call(&gateway, packet, deadline, self.tasks());
        let answer = sent.await.map_err(|failure| {
            // Another one, or another route, is tried next.
            carrier.routes.failed(to, &gateway);
            failed(operation, &gateway.to_string(), failure)
        })?;
        let envelope = envelope(&answer);
        match envelope.error() {
            Some(code) if !A::ANSWERS.contains(&envelope.code) => {
                Err(rejected(operation, &gateway.to_string(), code, &envelope))
            }
            _ => Ok(Answered {
                envelope,
                body: Body::Packet(answer),
                begun,
                unsure: false,
            }),
        }
    }

    /// The gateway for a queue or topic, found anew where it is not known.
    async fn gateway(
        &self,
        carrier: &Carrier,
        to: Destination<'_>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<mq_core::Endpoint> {
        if let Some(gateway) = carrier.routes.current(to, self.clock.now()) {
            return Ok(gateway);
        }
        let all = self.ask_route(carrier, to, operation, deadline).await;
        let all = all.map_err(|error| match error.outcome() {
            Outcome::Unknown => error.into_builder().outcome(Outcome::NotSent).build(),
            _ => error,
        })?;
        all.into_iter().next().ok_or_else(|| {
            let none = self.not_the_protocol(operation, "the route names no gateway");
            none.outcome(Outcome::NotSent).build()
        })
    }
}

/// An answer in the words of HTTP's.
fn envelope(answer: &Packet) -> Envelope {
    let result = answer.result.unwrap_or_default();
    let request_id = answer.request_id.map(|id| id.to_string());
    let request_id = request_id.unwrap_or_default();
    if result == 0 {
        return Envelope::success(request_id);
    }
    let code = ErrorCode::of_result(result);
    let text = answer.error.as_deref().unwrap_or_default();
    if text.starts_with('(') {
        return Envelope {
            code: code.number().into(),
            message: text.to_owned(),
            request_id,
        };
    }
    Envelope::refusal(code, text, request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_told_as_http_does() {
        let answer = |result, error: Option<&str>| {
            let mut packet = Packet::new(1, 1021);
            (packet.result, packet.error) = (result, error.map(ToOwned::to_owned));
            envelope(&packet).error()
        };
        assert_eq!(answer(None, None), None);
        assert_eq!(answer(Some(0), None), None);
        let missing = Some(ErrorCode::QUEUE_NOT_FOUND);
        let text = "(10100)queue is not existed, or deleted";
        assert_eq!(answer(Some(10_100), Some(text)), missing);
        assert_eq!(answer(Some(10_100), None), missing);
        assert_eq!(answer(Some(10_200), None), Some(ErrorCode::NO_MESSAGE));
        assert_eq!(answer(Some(306), None), Some(ErrorCode::NOT_AUTHENTICATED));
        assert_eq!(answer(Some(-7), None), Some(ErrorCode::new(7, None)));
    }
}
