//! Spans, and the trace that a message carries in its properties.
// opentelemetry.io/docs/specs/semconv/messaging, whose names may still change; Pulsar has no place of its own for a trace

use std::collections::HashMap;

use mq_core::Propagator;
use tracing::Span;

use crate::Message;

/// A message is sent in this one.
pub(crate) fn sending(topic: &str, message: &Message) -> Span {
    tracing::info_span!(
        "send",
        messaging.system = SYSTEM,
        messaging.operation.r#type = "send",
        messaging.destination.name = topic,
        messaging.message.body.size = message.body().len(),
    )
}

/// Messages of a topic are handled in this one.
pub(crate) fn processing(topic: &str, messages: usize) -> Span {
    tracing::info_span!(
        "process",
        messaging.system = SYSTEM,
        messaging.operation.r#type = "process",
        messaging.destination.name = topic,
        messaging.batch.message_count = messages,
    )
}

/// Writes the trace of the current span into the properties, unless the message carries one already: who sends on what came to him says so by leaving
/// it there, and a message that is sent again is the same message.
pub(crate) fn inject(propagator: &dyn Propagator, message: &mut Message) {
    let mut fields = propagator.inject(&Span::current());
    // OpenTelemetry's gives a state that is empty, which says nothing.
    fields.retain(|_, value| !value.is_empty());
    // All or none: the fields of two traces make none.
    if fields
        .keys()
        .all(|name| message.property_text(name).is_none())
    {
        for (name, value) in fields {
            message.set_property(name.into(), value.into());
        }
    }
}

/// Ties the span to who sent a message, one of so many that it handles.
pub(crate) fn extract<'a>(
    propagator: &dyn Propagator,
    span: &Span,
    properties: impl Iterator<Item = (&'a str, &'a str)>,
    messages: usize,
) {
    if !span.is_disabled() {
        let fields: HashMap<_, _> = properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        propagator.extract(span, &fields, messages);
    }
}

const SYSTEM: &str = "pulsar";
