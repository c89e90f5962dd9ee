//! Clients of both planes.

use mq_cmq::{Client, ControlClient, ControlClientBuilder};
use mq_dev::cmq::DevServer;

pub(crate) fn builder(server: &DevServer) -> ControlClientBuilder {
    ControlClient::from_url(&server.control_url()).unwrap()
}

pub(crate) fn control(server: &DevServer) -> ControlClient {
    builder(server).build().unwrap()
}

pub(crate) fn data(server: &DevServer) -> Client {
    Client::from_url(&server.url()).unwrap().build().unwrap()
}
