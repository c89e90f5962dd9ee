//! The consumer as a whole: on a broker in memory that does what a test tells it to, and on a real one.

mod broadcast;
mod broker;
mod group;
mod offsets;
mod ordered;
mod ordered_locks;
mod ordered_running;
mod position;
mod rate_limit;
mod real;
mod refusals;
mod room;
mod running;
mod settling;
mod support;
