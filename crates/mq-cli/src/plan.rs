//! What is to be done: flags judged and turned into what the commands need, or a usage error.

mod bench;
mod pulsar;
mod speech;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

pub(crate) use self::bench::{Bench, Mode};
use self::speech::{AMQP, CMQ, PULSAR, ROCKETMQ};
use crate::adapter::{Batching, Compress, Consume, NO_MESSAGES, Options, Outgoing, Target, When};
use crate::args::{self, Command, Protocol};
use crate::exit::Failure;
use crate::format::{Format, unescape};

/// What is to be done, and with which broker.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) options: Options,
    pub(crate) task: Task,
    /// What to say on stderr before beginning.
    pub(crate) warnings: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) enum Task {
    Send(Send),
    Recv(Recv),
    Cancel { handle: String },
    Bench(Bench),
    Topics { all: bool, json: bool },
    Groups { json: bool },
    Describe { topic: String, json: bool },
    Lag { group: String, json: bool },
    Create { name: String, what: What },
    Delete { name: String, what: What },
}

#[derive(Debug)]
pub(crate) struct Send {
    /// Every message but for its body.
    pub(crate) template: Outgoing,
    pub(crate) source: Source,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) in_flight: usize,
    pub(crate) json: bool,
}

/// What is created or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A topic; created with so many queues on each broker.
    Topic {
        queues: Option<u32>,
    },
    Group,
}

/// Where bodies come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// One body, sent so often; a count makes `{i}` a number.
    Text { body: Bytes, count: Option<u64> },
    /// The same from a file.
    File { path: PathBuf, count: Option<u64> },
    /// Stdin, cut at the delimiter.
    Stdin { delimiter: Vec<u8> },
}

#[derive(Debug)]
pub(crate) struct Recv {
    pub(crate) consume: Consume,
    pub(crate) count: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) ack: bool,
    pub(crate) show: Show,
}

/// How a message is printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Json,
    Text(Format),
}

impl Plan {
    /// Judges what was typed. `variable` gives what is in the environment.
    pub(crate) fn new(
        typed: Protocol,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let mut access = None;
        let (speech, url, command) = match typed {
            Protocol::Rocketmq(typed) => (&ROCKETMQ, typed.url, typed.command),
            Protocol::Cmq(typed) => (&CMQ, typed.url, typed.command),
            Protocol::Amqp(typed) => (&AMQP, typed.url, typed.command),
            Protocol::Pulsar(typed) => {
                access = Some(typed.access);
                (&PULSAR, typed.url, typed.command)
            }
        };
        let mut warnings = Vec::new();
        if url.as_ref().is_some_and(|url| url.contains('@')) {
            warnings.push(speech.secret_typed);
        }
        if access.as_ref().is_some_and(|access| access.token.is_some()) {
            warnings.push(pulsar::TOKEN_TYPED);
        }
        let mut options = Options::default();
        let mut task = task(command, &mut options)?;
        let url = url
            .or_else(|| variable(speech.variable))
            .filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| Failure::Usage(speech.no_url.to_owned()))?;
        // Whatever is wrong with a URL, it is what was typed that is wrong.
        let mut target = (speech.target)(&url).map_err(|error| usage(error.to_string()))?;
        if let Some(access) = access {
            target = pulsar::let_in(target, &url, access, &variable)?;
        }
        if options.compress == Some(Compress::Snappy) && matches!(target, Target::RocketMq(_)) {
            return Err(usage("--compress: zlib, lz4 and zstd are RocketMQ's"));
        }
        if let Task::Cancel { handle } = &task {
            let checked = target.check_handle(handle);
            checked.map_err(|error| Failure::Usage(format!("{error:#}")))?;
        }
        let is_message = matches!(task, Task::Send(_) | Task::Recv(_) | Task::Bench(_));
        if is_message && matches!(target, Target::CmqControl(_)) {
            return Err(Failure::Usage(NO_MESSAGES.to_owned()));
        }
        if let Task::Bench(bench) = &mut task {
            if matches!(target, Target::Cmq(_) | Target::CmqTcp(_)) {
                bench.check_cmq_batch()?;
            }
            // Last, since it makes files.
            bench.reports.open()?;
        }
        Ok(Self {
            target,
            options,
            task,
            warnings,
        })
    }
}

