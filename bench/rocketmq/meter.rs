//! The contract of every program here, for the two in Rust: what it is given, what it counts, and the line it prints.

use std::{
    env, fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// `MODE NAMESRV TOPIC N SIZE IN_FLIGHT`, and the variables `BENCH_WARM` and `BENCH_GROUP`. The mode is `send` or `drain`, or another one that a
/// program has.
pub struct Job {
    pub mode: String,
    pub namesrv: String,
    pub topic: String,
    pub count: u64,
    pub size: usize,
    pub in_flight: u64,
    pub warm: u64,
    pub group: String,
}

impl Job {
    pub fn from_env() -> Result<Self, String> {
        let words: Vec<String> = env::args().skip(1).collect();
        let [mode, namesrv, topic, count, size, in_flight] = words.as_slice() else {
            return Err("usage: MODE NAMESRV TOPIC N SIZE IN_FLIGHT".to_owned());
        };
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| format!("not a number: {text}"))
        };
        Ok(Self {
            mode: mode.clone(),
            namesrv: namesrv.clone(),
            topic: topic.clone(),
            count: number(count)?,
            size: usize::try_from(number(size)?).map_err(|error| error.to_string())?,
            in_flight: number(in_flight)?.max(1),
            warm: number(&env::var("BENCH_WARM").unwrap_or_else(|_| "0".to_owned()))?,
            group: env::var("BENCH_GROUP").unwrap_or_else(|_| "bench".to_owned()),
        })
    }
}

/// Hands out numbers of messages to send, and takes what became of them.
pub struct Sends {
    left: AtomicU64,
    errors: AtomicU64,
    micros: Mutex<Vec<u32>>,
}

impl Sends {
    pub fn new(count: u64) -> Self {
        Self {
            left: AtomicU64::new(count),
            errors: AtomicU64::new(0),
            micros: Mutex::default(),
        }
    }

    /// Whether there is one more to send.
    pub fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    pub fn failed(&self, why: &dyn std::fmt::Display) {
        if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("{why}");
        }
    }

    /// What one of the senders measured.
    pub fn took(&self, micros: Vec<u32>) {
        self.micros
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(micros);
    }
}

/// The measured part: from when warming up has ended to when the last message is done.
pub struct Window {
    begun: Instant,
    cpu: Duration,
}

impl Window {
    /// Says `begin` on stderr, for whoever watches the broker meanwhile.
    pub fn begin() -> Self {
        eprintln!("begin");
        Self {
            begun: Instant::now(),
            cpu: cpu(),
        }
    }

    pub fn end(self) -> Spent {
        Spent {
            seconds: self.begun.elapsed().as_secs_f64(),
            cpu: cpu() - self.cpu,
        }
    }
}

pub struct Spent {
    seconds: f64,
    cpu: Duration,
}

impl Spent {
    pub fn print_sends(&self, mode: &str, count: u64, sends: Sends) {
        let mut micros = sends
            .micros
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        micros.sort_unstable();
        let at = |part: f64| {
            let place = (micros.len() as f64 * part) as usize;
            micros
                .get(place.min(micros.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        let latency = format!("{{\"p50\":{},\"p99\":{}}}", at(0.5), at(0.99));
        self.print(mode, count, sends.errors.into_inner(), &latency);
    }

    /// `redelivered`: how many of the messages had been delivered before.
    pub fn print_drain(&self, mode: &str, count: u64, redelivered: u64) {
        self.print(mode, count, redelivered, "null");
    }

    fn print(&self, mode: &str, count: u64, errors: u64, latency: &str) {
        println!(
            "{{\"mode\":\"{mode}\",\"count\":{count},\"seconds\":{},\"messages_per_second\":{},\
             \"cpu_us_per_message\":{},\"peak_rss_bytes\":{},\"errors\":{errors},\"latency_us\":{latency}}}",
            self.seconds,
            count as f64 / self.seconds,
            self.cpu.as_secs_f64() * 1e6 / count as f64,
            peak_rss(),
        );
    }
}

/// User and system time of all threads.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
