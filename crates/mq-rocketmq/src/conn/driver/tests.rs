use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::conn::TimerClock;
use crate::proto::{
    Flags, FrameDecoder, HeaderCodec, HeaderParts, Language, MAX_FRAME, NoFields, encode,
};

struct Ear(oneshot::Sender<Result<Done, Failure>>);

impl Waiter for Ear {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        let _ = self.0.send(result);
    }
}

struct Driver {
    commands: mpsc::Sender<Command>,
    losses: Arc<Mutex<u32>>,
}

impl Driver {
    fn start(port: u16) -> Self {
        Self::with(port, LONG)
    }

    fn with(port: u16, half_open_timeout: Duration) -> Self {
        let (commands, receiver) = mpsc::channel(1024);
        let losses = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&losses);
        let setting = Setting {
            endpoint: Endpoint::new("127.0.0.1", port),
            connect_timeout: Duration::from_secs(2),
            half_open_timeout,
            probe: Arc::new(|| (encode(&parts(11), &NoFields, &[], 0), Bytes::new())),
            tls: None,
            clock: Arc::new(TimerClock),
            on_request: Arc::new(|_, _| {}),
            on_contact: Arc::new(move |_, contact| {
                if !matches!(contact, Contact::Made) {
                    *counted.lock().unwrap() += 1;
                }
            }),
        };
        tokio::spawn(drive(setting, receiver));
        Self { commands, losses }
    }

    fn call(&self, wait: Duration) -> oneshot::Receiver<Result<Done, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let command = Command {
            head: encode(&parts(10), &NoFields, &[], 0),
            body: Bytes::new(),
            deadline: TimerClock.now() + wait,
            oneway: false,
            waiter: Box::new(Ear(sender)),
        };
        assert!(self.commands.try_send(command).is_ok());
        receiver
    }
}

fn parts(code: i32) -> HeaderParts<'static> {
    HeaderParts {
        code,
        flags: Flags::REQUEST,
        remark: None,
        language: Language::RUST,
        version: 1,
        codec: HeaderCodec::Json,
    }
}

async fn read_frames(stream: &mut TcpStream, count: usize) -> Vec<Frame> {
    let (mut decoder, mut buffer) = (FrameDecoder::new(MAX_FRAME), BytesMut::new());
    let mut frames = Vec::new();
    while frames.len() < count {
        assert_ne!(
            stream.read_buf(&mut buffer).await.unwrap(),
            0,
            "closed too early"
        );
        frames.extend(std::iter::from_fn(|| decoder.decode(&mut buffer).unwrap()));
    }
    frames
}

async fn answer(stream: &mut TcpStream, frame: &Frame) {
    let mut header = frame.header.clone();
    header.flags = Flags::RESPONSE;
    stream
        .write_all(&header.encode(0).into_bytes())
        .await
        .unwrap();
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_refused_connection_fails_all_that_wait_and_is_tried_again_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let driver = Driver::start(port);
    let waiting: Vec<_> = (0..5).map(|_| driver.call(LONG)).collect();
    for ear in waiting {
        let failure = ear.await.unwrap().unwrap_err();
        assert_eq!(
            (failure.kind, failure.outcome),
            (ErrorKind::Connect, Outcome::NotSent)
        );
    }
    assert_eq!(
        *driver.losses.lock().unwrap(),
        1,
        "one attempt for all of them"
    );
    // The peer comes up: as soon as the pause is over, a call reaches it.
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let frames = read_frames(&mut stream, 1).await;
        answer(&mut stream, &frames[0]).await;
        std::future::pending::<()>().await;
    });
    loop {
        match driver.call(LONG).await.unwrap() {
            Ok(Done::Reply(_)) => break,
            Ok(Done::Written) => panic!("a request has an answer"),
            Err(failure) => assert_eq!(failure.outcome, Outcome::NotSent),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cut_in_mid_frame_is_unknown_for_those_who_wait_and_the_next_call_connects_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let (first, second) = (driver.call(LONG), driver.call(LONG));
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 2).await;
    answer(&mut stream, &frames[0]).await;
    stream.write_all(&[0, 0, 1, 0, 0]).await.unwrap();
    drop(stream);
    assert!(matches!(first.await.unwrap(), Ok(Done::Reply(_))));
    let failure = second.await.unwrap().unwrap_err();
    assert_eq!(
        (failure.kind, failure.outcome),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );

    let third = driver.call(LONG);
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 1).await;
    answer(&mut stream, &frames[0]).await;
    assert!(matches!(third.await.unwrap(), Ok(Done::Reply(_))));
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let call = driver.call(LONG);
    let (mut stream, _) = listener.accept().await.unwrap();
    read_frames(&mut stream, 1).await;
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let failure = call.await.unwrap().unwrap_err();
    assert_eq!(failure.outcome, Outcome::Unknown);
    assert!(failure.reason.contains("HTTP"), "{}", failure.reason);
    // The connection is replaced, whatever is wrong with the peer's bytes.
    let too_long = u32::MAX.to_be_bytes();
    for wrong in [[0; 4], (-1_i32).to_be_bytes(), too_long] {
        let call = driver.call(LONG);
        let (mut stream, _) = listener.accept().await.unwrap();
        read_frames(&mut stream, 1).await;
        stream.write_all(&wrong).await.unwrap();
        assert_eq!(
            call.await.unwrap().unwrap_err().outcome,
            Outcome::Unknown,
            "{wrong:?}"
        );
    }
    let call = driver.call(LONG);
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 1).await;
    answer(&mut stream, &frames[0]).await;
    assert!(matches!(call.await.unwrap(), Ok(Done::Reply(_))));
}

