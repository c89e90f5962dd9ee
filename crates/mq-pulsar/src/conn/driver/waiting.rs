//! Waiting for a socket, for commands and for time, at once; and what is done with the socket.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;
use tokio::time::{Interval, Sleep};
use tokio_util::io::poll_read_buf;

use super::{Driver, now};
use crate::error::Result;
use crate::proto::api;

/// What a driver waits for.
#[derive(Default)]
pub(super) struct Happened {
    pub(super) read: usize,
    woken: bool,
    pub(super) ticked: bool,
    /// What is left could not be written in its time.
    pub(super) over: bool,
    pub(super) auth: Option<Result<api::AuthData>>,
}

impl Driver {
    pub(super) async fn wait(&mut self, ticks: &mut Interval) -> io::Result<Happened> {
        let connection = self.connection.clone();
        let mut woken = pin!(connection.0.wake.notified());
        poll_fn(|cx| {
            let mut happened = Happened::default();
            let mut moved = self.poll_write(cx)?;
            match self.poll_read(cx) {
                Poll::Ready(count) => {
                    happened.read = count?;
                    moved = true;
                }
                Poll::Pending => {}
            }
            happened.woken = woken.as_mut().poll(cx).is_ready();
            happened.ticked = ticks.poll_tick(cx).is_ready();
            if self.poll_alarm(cx) {
                happened.woken = true;
            }
            if let Some(auth) = &mut self.auth
                && let Poll::Ready(data) = auth.as_mut().poll(cx)
            {
                self.auth = None;
                happened.auth = Some(data);
            }
            if let Some(closing) = &mut self.closing {
                happened.over = closing.as_mut().poll(cx).is_ready();
            }
            if moved
                || happened.woken
                || happened.ticked
                || happened.over
                || happened.auth.is_some()
            {
                return Poll::Ready(Ok(happened));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether there are lanes whose time has come.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> bool {
        let rings = |alarm: &mut Pin<Box<Sleep>>| alarm.as_mut().poll(cx).is_ready();
        if !self.alarm.as_mut().is_some_and(rings) {
            return false;
        }
        self.alarm = None;
        let now = now();
        for (_, key) in self.later.extract_if(.., |(at, _)| *at <= now) {
            self.dirty.push_back(key);
        }
        true
    }

    /// Writes until nothing is left or the socket takes no more; says whether the driver has to look: at lanes that waited for room, at its end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let waited = self.out.is_full() || self.closing.is_some();
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.out.slices(&mut slices);
            let filled = slices.get(..count).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(cx, filled) {
                Poll::Ready(written) => {
                    self.out.written(written?);
                    self.flushed = false;
                }
                Poll::Pending => return Ok(waited && !self.out.is_full()),
            }
        }
        if !self.flushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.flushed = true;
        }
        Ok(waited)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbound.capacity() - self.inbound.len() < READ / 4 {
            self.inbound.reserve(READ);
        }
        let count = ready!(poll_read_buf(
            Pin::new(&mut self.stream),
            cx,
            &mut self.inbound
        ))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(count))
    }
}

const SLICES: usize = 64;
const READ: usize = 64 * 1024;
