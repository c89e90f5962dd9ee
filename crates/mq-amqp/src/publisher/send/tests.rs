//! A confirm that comes in the moment in which the time is over.

use std::task::Poll;

use mq_core::{ErrorKind, Outcome};

use super::*;
use crate::conn::{Connection, Lane as _, Outbox};
use crate::proto::{BasicAck, Incoming};

/// A window of one message, on a channel that confirms what the test says.
fn core() -> Arc<Core> {
    let core = Arc::new(Core::new("x".into(), 1, 1 << 20, None));
    let (connection, key) = Connection::nowhere(1);
    core.begin(key);
    assert!(core.opened(&connection, key));
    core
}

/// A message whose time is over, and what tells it that there is room.
fn late(core: &Arc<Core>, id: &'static str) -> (UnderWay, Option<oneshot::Receiver<()>>) {
    let message = Message::new("key", id).id(id);
    let head = encode::head(&message, core.exchange(), true).unwrap();
    let (answered, answer) = oneshot::channel();
    let deadline = now();
    let taken = core.take(message, head, deadline, answered).unwrap();
    let under_way = UnderWay {
        core: Arc::clone(core),
        number: taken.number,
        deadline,
        timeout: Duration::ZERO,
        answer,
    };
    (under_way, taken.admitted)
}

/// What is in the window is written.
fn write(core: &Core) {
    core.fill(1, &mut Outbox::new(4096));
}

/// And confirmed.
fn confirm(core: &Core, delivery_tag: u64) {
    let ack = BasicAck {
        delivery_tag,
        multiple: false,
    };
    core.incoming(Incoming::Method(ack.into())).unwrap();
}

#[test]
fn a_confirm_between_the_timer_and_the_giving_up_is_the_senders() {
    let core = core();
    let (confirmed, _) = late(&core, "confirmed");
    write(&core);
    confirm(&core, 1);
    assert_eq!(confirmed.too_late().unwrap().unique_id(), "confirmed");
    let (open, _) = late(&core, "open");
    write(&core);
    let failed = open.too_late().unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome(), &failed.message.body()[..]),
        (ErrorKind::Timeout, Outcome::Unknown, &b"open"[..])
    );
}

/// There is room, and even a confirm, in the moment in which the time to wait for room is over.
#[tokio::test]
async fn room_between_the_timer_and_the_giving_up_loses_no_message() {
    let core = core();
    let (first, _) = late(&core, "first");
    let (second, room) = late(&core, "second");
    write(&core);
    let mut before = true;
    let moment = std::future::poll_fn(|_| {
        if std::mem::take(&mut before) {
            confirm(&core, 1);
            write(&core);
            confirm(&core, 2);
        }
        // The message has had its room: who waits does not see it any more.
        assert!(room.is_some());
        Poll::Pending
    });
    let second = second.admitted(moment).await.unwrap();
    assert_eq!(second.confirmed().await.unwrap().unique_id(), "second");
    assert_eq!(first.confirmed().await.unwrap().unique_id(), "first");
}

/// Who does not wait for room any more waits for the answer still.
#[tokio::test]
async fn a_message_whose_room_nobody_waits_for_is_sent_all_the_same() {
    let core = core();
    let (first, _) = late(&core, "first");
    let (second, room) = late(&core, "second");
    drop(room);
    write(&core);
    confirm(&core, 1);
    write(&core);
    confirm(&core, 2);
    assert_eq!(first.confirmed().await.unwrap().unique_id(), "first");
    assert_eq!(second.confirmed().await.unwrap().unique_id(), "second");
}
