//! The client against a scripted server, which does what no broker does.

mod again;
mod callers;
mod checked;
mod consuming;
mod flushing;
mod frames;
mod limits;
mod logins;
mod messages;
mod moments;
mod mute;
mod peer;
mod recovery;
mod requests;
mod returns;
mod secrets;
mod transactions;
mod transactions_lost;