fn task(command: Command, options: &mut Options) -> Result<Task, Failure> {
    Ok(match command {
        Command::Send(send) => {
            options.max_in_flight = send.in_flight;
            options.compress = send.compress;
            options.batching = batching(&send.batches)?;
            Task::Send(plan_send(send)?)
        }
        Command::Recv(recv) => Task::Recv(plan_recv(recv)?),
        Command::Cancel(cancel) => Task::Cancel {
            handle: cancel.handle,
        },
        Command::Bench(bench) => {
            options.max_in_flight = bench.in_flight.saturating_mul(bench.batch);
            options.batching = batching(&bench.batches)?;
            Task::Bench(bench::plan(bench)?)
        }
        Command::Topics(topics) => Task::Topics {
            all: topics.all,
            json: topics.json,
        },
        Command::Groups(groups) => Task::Groups { json: groups.json },
        Command::Describe(describe) => Task::Describe {
            topic: describe.name,
            json: describe.json,
        },
        Command::Lag(lag) => Task::Lag {
            group: lag.group,
            json: lag.json,
        },
        Command::Create(create) => Task::Create {
            name: create.name,
            what: what(create.group, create.queues),
        },
        Command::Delete(delete) => Task::Delete {
            name: delete.name,
            what: what(delete.group, None),
        },
    })
}

fn plan_send(typed: args::Send) -> Result<Send, Failure> {
    let mut template = Outgoing::new(typed.topic, Bytes::new());
    template.key = typed.key;
    template.ordering_key = typed.ordering_key;
    template.tag = typed.tag;
    template.when = when(typed.deliver_after.as_deref(), typed.deliver_at.as_deref())?
        .or_else(|| typed.deliver_level.map(When::Level));
    template.cancellable = typed.cancellable;
    if template.cancellable && template.when.is_none() {
        return Err(usage(
            "--cancellable is for what is delivered later: add --deliver-after or --deliver-at",
        ));
    }
    for pair in &typed.properties {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| usage(format!("-p {pair:?} is not of the form name=value")))?;
        template.properties.set(name, value);
    }
    let count = typed.count;
    let source = match (typed.body, typed.file) {
        (Some(dash), None) if dash == "-" => {
            if count.is_some() {
                return Err(usage(
                    "--count repeats one message; it can't be used with stdin (-)",
                ));
            }
            Source::Stdin {
                delimiter: delimiter(typed.delimiter.as_deref().unwrap_or("\\n"))?,
            }
        }
        _ if typed.delimiter.is_some() => {
            return Err(usage("--delimiter cuts stdin: give - as the body"));
        }
        (Some(body), None) => Source::Text {
            body: body.into(),
            count,
        },
        (_, Some(path)) => Source::File { path, count },
        (None, None) => {
            return Err(usage(
                "no message given: add its text, --file FILE, or - to read stdin",
            ));
        }
    };
    Ok(Send {
        template,
        source,
        rate: typed.rate.as_deref().map(rate).transpose()?,
        in_flight: typed.in_flight,
        json: typed.json,
    })
}

fn plan_recv(typed: args::Recv) -> Result<Recv, Failure> {
    if looks_like_sql(&typed.filter) {
        return Err(usage(format!(
            "--filter {:?} looks like SQL92, which this version does not have; it takes tags, as in 'A || B'",
            typed.filter
        )));
    }
    let mut consume = Consume::new(typed.topic, typed.group);
    consume.filter = typed.filter;
    consume
        .check_rocketmq()
        .map_err(|error| usage(format!("--filter: {error}")))?;
    consume.from = typed.from;
    consume.ordered = typed.ordered;
    consume.sharing = typed.subscription_type;
    if typed.no_ack {
        // What is only looked at is held to the end.
        consume.prefetch = Some(MOST_HELD);
        consume.settle_timeout = Some(HOLD);
    }
    let show = match typed.format {
        _ if typed.json => Show::Json,
        format => {
            let format = Format::parse(format.as_deref().unwrap_or("%b\\n"));
            Show::Text(format.map_err(|why| usage(format!("--format: {why}")))?)
        }
    };
    Ok(Recv {
        consume,
        count: typed.count,
        timeout: duration("--timeout", typed.timeout.as_deref())?,
        idle: duration("--exit-on-idle", typed.exit_on_idle.as_deref())?,
        ack: !typed.no_ack,
        show,
    })
}

