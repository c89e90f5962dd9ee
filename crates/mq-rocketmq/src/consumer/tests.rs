//! The consumer as a whole: on a broker in memory that does what a test tells it to, and on a real one.

mod broadcast;
mod broker;
mod position;
mod promises;
mod real;
mod room;
