//! A connection a broker, made when it is first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mq_core::Endpoint;
use tokio::sync::Mutex as Turn;

use super::{Connection, Options, Tasks, driver, handshake};
use crate::error::{Result, closed};

/// A broker, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Broker {
    /// Where to connect to.
    pub(crate) address: Endpoint,
    /// The broker's own address, where the first is a proxy's.
    pub(crate) behind: Option<Endpoint>,
}

impl Broker {
    pub(crate) const fn at(address: Endpoint) -> Self {
        Self {
            address,
            behind: None,
        }
    }
}

/// A client's connections.
pub(crate) struct Pool {
    options: Arc<Options>,
    tasks: Weak<Tasks>,
    places: Mutex<Option<HashMap<Broker, Arc<Place>>>>,
}

/// Who finds no connection makes one, and others wait for that.
type Place = Turn<Option<Connection>>;

impl Pool {
    pub(crate) fn new(options: Arc<Options>, tasks: &Arc<Tasks>) -> Self {
        Self {
            options,
            tasks: Arc::downgrade(tasks),
            places: Mutex::new(Some(HashMap::new())),
        }
    }

    /// The connection to a broker; made if there is none that stands.
    ///
    /// # Errors
    ///
    /// What connecting answers; kind `Closed` when the client is closed.
    pub(crate) async fn get(&self, broker: &Broker) -> Result<Connection> {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            let places = places.as_mut().ok_or_else(|| closed("connect", "client"))?;
            Arc::clone(places.entry(broker.clone()).or_default())
        };
        let mut place = place.lock().await;
        if let Some(connection) = place.as_ref().filter(|connection| !connection.is_gone()) {
            return Ok(connection.clone());
        }
        let opened = handshake::open(broker, &self.options).await?;
        let (connection, task) = driver::start(opened, broker.address.to_string(), &self.options);
        let tasks = self.tasks.upgrade();
        let tasks = tasks.ok_or_else(|| closed("connect", "client"))?;
        tasks.spawn(task);
        *place = Some(connection.clone());
        let open = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            // Closed meanwhile.
            connection.shut_down();
        }
        Ok(connection)
    }

    /// Ends all connections and makes none any more.
    pub(crate) async fn close(&self) {
        let places = self
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for place in places.into_iter().flat_map(HashMap::into_values) {
            let connection = place.lock().await.take();
            if let Some(connection) = connection {
                connection.shut_down();
                connection.lost().await;
            }
        }
    }
}