fn batching(typed: &args::Batches) -> Result<Batching, Failure> {
    Ok(Batching {
        messages: typed.batch_messages,
        bytes: typed.batch_bytes,
        linger: duration("--linger", typed.linger.as_deref())?,
    })
}

const fn what(group: bool, queues: Option<u32>) -> What {
    if group {
        What::Group
    } else {
        What::Topic { queues }
    }
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::Usage(text.into())
}

fn delimiter(text: &str) -> Result<Vec<u8>, Failure> {
    let text = unescape(text).map_err(|why| usage(format!("--delimiter: {why}")))?;
    if text.is_empty() {
        return Err(usage("--delimiter is empty"));
    }
    Ok(text.into_bytes())
}

fn rate(text: &str) -> Result<NonZeroU32, Failure> {
    let count = text.strip_suffix("/s").unwrap_or(text);
    count.trim().parse().map_err(|_| {
        usage(format!(
            "--rate {text:?} is not a rate: write 100/s, at least 1/s"
        ))
    })
}

fn duration(flag: &str, text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let Some(time) = read_duration(text) else {
        return Err(usage(format!(
            "{flag} {text:?} is not a time: write 500ms, 10s, 1m30s, 2h or 3d"
        )));
    };
    if time.is_zero() || time > LONGEST_WAIT {
        let days = LONGEST_WAIT.as_secs() / DAY_S;
        return Err(usage(format!(
            "{flag} {text:?} is {}: more than 0 and at most {days}d can be asked for",
            if time.is_zero() {
                "nothing"
            } else {
                "too long"
            }
        )));
    }
    Ok(Some(time))
}

/// As jiff reads it, with days in front.
fn read_duration(text: &str) -> Option<Duration> {
    let (days, rest) = text.split_once('d').unwrap_or(("0", text));
    let days = Duration::from_secs(days.trim().parse::<u64>().ok()?.checked_mul(DAY_S)?);
    if rest.trim().is_empty() && text.contains('d') {
        return Some(days);
    }
    let rest = Duration::try_from(rest.trim().parse::<SignedDuration>().ok()?).ok()?;
    days.checked_add(rest)
}

fn when(after: Option<&str>, at: Option<&str>) -> Result<Option<When>, Failure> {
    if let Some(after) = duration("--deliver-after", after)? {
        return Ok(Some(When::After(after)));
    }
    let Some(text) = at else { return Ok(None) };
    let stamp: Timestamp = text.parse().map_err(|_| {
        usage(format!(
            "--deliver-at {text:?} is not a time: write 2026-11-20T12:00:00Z, or +08:00 for Z"
        ))
    })?;
    Ok(Some(When::At(stamp.into())))
}

/// Comparisons, brackets and quotes don't stand in tags that anybody uses; SQL's words do, but not between others.
fn looks_like_sql(filter: &str) -> bool {
    let has_word = filter.split("||").any(|part| {
        part.split_whitespace()
            .skip(1)
            .any(|word| SQL_WORDS.contains(&word.to_ascii_uppercase().as_str()))
    });
    has_word || filter.contains(['=', '<', '>', '(', '\''])
}

