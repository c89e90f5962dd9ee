//! Traces that go on where a message is handled.

use std::collections::HashMap;
use std::fmt::Debug;

use tracing::Span;

/// Takes a trace from where a message is sent to where it is handled, in fields of the message.
///
/// Which fields those are is its own business, and mostly that of W3C's Trace Context: `traceparent` and `tracestate`. The clients know no tracing system
/// but [`tracing`]'s spans; this is what ties one to them. With `tracing-opentelemetry` 0.34 and `opentelemetry` 0.33, whose carriers a `HashMap` is:
///
/// ```ignore
/// #[derive(Debug)]
/// struct TraceContext(TraceContextPropagator);
///
/// impl Propagator for TraceContext {
///     fn inject(&self, span: &Span) -> HashMap<String, String> {
///         let mut fields = HashMap::new();
///         self.0.inject_context(&span.context(), &mut fields);
///         fields
///     }
///
///     fn extract(&self, span: &Span, fields: &HashMap<String, String>, messages: usize) {
///         let sender = self.0.extract(fields);
///         if messages == 1 {
///             // What is already traced keeps its trace.
///             let _ = span.set_parent(sender);
///         } else {
///             span.add_link(sender.span().span_context().clone());
///         }
///     }
/// }
/// ```
pub trait Propagator: Debug + Send + Sync + 'static {
    /// The fields by which the trace of `span` goes on elsewhere; none if it has no trace. Called for every message that is sent, in the sender's task.
    fn inject(&self, span: &Span) -> HashMap<String, String>;

    /// Ties `span`, in which `messages` messages are handled, to the sender of one of them, by the fields that came with it. Called once for each of them,
    /// before the span is entered.
    fn extract(&self, span: &Span, fields: &HashMap<String, String>, messages: usize);
}
