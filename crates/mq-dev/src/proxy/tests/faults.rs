//! Faults of one frame.

use super::*;
use crate::proxy::faults;

/// Writes these requests, and reads this many answers.
async fn ask_all(client: &mut Peer, opaques: std::ops::Range<i32>, answers: usize) -> Vec<i32> {
    for opaque in opaques {
        client.write(&request(SEND, opaque)).await;
    }
    let mut got = Vec::new();
    for _ in 0..answers {
        got.push(client.read().await.unwrap().header.opaque);
    }
    got
}

#[tokio::test]
async fn drop_reply_loses_exactly_the_nth() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    client.ask(request(SEND, 0)).await;
    let lost = proxy.inject(faults::drop_reply(SEND, 2));
    client.ask(request(ROUTE, 1)).await;
    assert_eq!(ask_all(&mut client, 2..3, 1).await, [2]);
    assert!(!lost.fired());
    assert_eq!(ask_all(&mut client, 3..6, 2).await, [4, 5]);
    assert!(lost.fired());
    assert_eq!((lost.seen(), proxy.requests(SEND)), (4, 5));
    assert_eq!(answers(&proxy), 6, "the server has answered them all");
}

#[tokio::test]
async fn drop_request_loses_it_before_the_server() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    let lost = proxy.inject(faults::drop_request(SEND, 1));
    assert_eq!(ask_all(&mut client, 0..2, 1).await, [1]);
    assert!(lost.fired());
    assert_eq!((answers(&proxy), proxy.requests(SEND)), (1, 2));
}

#[tokio::test]
async fn faults_count_every_frame_and_the_first_has_its_way() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let proxy = Proxy::builder(broker().await.to_string())
        .policy(move |frame: &Observed<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            let last = frame.direction == Direction::ToClient && frame.header.opaque == 3;
            if last { Action::Drop } else { Action::Forward }
        })
        .start()
        .await
        .unwrap();
    let mut client = Peer::connect(proxy.addr()).await;
    let first = proxy.inject(faults::drop_reply(SEND, 1));
    let second = proxy.inject(faults::drop_reply(SEND, 2));
    let beaten = proxy.inject(faults::cut_reply(SEND, 2, Ending::Reset));
    assert_eq!(ask_all(&mut client, 0..5, 2).await, [2, 4]);
    assert!(first.fired() && second.fired() && beaten.fired());
    assert_eq!(
        asked.load(Ordering::Relaxed),
        10,
        "the policy sees all frames"
    );
}

#[tokio::test]
async fn a_fault_can_be_taken_back_and_does_not_count_before_it_is_injected() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    let fault = faults::drop_reply(SEND, 2);
    assert_eq!(ask_all(&mut client, 0..2, 2).await, [0, 1]);
    assert_eq!(fault.seen(), 0);
    let fault = proxy.inject(fault);
    assert_eq!(ask_all(&mut client, 2..3, 1).await, [2]);
    fault.disarm();
    assert_eq!(ask_all(&mut client, 3..6, 3).await, [3, 4, 5]);
    assert_eq!((fault.seen(), fault.fired()), (1, false));
}

#[tokio::test]
async fn a_fault_is_a_policy_too() {
    let lost = faults::drop_reply(SEND, 1);
    let proxy = Proxy::builder(broker().await.to_string())
        .policy(lost.clone())
        .start()
        .await
        .unwrap();
    let mut client = Peer::connect(proxy.addr()).await;
    assert_eq!(ask_all(&mut client, 0..2, 1).await, [1]);
    assert!(lost.fired());
}

#[tokio::test]
async fn a_fault_stays_at_its_upstream() {
    let (first, second) = (broker().await, broker().await);
    let proxy = proxy_before(first).await;
    let stand_in = proxy.stand_in(&second.to_string()).unwrap();
    let lost = proxy.inject(faults::drop_reply(SEND, 1).at(second.to_string()));
    let mut to_first = Peer::connect(proxy.addr()).await;
    let mut to_second = Peer::connect(stand_in).await;
    to_first.ask(request(SEND, 1)).await;
    assert_eq!(lost.seen(), 0);
    assert_eq!(ask_all(&mut to_second, 1..3, 1).await, [2]);
}

#[tokio::test]
async fn cut_reply_ends_in_the_middle_of_the_answer() {
    for ending in [Ending::Close, Ending::Reset] {
        let proxy = proxy().await;
        let mut client = Peer::connect(proxy.addr()).await;
        let cut = proxy.inject(faults::cut_reply(SEND, 2, ending));
        assert_eq!(ask_all(&mut client, 0..1, 1).await, [0]);
        client.write(&request(SEND, 1)).await;
        client.write(&request(SEND, 2)).await;
        let (bytes, ended) = client.rest().await;
        let whole = &proxy.transcript()[3];
        assert_eq!(whole.direction, Direction::ToClient);
        assert_eq!(ended, ending);
        if ended == Ending::Close {
            assert_eq!(bytes, whole.frame[..whole.frame.len() / 2]);
        }
        assert!(cut.fired());
    }
}

#[tokio::test]
async fn cut_request_ends_in_the_middle_of_the_request() {
    let (listener, upstream) = silent().await;
    let proxy = proxy_before(upstream).await;
    let frame = request(SEND, 1).encode(0).into_bytes();
    let half = frame.len() / 2;
    let at = |at| {
        Fault::on_request(
            SEND,
            1,
            Action::CutMid {
                at,
                ending: Ending::Close,
            },
        )
    };
    for (fault, expected) in [
        (faults::cut_request(SEND, 1, Ending::Close), half),
        (at(Some(5)), 5),
        (at(Some(0)), 0),
        (at(Some(usize::MAX)), frame.len() - 1),
    ] {
        proxy.inject(fault);
        let mut client = Peer::connect(proxy.addr()).await;
        let mut server = accepted(&listener).await;
        client.write(&request(SEND, 1)).await;
        let cut = frame[..expected].to_vec();
        assert_eq!(server.rest().await, (cut, Ending::Close));
        assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
    }
}

#[tokio::test]
async fn reset_resets_both_ends_instead_of_the_frame() {
    let (listener, upstream) = silent().await;
    let proxy = proxy_before(upstream).await;
    proxy.inject(Fault::on_request(SEND, 1, Action::Reset));
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    client.write(&request(SEND, 1)).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Reset));
    assert_eq!(server.rest().await, (Vec::new(), Ending::Reset));
}

#[tokio::test]
async fn hold_reply_keeps_it_until_told() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    proxy.release();
    let held = proxy.inject(faults::hold_reply(SEND, 1));
    assert_eq!(ask_all(&mut client, 0..2, 1).await, [1], "overtakes");
    assert!(held.fired());
    client.stays_silent().await;
    proxy.release();
    assert_eq!(client.read().await.unwrap().header.opaque, 0);
}

/// Between the decision and the holding there may be a release, by who saw the decision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_right_after_the_decision_is_not_missed() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    for opaque in 0..200 {
        let held = proxy.inject(faults::hold_reply(SEND, 1));
        client.write(&request(SEND, opaque)).await;
        while !held.fired() {
            tokio::task::yield_now().await;
        }
        proxy.release();
        assert_eq!(client.read().await.unwrap().header.opaque, opaque);
    }
}
