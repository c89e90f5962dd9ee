//! Spans, and the trace that a message carries in its headers.
// opentelemetry.io/docs/specs/semconv/messaging, whose names may still change; AMQP 0-9-1 has no place of its own for a trace, and headers are where others look

use std::collections::HashMap;

use mq_core::Propagator;
use tracing::Span;

use crate::Message;
use crate::proto::{Properties, Table, Value};

/// A message is sent in this one.
pub(crate) fn sending(exchange: &str, message: &Message) -> Span {
    tracing::info_span!(
        "send",
        messaging.system = SYSTEM,
        messaging.operation.r#type = "send",
        messaging.destination.name = exchange,
        messaging.rabbitmq.destination.routing_key = message.routing_key(),
    )
}

/// Messages of a queue are handled in this one.
pub(crate) fn processing(queue: &str, messages: usize) -> Span {
    tracing::info_span!(
        "process",
        messaging.system = SYSTEM,
        messaging.operation.r#type = "process",
        messaging.destination.name = queue,
        messaging.batch.message_count = messages,
    )
}

/// Writes the trace of the current span into the headers, unless the message carries one already: who sends on what came to him says so by leaving it
/// there, and a message that is sent again is the same message.
pub(crate) fn inject(propagator: &dyn Propagator, message: &mut Message) {
    let mut fields = propagator.inject(&Span::current());
    // OpenTelemetry's gives a state that is empty, which says nothing.
    fields.retain(|_, value| !value.is_empty());
    if fields.is_empty() {
        return;
    }
    let headers = message.properties_mut().headers.get_or_insert_default();
    // All or none: the fields of two traces make none.
    if fields.keys().all(|name| headers.get(name).is_none()) {
        headers.extend(fields);
    }
}

/// Ties the span to who sent a message, one of so many that it handles.
pub(crate) fn extract(
    propagator: &dyn Propagator,
    span: &Span,
    properties: &Properties,
    messages: usize,
) {
    if !span.is_disabled() {
        propagator.extract(span, &fields(properties), messages);
    }
}

/// The headers that are texts.
fn fields(properties: &Properties) -> HashMap<String, String> {
    let headers = properties.headers.iter().flat_map(Table::iter);
    let texts = headers.filter_map(|(name, value)| match value {
        Value::Text(text) => Some((name.to_owned(), text.to_string())),
        _ => None,
    });
    texts.collect()
}

const SYSTEM: &str = "rabbitmq";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Propagator for Fixed {
        fn inject(&self, _: &Span) -> HashMap<String, String> {
            let fields = [
                ("traceparent", "ours"),
                ("tracestate", "a=1"),
                ("empty", ""),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            fields.into_iter().collect()
        }

        fn extract(&self, _: &Span, _: &HashMap<String, String>, _: usize) {
            panic!("a span that nobody collects is tied to nothing");
        }
    }

    #[test]
    fn a_trace_is_written_once_and_whole() {
        let mut message = Message::new("key", "body").header("other", 1_i32);
        inject(&Fixed, &mut message);
        let sent = message.clone();
        let headers = sent.properties().headers.as_ref().unwrap();
        let text = |name| headers.get(name).and_then(Value::as_str);
        assert_eq!(
            (text("traceparent"), text("tracestate")),
            (Some("ours"), Some("a=1"))
        );
        assert_eq!(headers.len(), 3);
        inject(&Fixed, &mut message);
        assert_eq!(message, sent);

        let mut theirs = Message::new("key", "body").header("traceparent", "theirs");
        let before = theirs.clone();
        inject(&Fixed, &mut theirs);
        assert_eq!(theirs, before, "no state of another trace beside it");
    }

    #[test]
    fn fields_are_the_headers_that_are_texts() {
        let message = Message::new("key", "body")
            .header("traceparent", "00-1-2-01")
            .header("number", 1_i32);
        let fields = fields(message.properties());
        assert_eq!(fields.len(), 1);
        assert_eq!(
            fields.get("traceparent").map(String::as_str),
            Some("00-1-2-01")
        );
        extract(&Fixed, &Span::none(), message.properties(), 1);
    }
}