const SQL_WORDS: [&str; 7] = ["AND", "OR", "NOT", "IN", "IS", "BETWEEN", "LIKE"];
const MOST_HELD: usize = 10_000;
const HOLD: Duration = Duration::from_secs(7 * 24 * 3600);
const LONGEST_WAIT: Duration = Duration::from_secs(366 * DAY_S);
const DAY_S: u64 = 24 * 3600;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::adapter::From;
    use crate::args::{Subject, Typed};

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["mq", "rocketmq"].into_iter().chain(line.split(' '));
        let typed = Typed::read(words).map_err(|error| error.to_string())?;
        let Subject::Client(typed) = typed.subject else {
            return Err("another command".to_owned());
        };
        Plan::new(typed, |_| Some("rocketmq://h:1".into())).map_err(|failure| failure.to_string())
    }

    fn send(line: &str) -> Send {
        match plan(&format!("send --topic t {line}")).unwrap().task {
            Task::Send(send) => send,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn bench(line: &str) -> Bench {
        match plan(line).unwrap().task {
            Task::Bench(bench) => bench,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn load_has_defaults_and_begins_where_it_must() {
        let send = bench("bench send --topic t");
        assert_eq!((send.count, send.size, send.in_flight), (10_000, 128, 64));
        assert_eq!(send.timeout, Duration::from_secs(60));
        // What is there is received, and of what is sent only the new.
        assert_eq!(bench("bench recv --topic t").consume.from, From::Earliest);
        let both = bench("bench both --topic t --group g --rate 7/s");
        assert_eq!(
            (both.consume.from, both.consume.group.as_str()),
            (From::Latest, "g")
        );
        assert_eq!(both.rate.unwrap().get(), 7);
    }

    #[test]
    fn bodies_have_one_source() {
        assert_eq!(
            send("hello --count 3").source,
            Source::Text {
                body: "hello".into(),
                count: Some(3)
            }
        );
        assert_eq!(
            send(r"- --delimiter \0").source,
            Source::Stdin { delimiter: vec![0] }
        );
        assert!(matches!(send("--file a").source, Source::File { .. }));
    }

    #[test]
    fn what_can_not_be_is_a_usage_error_that_says_what_to_write() {
        for (line, part) in [
            ("send --topic t", "no message given"),
            ("send --topic t - --count 2", "--count repeats one message"),
            ("send --topic t x --delimiter ,", "give - as the body"),
            ("send --topic t - --delimiter \\x", "\\x means nothing"),
            ("send --topic t x -p a", "name=value"),
            ("send --topic t x --rate fast", "100/s"),
            ("send --topic t x --rate 0/s", "at least 1/s"),
            ("send --topic t x --in-flight 0", "1 to 65536"),
            ("send --topic t x --count 0", "--count"),
            ("recv --topic t --timeout soon", "10s"),
            ("recv --topic t --exit-on-idle 0s", "more than 0"),
            ("recv --topic t -f %x", "%x means nothing"),
            ("recv --topic t --filter a=1", "SQL92"),
            ("recv --topic t --filter A||", "an empty part"),
            ("recv --topic t --filter A&&", "only one tag"),
            ("recv --topic t --filter=", "an empty part"),
            ("recv --topic t --json -f %b", "cannot be used with"),
            ("recv --topic t --ordered --no-ack", "cannot be used with"),
            ("send --topic t x --url rocketmq://h:1?tls_ca=a", "tls=true"),
            ("send --topic t x --url amqp://h:1", "expected \"rocketmq\""),
            ("bench", "<MODE>"),
            ("bench send", "--topic"),
            ("bench push --topic t", "send, recv, both"),
            ("bench send --topic t --size 0", "1 to 4194304"),
            ("bench send --topic t --count 0", "--count"),
            ("bench both --topic t --size 8", "at least 16"),
            ("bench recv --topic t --rate 1/s", "--rate is for sending"),
            ("bench recv --topic t --timeout 0s", "more than 0"),
            ("bench recv --topic t --batch 2", "--batch is for sending"),
            ("bench recv --topic t --svg a", "take send or both"),
            ("bench recv --topic t --histogram a", "--histogram shows"),
            ("bench send --topic t --batch 0", "1 to 65536"),
            (
                "bench send --topic t --batch 9 --count 8",
                "more than the --count",
            ),
            (
                "bench send --topic t --batch 9 --size 500000",
                "one request of 4 MiB",
            ),
            ("bench send --topic t --svg /", "--svg / can't be written"),
            (
                "bench send --topic t --histogram /absent/x",
                "--histogram /absent/x can't be written",
            ),
            (
                "bench send --topic t --svg /dev/null --histogram /dev/null",
                "the same file",
            ),
            ("create", "<NAME>"),
            ("create t --queues 0", "1 to 10000"),
            ("create g --group --queues 4", "cannot be used with"),
            ("delete", "<NAME>"),
            ("delete t --queues 4", "unexpected argument"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn times_of_delivery_and_handles_are_checked_before_anything_is_sent() {
        for (line, part) in [
            ("send --topic t x --deliver-after soon", "10s"),
            ("send --topic t x --deliver-at noon", "2026-11-20T12:00:00Z"),
            (
                "send --topic t x --deliver-after 1s --deliver-at 2026-11-20T12:00:00Z",
                "cannot be used with",
            ),
            ("send --topic t x --deliver-level 19", "1..=18"),
            (
                "send --topic t x --deliver-after 1s --cancellable",
                "can be cancelled anyway",
            ),
            (
                "send --topic t x --deliver-level 3 --deliver-after 1s",
                "cannot be used with",
            ),
            ("cancel", "<HANDLE>"),
            ("cancel junk", "no handle of a scheduled message"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn times_of_delivery_are_read() {
        let when = |line: &str| send(line).template.when;
        assert_eq!(when("x"), None);
        let after = Duration::from_millis(5400);
        assert_eq!(when("x --deliver-after 5s400ms"), Some(When::After(after)));
        for (text, hours) in [("2d", 48), ("1d12h", 36), ("1d 1h", 25), ("36h", 36)] {
            let after = Duration::from_secs(hours * 3600);
            let found = read_duration(text);
            assert_eq!(found, Some(after), "{text}");
        }
        for (text, part) in [
            ("9600h", "too long"),
            ("400d", "too long"),
            ("0s", "nothing"),
            ("1w", "is not a time"),
            ("d", "is not a time"),
        ] {
            let error = plan(&format!("send --topic t x --deliver-after {text}")).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(when("x --deliver-level 3"), Some(When::Level(3)));
        let at = std::time::UNIX_EPOCH + Duration::from_millis(1_795_176_000_250);
        for text in ["2026-11-20T12:00:00.250Z", "2026-11-20T20:00:00.250+08:00"] {
            let line = format!("x --deliver-at {text}");
            assert_eq!(when(&line), Some(When::At(at)), "{text}");
        }
    }

    #[test]
    fn filters_are_tags() {
        for tags in ["*", "A", "A || B", "OR", "order-in", "a.b || NOT"] {
            assert!(!looks_like_sql(tags), "{tags}");
        }
        for sql in [
            "a = 1",
            "a>5",
            "a IS NULL",
            "a between 1 and 2",
            "TAGS in ('A')",
            "x LIKE y",
        ] {
            assert!(looks_like_sql(sql), "{sql}");
        }
    }

    #[test]
    fn times_and_rates() {
        let time = |text| duration("--timeout", Some(text)).unwrap().unwrap();
        assert_eq!(time("10s"), Duration::from_secs(10));
        assert_eq!(time("500ms"), Duration::from_millis(500));
        assert_eq!(time("1m30s"), Duration::from_secs(90));
        assert_eq!(rate("5/s").unwrap().get(), 5);
        assert_eq!(rate("5").unwrap().get(), 5);
    }

    #[test]
    fn a_typed_secret_is_warned_about_and_not_repeated() {
        let typed = plan("topics --url rocketmq://ak:canary@h:1").unwrap();
        assert_eq!(typed.warnings, [ROCKETMQ.secret_typed]);
        assert!(!format!("{typed:?}").contains("canary"));
        assert!(
            plan("topics --url rocketmq://h:1")
                .unwrap()
                .warnings
                .is_empty()
        );
    }
}
