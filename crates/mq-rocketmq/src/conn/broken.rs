//! Why a connection ended, or never stood.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{ErrorKind, Outcome, Retry};

use crate::tls::{TlsError, TlsFault};

/// Why a connection ended, or never stood.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) reason: Arc<str>,
    pub(crate) tls: Option<TlsError>,
}

impl Broken {
    pub(crate) fn new(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            tls: None,
        }
    }

    pub(crate) fn silent(limit: Duration) -> Self {
        Self::new(format!("nothing was heard for {limit:?}"))
    }

    pub(crate) fn tls(fault: TlsFault, detail: impl std::fmt::Display) -> Self {
        Self {
            reason: fault.says().into(),
            tls: Some(TlsError::new(fault, detail)),
        }
    }

    /// What the waiters hear, of a connection that did not stand or ended.
    pub(crate) fn kind(&self, otherwise: ErrorKind) -> ErrorKind {
        match self.fault() {
            // That it went without a word is sure, why it did is not.
            None | Some(TlsFault::TlsRequired) => otherwise,
            Some(fault) => fault.kind(),
        }
    }

    /// What became of a request that had left. A server looks at a client's certificate before it looks at a request.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.fault() {
            None | Some(TlsFault::TlsRequired) => Outcome::Unknown,
            Some(_) => Outcome::NotSent,
        }
    }

    /// Whether the next attempt would end like this one, as long as nobody changes anything.
    pub(crate) fn is_lasting(&self) -> bool {
        self.fault()
            .is_some_and(|fault| fault.retry() == Retry::Never)
    }

    fn fault(&self) -> Option<TlsFault> {
        self.tls.as_ref().map(TlsError::fault)
    }
}

impl From<io::Error> for Broken {
    fn from(cause: io::Error) -> Self {
        Self::new(cause.to_string())
    }
}
