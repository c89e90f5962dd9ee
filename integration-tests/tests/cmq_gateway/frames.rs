//! What is not meant well, or comes in pieces: the server lives, answers others, and stays small.

use std::time::Duration;

use integration_tests::harness::{Meter, now, size, until, within};
use mq_cmq::proto::tcp::{Packet, cmd, state};
use mq_dev::cmq::{DevServer, Limits};

use crate::wire::{
    SECOND, Tcp, batch_delete, batch_publish, batch_pull, batch_send, builder, confirm, delete,
    framed, half, login, publish, pull, send, server,
};

async fn lives(server: &DevServer) {
    Tcp::login(server).await.nothing_came().await;
}

#[tokio::test]
async fn frames_come_in_pieces_and_together() {
    let server = server().await;
    let mut tcp = Tcp::connect(&server).await;
    let packet = |seqno, packet: Packet| framed(&Packet { seqno, ..packet });
    let mut all = packet(1, login("AKIDdev", "dev-secret"));
    all.extend(packet(2, send("q", "one")));
    for byte in &all {
        tcp.write(&[*byte]).await;
    }
    assert_eq!(tcp.next().await.unwrap().seqno, 1);
    assert_eq!(tcp.next().await.unwrap().message_ids.len(), 1);
    let mut all = Vec::new();
    for seqno in 3..103 {
        all.extend(packet(seqno, send("q", "many")));
    }
    // And the beginning of one more.
    let last = packet(103, send("q", "last"));
    all.extend(&last[..9]);
    tcp.write(&all).await;
    for seqno in 3..103 {
        assert_eq!(tcp.next().await.unwrap().seqno, seqno);
    }
    tcp.write(&last[9..]).await;
    assert_eq!(tcp.next().await.unwrap().seqno, 103);
    assert_eq!(server.counts("q").unwrap().active, 102);
}

#[tokio::test]
async fn what_can_not_be_a_frame_ends_the_connection() {
    let server = server().await;
    let over = (2_u32 * 1024 * 1024 + 1).to_le_bytes();
    let over = [&[0, 0][..], &over].concat();
    for wire in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"\x00\x01\x00\x00\x00\x00",
        b"\x00\x00\x05\x00\x00\x00",
        b"\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\xff\xff\xff\xff",
        b"\x00\x00\x0a\x00\x00\x00\xff\xff\xff\xff",
        &over,
    ] {
        let mut stranger = Tcp::connect(&server).await;
        stranger.write(wire).await;
        stranger.ended().await;
        let mut known = Tcp::login(&server).await;
        known.sent(send("q", "before")).await;
        known.write(wire).await;
        known.ended().await;
    }
    // Who has not logged in says little.
    let mut stranger = Tcp::connect(&server).await;
    let large = send("q", &"x".repeat(64 * 1024));
    stranger.try_write(&framed(&large)).await;
    stranger.ended().await;
    assert_eq!(server.counts("q").unwrap().active, 8);
    lives(&server).await;
}

