use mq_core::{Clock, SystemClock};

use super::*;
use crate::proxy::Toxic;

const HERE: &str = "broker:10911";
const DOWN: Direction = Direction::ToClient;

/// A link, a clock, and what was written when.
struct Lab {
    link: Link,
    start: Instant,
    now: Instant,
    active: Active,
    next: u64,
    written: Vec<(u64, Vec<u8>)>,
}

impl Lab {
    fn new() -> Self {
        let now = SystemClock.now();
        Self {
            link: Link::new(7),
            start: now,
            now,
            active: Vec::new(),
            next: 0,
            written: Vec::new(),
        }
    }

    fn with(toxic: Toxic) -> Self {
        let mut lab = Self::new();
        lab.add(toxic);
        lab
    }

    fn add(&mut self, toxic: Toxic) -> ToxicId {
        let id = ToxicId(self.next);
        self.next += 1;
        self.active.push((id, toxic));
        self.link.set(&self.active, HERE, DOWN, self.now);
        id
    }

    fn remove(&mut self, id: ToxicId) {
        self.active.retain(|(it, _)| *it != id);
        self.link.set(&self.active, HERE, DOWN, self.now);
    }

    fn push(&mut self, bytes: impl Into<Bytes>) {
        self.link.push(bytes.into(), self.now);
    }

    fn at(&self) -> u64 {
        u64::try_from((self.now - self.start).as_millis()).unwrap()
    }

    /// Does what the link says until it waits for more than time, or for longer than until then.
    fn run_until(&mut self, ms: u64) -> Step {
        let end = self.start + Duration::from_millis(ms);
        loop {
            match self.link.step(self.now) {
                Step::Write(piece) => {
                    self.written.push((self.at(), piece.to_vec()));
                    self.link.wrote(piece.len(), self.now);
                }
                Step::Wait {
                    until: Some(until), ..
                } if until <= end => {
                    assert!(until > self.now, "waits for what has been");
                    self.now = until;
                }
                Step::Wait { until, take } => {
                    self.now = end;
                    return Step::Wait { until, take };
                }
                end @ Step::End(_) => return end,
            }
        }
    }

    /// What is to be done at this time, with nothing done before.
    fn step_at(&mut self, ms: u64) -> Step {
        self.now = self.start + Duration::from_millis(ms);
        self.link.step(self.now)
    }

    fn bytes(&self) -> Vec<u8> {
        self.written.iter().flat_map(|(_, it)| it.clone()).collect()
    }