#[tokio::test]
async fn a_silent_peer_does_not_keep_a_call_past_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let (short, long) = (driver.call(Duration::from_millis(50)), driver.call(LONG));
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 2).await;
    let failure = short.await.unwrap().unwrap_err();
    assert_eq!(
        (failure.kind, failure.outcome),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    // The late answer is ignored; the connection goes on.
    answer(&mut stream, &frames[0]).await;
    answer(&mut stream, &frames[1]).await;
    assert!(matches!(long.await.unwrap(), Ok(Done::Reply(_))));
}

#[tokio::test]
async fn a_peer_that_keeps_silent_is_probed_then_given_up_and_its_late_answer_finds_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(400);
    let driver = Driver::with(listener.local_addr().unwrap().port(), limit);
    let (lost, begun) = (driver.call(LONG), TimerClock.now());
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 2).await;
    assert_eq!([frames[0].header.code, frames[1].header.code], [10, 11]);
    let failure = lost.await.unwrap().unwrap_err();
    assert_eq!(
        (failure.kind, failure.outcome),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
    assert!(failure.reason.contains("nothing was heard"), "{failure:?}");
    let waited = TimerClock.now() - begun;
    assert!(limit <= waited && waited < limit * 4, "{waited:?}");

    let mut next = driver.call(LONG);
    let (mut fresh, _) = listener.accept().await.unwrap();
    let asked = read_frames(&mut fresh, 1).await;
    // The frozen peer goes on and answers what it had read.
    let _ = stream
        .write_all(&frames[0].header.encode(0).into_bytes())
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(next.try_recv().is_err());
    answer(&mut fresh, &asked[0]).await;
    assert!(matches!(next.await.unwrap(), Ok(Done::Reply(_))));
}

#[tokio::test]
async fn a_long_poll_may_be_silent_when_the_probe_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(400);
    let driver = Driver::with(listener.local_addr().unwrap().port(), limit);
    let poll = driver.call(LONG);
    let (mut stream, _) = listener.accept().await.unwrap();
    let first = read_frames(&mut stream, 1).await;
    for _ in 0..4 {
        let probe = read_frames(&mut stream, 1).await;
        assert_eq!(probe[0].header.code, 11);
        answer(&mut stream, &probe[0]).await;
    }
    answer(&mut stream, &first[0]).await;
    assert!(matches!(poll.await.unwrap(), Ok(Done::Reply(_))));
}

#[tokio::test]
async fn a_peer_that_asks_to_go_away_gets_nothing_more_on_that_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let (told, under_way) = (driver.call(LONG), driver.call(LONG));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut frames = read_frames(&mut stream, 2).await;
    frames[0].header.code = ResponseCode::GO_AWAY.0;
    answer(&mut stream, &frames[0]).await;
    let Ok(Done::Reply(frame)) = told.await.unwrap() else {
        panic!("it was answered");
    };
    assert_eq!(frame.header.code, ResponseCode::GO_AWAY.0);
    let next = driver.call(LONG);
    // What is under way has its time, and the next request its own connection.
    answer(&mut stream, &frames[1]).await;
    assert!(matches!(under_way.await.unwrap(), Ok(Done::Reply(_))));
    // At once: nothing is under way any more.
    let accepted = tokio::time::timeout(LEAVING / 2, listener.accept()).await;
    let (mut fresh, _) = accepted.expect("a new connection").unwrap();
    let asked = read_frames(&mut fresh, 1).await;
    answer(&mut fresh, &asked[0]).await;
    assert!(matches!(next.await.unwrap(), Ok(Done::Reply(_))));
    let mut rest = BytesMut::new();
    assert_eq!(stream.read_buf(&mut rest).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn what_is_there_leaves_in_few_writes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let calls: Vec<_> = (0..64).map(|_| driver.call(LONG)).collect();
    let (mut stream, _) = listener.accept().await.unwrap();
    // One read of a large buffer sees what the first write brought.
    let mut buffer = BytesMut::with_capacity(1 << 20);
    let mut decoder = FrameDecoder::new(MAX_FRAME);
    let (mut frames, mut reads) = (Vec::new(), 0);
    while frames.len() < 64 {
        assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0);
        reads += 1;
        frames.extend(std::iter::from_fn(|| decoder.decode(&mut buffer).unwrap()));
    }
    assert!(reads < 8, "{reads} reads for 64 requests");
    for frame in &frames {
        answer(&mut stream, frame).await;
    }
    for call in calls {
        assert!(matches!(call.await.unwrap(), Ok(Done::Reply(_))));
    }
}

#[tokio::test]
async fn who_is_forgotten_still_answers_what_is_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = Driver::start(listener.local_addr().unwrap().port());
    let ear = driver.call(LONG);
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = read_frames(&mut stream, 1).await;
    drop(driver.commands);
    tokio::time::sleep(Duration::from_millis(50)).await;
    answer(&mut stream, &frames[0]).await;
    assert!(matches!(ear.await.unwrap(), Ok(Done::Reply(_))));
    // Then the connection ends.
    assert_eq!(stream.read_buf(&mut BytesMut::new()).await.unwrap(), 0);
}