#[tokio::test]
async fn a_frame_that_does_not_come_ends_the_connection() {
    let server = builder().patience(SECOND / 4).start().await.unwrap();
    let mut tcp = Tcp::login(&server).await;
    let frame = framed(&pull("q", 0));
    // A byte now and then is not enough: it takes longer than a frame may.
    for byte in &frame {
        tcp.try_write(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(tcp.next().await.is_none());
    lives(&server).await;
}

#[tokio::test]
async fn who_never_reads_is_sent_away() {
    let server = builder().patience(SECOND / 4).start().await.unwrap();
    server
        .create_queue(crate::raw::q().max_body(1 << 20))
        .unwrap();
    let mut tcp = Tcp::login(&server).await;
    for _ in 0..32 {
        tcp.sent(send("q", &"x".repeat(1 << 20))).await;
    }
    let mut deaf = Tcp::login(&server).await;
    server.create_queue(crate::wire::t()).unwrap();
    deaf.send(pull("t", 30)).await;
    for _ in 0..2 {
        deaf.send(batch_pull("q", 16, None)).await;
    }
    let all = async || server.counts("q").unwrap().held == 32;
    until(10 * SECOND, "all to be handed out", all).await;
    // Its connection is over: nobody waits there any more.
    let gone = async || server.counts("t").unwrap().waiting == 0;
    until(10 * SECOND, "the end of the connection", gone).await;
    tcp.nothing_came().await;
}

#[tokio::test]
async fn too_many_connections_are_closed_at_once() {
    let server = builder().max_connections(2).start().await.unwrap();
    let first = Tcp::login(&server).await;
    let mut second = Tcp::login(&server).await;
    Tcp::connect(&server).await.ended().await;
    drop(first);
    let room = async {
        loop {
            let mut tcp = Tcp::connect(&server).await;
            let login = framed(&login("AKIDdev", "dev-secret"));
            tcp.try_write(&login).await;
            if tcp.next().await.is_some() {
                return;
            }
        }
    };
    within(10 * SECOND, "room for another", room).await;
    second.nothing_came().await;
}

#[tokio::test]
async fn large_frames_that_never_come_stop_nobody_else() {
    let mut limits = Limits::default();
    limits.requests = 4 << 20;
    let server = builder()
        .limits(limits)
        .patience(SECOND)
        .start()
        .await
        .unwrap();
    server.create_queue(crate::raw::q()).unwrap();
    let announced = [&[0, 0][..], &2_000_000_u32.to_le_bytes(), &[0; 1000]].concat();
    let mut hoarders = Vec::new();
    for _ in 0..100 {
        let mut tcp = Tcp::login(&server).await;
        tcp.write(&announced).await;
        hoarders.push(tcp);
    }
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(send("q", &"x".repeat(60_000))).await;
    for mut tcp in hoarders {
        tcp.ended().await;
    }
}

/// One of each command.
fn all() -> Vec<Packet> {
    vec![
        send("q", "body"),
        batch_send("q", &["a", "b"]),
        pull("q", 0),
        batch_pull("q", 16, Some(3)),
        delete("q", 7),
        batch_delete("q", &[7, 8]),
        publish("news", "x", &["tag"], Some("a.b")),
        batch_publish("news", &["x"], &[]),
        half("t", "x"),
        confirm("t", &[(7, state::COMMIT)]),
        login("AKIDdev", "dev-secret"),
        Packet::new(5, cmd::HEARTBEAT),
    ]
}

/// Packets of strange contents, and behind them a frame with bytes changed, which most often is no packet; behind a login or not.
#[tokio::test]
async fn garbage_is_answered_or_closed() {
    let mut limits = Limits::default();
    limits.bytes = 64 << 20;
    let server = builder().limits(limits).start().await.unwrap();
    server.create_queue(crate::raw::q()).unwrap();
    server.create_queue(crate::wire::t()).unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    let limit = size(3 * SECOND, 7200 * SECOND);
    let (started, most) = (now(), size(1_000_000, 100_000_000));
    let (mut strange_ones, mut broken) = (0, 0);
    while started.elapsed() < limit && strange_ones + broken < most {
        let mut tcp = Tcp::connect(&server).await;
        let mut wire = Vec::new();
        if dice.u8(..4) > 0 {
            wire.extend(framed(&login("AKIDdev", "dev-secret")));
        }
        for _ in 0..60 {
            wire.extend(framed(&strange(&mut dice)));
        }
        wire.extend(mutated(&mut dice));
        tcp.try_write(&wire).await;
        tcp.shutdown().await;
        tcp.ended().await;
        (strange_ones, broken) = (strange_ones + 60, broken + 1);
    }
    let passed = started.elapsed();
    let peak = Meter::read().peak >> 20;
    println!("{strange_ones} strange packets, {broken} mutated frames in {passed:?}, {peak} MiB");
    // Each of the strange ones was read, and has a number.
    let number = Tcp::login(&server).await.ask(pull("none", 0)).await;
    assert!(number.request_id.unwrap() > strange_ones);
    assert!(
        strange_ones >= 6_000,
        "{strange_ones} packets in {passed:?}"
    );
    lives(&server).await;
}

/// A packet whose parts don't belong together, with numbers that nobody expects.
fn strange(dice: &mut fastrand::Rng) -> Packet {
    let all = all();
    let mut packet = all[dice.usize(..all.len())].clone();
    let number = [i32::MIN, -1, 0, 1, 3, 30, 31, i32::MAX][dice.usize(..8)];
    let unsigned = u32::from_ne_bytes(number.to_ne_bytes());
    packet.seqno = dice.i64(..);
    if dice.bool() {
        packet.cmd = [all[dice.usize(..all.len())].cmd, number][dice.usize(..2)];
    }
    if let Some(send) = &mut packet.send {
        (send.delay_seconds, send.transaction) = (Some(unsigned), Some(number));
        send.first_query_interval = Some(number);
        ["q", "t", "", "\0", "ä b"][dice.usize(..5)].clone_into(&mut send.queue);
    }
    if let Some(pull) = &mut packet.pull {
        (pull.wait_seconds, pull.visibility_seconds) = (Some(number), Some(unsigned));
    }
    if let Some(pull) = &mut packet.batch_pull {
        (pull.most, pull.wait_seconds) = (number, Some(number));
    }
    if let Some(confirm) = &mut packet.confirm {
        confirm.items[0].state = number;
        ["q", "t", ""][dice.usize(..3)].clone_into(&mut confirm.queue);
    }
    if let Some(auth) = &mut packet.auth {
        ["", "=", "AAAA", "ä"][dice.usize(..4)].clone_into(&mut auth.signature);
    }
    packet
}

fn mutated(dice: &mut fastrand::Rng) -> Vec<u8> {
    let all = all();
    let mut frame = framed(&all[dice.usize(..all.len())]);
    for _ in 0..dice.usize(1..4) {
        let at = dice.usize(..frame.len());
        frame[at] = dice.u8(..);
    }
    frame
}