    fn times(&self) -> Vec<u64> {
        self.written.iter().map(|(at, _)| *at).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.written.iter().map(|(_, it)| it.len()).collect()
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const WAITS: Step = Step::Wait {
    until: None,
    take: true,
};

#[test]
fn without_toxics_a_chunk_is_written_whole_and_the_end_comes_last() {
    let mut lab = Lab::new();
    assert_eq!(lab.run_until(0), WAITS);
    let frame = Bytes::from_static(b"frame");
    lab.push(frame.clone());
    lab.link.end(Ending::Reset);
    let Step::Write(piece) = lab.link.step(lab.now) else {
        panic!("nothing to write")
    };
    assert_eq!(
        piece.as_ptr(),
        frame.as_ptr(),
        "the bytes are not copied on their way"
    );
    lab.link.wrote(2, lab.now);
    assert_eq!(lab.link.step(lab.now), Step::Write(frame.slice(2..)));
    lab.link.wrote(3, lab.now);
    assert_eq!(lab.link.step(lab.now), Step::End(Ending::Reset));
}

#[test]
fn latency_counts_from_reading_and_lets_others_begin() {
    let mut lab = Lab::with(Toxic::latency(ms(100), ms(0)));
    lab.push("a");
    let Step::Wait { until, take } = lab.run_until(30) else {
        panic!("passed at once")
    };
    assert_eq!((until, take), (Some(lab.start + ms(100)), true));
    lab.push("b");
    lab.run_until(1000);
    assert_eq!(lab.times(), [100, 130]);
    // Two of them add up.
    lab.add(Toxic::latency(ms(20), ms(0)));
    lab.push("c");
    lab.run_until(2000);
    assert_eq!(lab.times(), [100, 130, 1120]);
}

#[test]
fn latency_is_for_what_waits_too() {
    let mut lab = Lab::new();
    lab.push("a");
    let toxic = lab.add(Toxic::latency(ms(3_600_000), ms(0)));
    lab.run_until(50);
    assert_eq!(lab.times(), [0; 0]);
    lab.remove(toxic);
    lab.run_until(50);
    assert_eq!(lab.times(), [50]);
}

#[test]
fn jitter_stays_in_its_range_and_keeps_the_order() {
    let mut lab = Lab::with(Toxic::latency(ms(100), ms(40)));
    for byte in 0..100_u8 {
        lab.push(vec![byte]);
        lab.run_until(lab.at() + 1000);
    }
    let late: Vec<_> = lab.times().iter().map(|at| at % 1000).collect();
    assert!(late.iter().all(|ms| (60..=140).contains(ms)), "{late:?}");
    assert!(late.iter().any(|ms| *ms < 80), "{late:?}");
    assert!(late.iter().any(|ms| *ms > 120), "{late:?}");
    let mut together = Lab::with(Toxic::latency(ms(100), ms(40)));
    for byte in 0..100_u8 {
        together.push(vec![byte]);
    }
    together.run_until(1000);
    assert_eq!(together.bytes(), (0..100_u8).collect::<Vec<_>>());
}

#[test]
fn latency_lets_only_so_much_wait() {
    let takes = |lab: &Lab| matches!(lab.link.wait(lab.now), Step::Wait { take: true, .. });
    let mut lab = Lab::with(Toxic::latency(ms(100), ms(0)));
    for _ in 0..MAX_WAITING {
        assert!(takes(&lab));
        lab.push("x");
    }
    assert!(!takes(&lab));
    lab.run_until(100);
    assert!(takes(&lab));
    lab.push(vec![0; MAX_WAITING_BYTES]);
    assert!(!takes(&lab));
    lab.run_until(200);
    assert!(takes(&lab), "what was written no longer waits");
}

#[test]
fn bandwidth_gives_each_byte_its_time() {
    let mut lab = Lab::with(Toxic::bandwidth(1000));
    lab.push(vec![1; 250]);
    let Step::Wait { take, .. } = lab.run_until(10) else {
        panic!("passed at once")
    };
    assert!(!take, "a narrow link holds up its sender");
    lab.push(vec![2; 50]);
    lab.run_until(1000);
    assert_eq!(lab.sizes(), [100, 100, 50, 50]);
    assert_eq!(lab.times(), [100, 200, 250, 300]);
    // Of two the lower counts, and nothing was saved up meanwhile.
    lab.add(Toxic::bandwidth(500));
    lab.push(vec![3; 50]);
    lab.run_until(2000);
    assert_eq!(lab.times().last(), Some(&1100));
}

#[test]
fn late_timers_do_not_slow_bandwidth_down_and_late_readers_do_not_speed_it_up() {
    let mut lab = Lab::with(Toxic::bandwidth(1000));
    lab.push(vec![1; 400]);
    let wrote = |lab: &mut Lab, at: u64| {
        let Step::Write(piece) = lab.step_at(at) else {
            panic!("not at {at} ms")
        };
        lab.link.wrote(piece.len(), lab.now);
    };
    assert!(matches!(lab.step_at(0), Step::Wait { .. }));
    wrote(&mut lab, 107);
    assert!(matches!(lab.step_at(199), Step::Wait { .. }));
    wrote(&mut lab, 200);
    // The receiver takes nothing for a second: a tenth of a second's worth may be made good, no more.
    wrote(&mut lab, 1200);
    assert!(matches!(lab.step_at(1200), Step::Wait { .. }));
    wrote(&mut lab, 1300);
}

#[test]
fn bandwidth_changes_for_what_waits_and_zero_is_no_limit() {
    let mut lab = Lab::new();
    let slow = lab.add(Toxic::bandwidth(1));
    lab.push(vec![1; 1000]);
    lab.run_until(1500);
    assert_eq!(lab.sizes(), [1]);
    lab.remove(slow);
    lab.add(Toxic::bandwidth(0));
    lab.run_until(1500);
    assert_eq!(lab.sizes(), [1, 999]);
}

#[test]
fn slicer_cuts_to_size_and_pauses() {
    let mut lab = Lab::with(Toxic::slicer(10, 4, ms(5)));
    let sent: Vec<u8> = (0..=255).collect();
    lab.push(sent.clone());
    lab.run_until(10_000);
    assert_eq!(lab.bytes(), sent);
    let sizes = lab.sizes();
    let (_, whole) = sizes.split_last().unwrap();
    assert!(
        whole.iter().all(|size| (6..=14).contains(size)),
        "{sizes:?}"
    );
    assert!(whole.iter().any(|size| *size < 9), "{sizes:?}");
    assert!(whole.iter().any(|size| *size > 11), "{sizes:?}");
    let paused: Vec<u64> = (0..).step_by(5).take(sizes.len()).collect();
    assert_eq!(lab.times(), paused);
}

#[test]
fn slicer_with_odd_sizes_writes_at_least_a_byte() {
    for (average, variation) in [(0, 0), (0, 9), (1, 5), (3, usize::MAX)] {
        let mut lab = Lab::with(Toxic::slicer(average, variation, ms(0)));
        lab.push(vec![1; 50]);
        assert_eq!(lab.run_until(0), WAITS);
        assert_eq!(lab.bytes().len(), 50);
        assert!(lab.sizes().iter().all(|size| (1..=5).contains(size)));
    }
}

#[test]
fn limit_data_ends_in_mid_frame() {
    let mut lab = Lab::with(Toxic::limit_data(7));
    lab.push("frame");
    assert_eq!(lab.run_until(0), WAITS);
    lab.push("frame");
    assert_eq!(lab.run_until(0), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"framefr");

    // With the last byte, not with the one after.
    let mut lab = Lab::with(Toxic::limit_data(5));
    lab.push("frame");
    assert_eq!(lab.run_until(0), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"frame");

    let mut lab = Lab::with(Toxic::limit_data(0));
    assert_eq!(lab.run_until(0), WAITS);
    lab.push("frame");
    assert_eq!(lab.run_until(0), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"");
}

#[test]
fn limit_data_counts_from_when_it_was_added_and_survives_other_changes() {
    let mut lab = Lab::new();
    lab.push("before");
    lab.run_until(0);
    lab.add(Toxic::limit_data(4));
    lab.push("fra");
    lab.run_until(0);
    let other = lab.add(Toxic::latency(ms(10), ms(0)));
    lab.remove(other);
    lab.push("mes");
    assert_eq!(lab.run_until(0), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"beforefram");
}

#[test]
fn timeout_loses_everything_and_ends_on_time_whatever_comes() {
    let mut lab = Lab::new();
    lab.run_until(50);
    lab.push("waits");
    lab.add(Toxic::timeout(ms(100)));
    for at in [60, 100, 149] {
        let until = Some(lab.start + ms(150));
        assert_eq!(lab.run_until(at), Step::Wait { until, take: true });
        lab.push("lost");
    }
    assert_eq!(lab.run_until(150), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"");
}

#[test]
fn timeout_zero_never_ends_and_its_removal_does() {
    let mut lab = Lab::new();
    let toxic = lab.add(Toxic::timeout(ms(0)));
    lab.push("lost");
    assert_eq!(lab.run_until(1_000_000), WAITS);
    assert!(lab.link.waiting.is_empty());
    lab.remove(toxic);
    assert_eq!(lab.run_until(1_000_000), Step::End(Ending::Close));

    let mut lab = Lab::with(Toxic::timeout(ms(0)));
    lab.link.end(Ending::Reset);
    assert_eq!(lab.run_until(0), Step::End(Ending::Reset));
}

#[test]
fn reset_peer_is_armed_by_what_comes() {
    let mut lab = Lab::with(Toxic::reset_peer(ms(100)));
    assert_eq!(lab.run_until(500), WAITS, "nothing moved");
    lab.push("a");
    let until = Some(lab.start + ms(600));
    assert_eq!(lab.run_until(599), Step::Wait { until, take: false });
    assert_eq!(lab.run_until(600), Step::End(Ending::Reset));
    assert_eq!(lab.bytes(), b"");

    // By what waits, and by the end.
    let mut lab = Lab::new();
    lab.push("a");
    lab.add(Toxic::reset_peer(ms(0)));
    assert_eq!(lab.run_until(0), Step::End(Ending::Reset));
    let mut lab = Lab::with(Toxic::reset_peer(ms(0)));
    lab.link.end(Ending::Close);
    assert_eq!(lab.run_until(0), Step::End(Ending::Reset));

    // Taken back in time, nothing is lost.
    let mut lab = Lab::new();
    let toxic = lab.add(Toxic::reset_peer(ms(100)));
    lab.push("a");
    lab.run_until(50);
    lab.remove(toxic);
    assert_eq!(lab.run_until(500), WAITS);
    assert_eq!(lab.bytes(), b"a");
}

#[test]
fn blackhole_keeps_everything_and_stands_before_the_rest() {
    let nothing = Step::Wait {
        until: None,
        take: false,
    };
    let mut lab = Lab::new();
    lab.push("a");
    lab.add(Toxic::blackhole());
    let timeout = lab.add(Toxic::timeout(ms(1)));
    lab.add(Toxic::reset_peer(ms(0)));
    assert_eq!(lab.run_until(1000), nothing);
    lab.link.end(Ending::Close);
    assert_eq!(lab.run_until(2000), nothing, "not even the end");
    lab.remove(timeout);
    assert_eq!(lab.run_until(3000), nothing);

    let mut lab = Lab::new();
    let toxic = lab.add(Toxic::blackhole());
    lab.push("a");
    lab.link.end(Ending::Close);
    lab.run_until(1000);
    lab.remove(toxic);
    assert_eq!(lab.run_until(1000), Step::End(Ending::Close));
    assert_eq!(lab.bytes(), b"a");
}

#[test]
fn only_its_own_upstream_and_direction() {
    let mut lab = Lab::with(Toxic::blackhole().up());
    lab.add(Toxic::blackhole().at("other:10911"));
    lab.add(Toxic::refuse());
    lab.push("a");
    assert_eq!(lab.run_until(0), WAITS);
    assert_eq!(lab.bytes(), b"a");
    lab.add(Toxic::blackhole().down().at(HERE));
    lab.push("b");
    lab.run_until(0);
    assert_eq!(lab.bytes(), b"a");
}

#[test]
fn times_without_measure_do_not_panic() {
    for toxic in [
        Toxic::latency(Duration::MAX, Duration::MAX),
        Toxic::slicer(1, 0, Duration::MAX),
        Toxic::timeout(Duration::MAX),
        Toxic::reset_peer(Duration::MAX),
    ] {
        let mut lab = Lab::with(toxic.clone());
        lab.add(toxic);
        lab.push("ab");
        assert!(matches!(
            lab.run_until(1),
            Step::Wait { until: Some(_), .. }
        ));
    }
    let mut lab = Lab::with(Toxic::bandwidth(u64::MAX));
    lab.add(Toxic::limit_data(u64::MAX));
    lab.push("ab");
    assert_eq!(lab.run_until(0), WAITS);
}

/// Whatever comes and goes, all bytes arrive, in order.
#[test]
fn nothing_is_lost_or_turned_round() {
    let mut dice = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let mut lab = Lab::new();
        let mut sent = Vec::new();
        let mut added = Vec::new();
        for _ in 0..60 {
            match dice.u8(..5) {
                0 => added.push(lab.add(any(&mut dice))),
                1 if !added.is_empty() => {
                    let id = added.swap_remove(dice.usize(..added.len()));
                    lab.remove(id);
                }
                2 => {
                    let until = lab.at() + dice.u64(..20);
                    lab.run_until(until);
                }
                _ => {
                    let bytes: Vec<u8> = (0..dice.usize(..200)).map(|_| dice.u8(..)).collect();
                    sent.extend_from_slice(&bytes);
                    lab.push(bytes);
                }
            }
        }
        for id in added {
            lab.remove(id);
        }
        lab.link.end(Ending::Close);
        let until = lab.at();
        assert_eq!(lab.run_until(until), Step::End(Ending::Close));
        assert_eq!(lab.bytes(), sent);
    }
}

fn any(dice: &mut fastrand::Rng) -> Toxic {
    match dice.u8(..4) {
        0 => Toxic::latency(ms(dice.u64(..20)), ms(dice.u64(..20))),
        1 => Toxic::bandwidth(dice.u64(..20_000)),
        2 => Toxic::slicer(dice.usize(..50), dice.usize(..50), ms(dice.u64(..3))),
        _ => Toxic::blackhole(),
    }
}
