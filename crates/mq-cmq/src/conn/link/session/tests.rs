use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use mq_core::ManualClock;

use super::*;

mod mutated;

const SECOND: Duration = Duration::from_secs(1);

/// A session with its clock, and what it has written since it was asked last.
struct Bench {
    session: Session,
    clock: Arc<ManualClock>,
    written: FrameDecoder,
    asked: Arc<Mutex<Vec<u64>>>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
        Self {
            session: Session::new(FIRST, Arc::<ManualClock>::clone(&clock)),
            clock,
            written: FrameDecoder::default(),
            asked: Arc::default(),
        }
    }

    fn call(&mut self, timeout: Duration) -> oneshot::Receiver<Result<Box<Packet>, Failure>> {
        let (answer, answered) = oneshot::channel();
        self.session.submit(Call {
            packet: Box::new(Packet::new(0, cmd::PULL)),
            deadline: self.clock.now() + timeout,
            sent: Arc::new(AtomicBool::new(false)),
            answer,
        });
        answered
    }

    fn written(&mut self) -> Vec<Packet> {
        let mut all = Vec::new();
        while let Some(packet) = self.written.decode(&mut self.session.out).unwrap() {
            all.push(packet);
        }
        all
    }

    fn hear(&mut self, packets: &[Packet]) -> Result<(), String> {
        let mut wire = BytesMut::new();
        for packet in packets {
            tcp::encode(packet, &mut wire).unwrap();
        }
        self.hear_bytes(&mut wire)
    }

    fn hear_bytes(&mut self, wire: &mut BytesMut) -> Result<(), String> {
        let asked = Arc::clone(&self.asked);
        let on_query: OnQuery = Arc::new(move |query| asked.lock().unwrap().push(query.message_id));
        self.session.received(wire, &on_query)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        self.clock.advance(time);
        self.session.tick()
    }
}

#[test]
fn minutes_of_quiet_are_heartbeats_and_no_end() {
    let mut bench = Bench::new();
    let mut beats = 0;
    for _ in 0..600 {
        bench.pass(SECOND).unwrap();
        for beat in bench.written() {
            assert_eq!(beat.cmd, cmd::HEARTBEAT);
            beats += 1;
            bench.hear(&[beat]).unwrap();
        }
    }
    assert_eq!(beats, 200, "one each 3 s");
}

#[test]
fn heartbeats_that_are_answered_no_more_end_it() {
    let mut bench = Bench::new();
    bench.pass(QUIET).unwrap();
    let beats = bench.written();
    bench.hear(&beats).unwrap();
    // The next one is out behind 3 s, and 10 s later nothing was heard.
    for second in 1..13 {
        bench
            .pass(SECOND)
            .unwrap_or_else(|why| panic!("{second}: {why}"));
    }
    assert!(bench.pass(SECOND).unwrap_err().contains("no sign of life"));
}

#[test]
fn whatever_is_heard_is_a_sign_of_life() {
    let mut bench = Bench::new();
    bench.pass(QUIET).unwrap();
    let beats = bench.written();
    bench.hear(&beats).unwrap();
    for _ in 0..10 {
        bench.pass(9 * SECOND).unwrap();
        bench.hear(&[Packet::new(-1, cmd::SEND)]).unwrap();
    }
}

#[test]
fn a_gateway_that_never_answers_heartbeats_is_not_left_for_it() {
    let mut bench = Bench::new();
    for _ in 0..600 {
        bench.pass(SECOND).unwrap();
    }
    assert_eq!(bench.written().len(), 200);
}

#[test]
fn an_overdue_answer_ends_it_if_nothing_else_was_heard() {
    let mut bench = Bench::new();
    let _answered = bench.call(SECOND);
    bench.pass(2 * SECOND).unwrap();
    assert!(bench.pass(SECOND).is_err());
    let mut bench = Bench::new();
    let answered = bench.call(SECOND);
    bench.pass(SECOND).unwrap();
    bench.hear(&[Packet::new(-1, cmd::SEND)]).unwrap();
    bench.pass(2 * SECOND).unwrap();
    assert_eq!(bench.session.waiting.len(), 1);
    drop(answered);
    bench.pass(SECOND).unwrap();
    assert!(bench.session.waiting.is_empty(), "nobody waits for it");
}
