//! The consumer as a whole: on a broker in memory that does what a test tells it to, and on a real one.

mod broadcast;
mod broker;
mod group;
mod offsets;
mod position;
mod real;
mod refusals;
mod room;
mod running;
mod settling;
mod support;
