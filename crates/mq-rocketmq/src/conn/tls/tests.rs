//! Against servers that rustls plays: who is trusted, who is not, and what each is told.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream as Blocking};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use mq_core::{Clock as _, ErrorKind, Outcome, Retry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::*;
use crate::conn::TimerClock;
use crate::conn::driver::{Command, Done, Failure, Setting, drive};
use crate::proto::{
    Flags, FrameDecoder, HeaderCodec, HeaderParts, Language, MAX_FRAME, NoFields, encode,
};
use crate::tls::TlsError;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key.
struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    fn of(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        Self { certificate, key }
    }

    fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        (vec![self.certificate.der().clone()], key.into())
    }

    fn pin(&self) -> String {
        use base64::Engine as _;
        use rcgen::PublicKeyData as _;
        let digest = Sha256::digest(self.key.subject_public_key_info());
        let base64 = base64::engine::general_purpose::STANDARD.encode(digest);
        format!("sha256/{base64}")
    }
}

/// Answers every request; `clients`: whose certificates it wants to see.
fn config(pair: &Pair, clients: Option<&Issuer>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let (chain, key) = pair.der();
    let config = match clients {
        None => builder.with_no_client_auth(),
        Some(issuer) => {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    Arc::new(config.with_single_cert(chain, key).unwrap())
}

/// Listens; the answer is its port, and how many came.
fn serve(each: impl Fn(Blocking) + Send + Sync + 'static) -> (u16, Arc<Mutex<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (each, count) = (Arc::new(each), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            *counted.lock().unwrap() += 1;
            let (each, stream) = (Arc::clone(&each), stream.unwrap());
            thread::spawn(move || each(stream));
        }
    });
    (port, count)
}

fn secured(config: Arc<ServerConfig>) -> (u16, Arc<Mutex<u32>>) {
    serve(move |mut socket| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let (mut decoder, mut buffer) = (FrameDecoder::new(MAX_FRAME), BytesMut::new());
        let mut chunk = [0; 4096];
        while let Ok(count) = stream.read(&mut chunk) {
            if count == 0 {
                break;
            }
            buffer.extend_from_slice(&chunk[..count]);
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                let mut header = frame.header;
                header.flags = Flags::RESPONSE;
                let answer = [
                    &header.encode(frame.body.len()).into_bytes()[..],
                    &frame.body,
                ]
                .concat();
                stream.write_all(&answer).unwrap();
            }
        }
    })
}

struct Ear(oneshot::Sender<Result<Done, Failure>>);

impl Waiter for Ear {
    fn done(self: Box<Self>, result: Result<Done, Failure>) {
        let _ = self.0.send(result);
    }
}

struct Driver(tokio::sync::mpsc::Sender<Command>);

impl Driver {
    fn start(host: &str, port: u16, tls: Option<Tls>) -> Self {
        Self::with(host, port, tls, LONG)
    }

    fn with(host: &str, port: u16, tls: Option<Tls>, connect_timeout: Duration) -> Self {
        let (commands, receiver) = tokio::sync::mpsc::channel(4096);
        let setting = Setting {
            endpoint: Endpoint::new(host, port),
            connect_timeout,
            half_open_timeout: LONG,
            probe: Arc::new(|| (encode(&parts(), &NoFields, &[], 0), bytes::Bytes::new())),
            tls: tls.map(|tls| Arc::new(TlsConfig::new(tls).unwrap())),
            clock: Arc::new(TimerClock),
            on_request: Arc::new(|_, _| {}),
            on_contact: Arc::new(|_, _| {}),
        };
        tokio::spawn(drive(setting, receiver));
        Self(commands)
    }

    fn begin(&self, body: bytes::Bytes) -> oneshot::Receiver<Result<Done, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let command = Command {
            head: encode(&parts(), &NoFields, &[("AccessKey", "canary")], body.len()),
            body,
            deadline: TimerClock.now() + LONG,
            oneway: false,
            waiter: Box::new(Ear(sender)),
        };
        assert!(self.0.try_send(command).is_ok());
        receiver
    }

    async fn call(&self, body: impl Into<bytes::Bytes>) -> Result<Done, Failure> {
        self.begin(body.into()).await.unwrap()
    }
}

fn parts() -> HeaderParts<'static> {
    HeaderParts {
        code: 10,
        flags: Flags::REQUEST,
        remark: None,
        language: Language::RUST,
        version: 1,
        codec: HeaderCodec::Json,
    }
}

const LONG: Duration = Duration::from_secs(30);

async fn refused(driver: &Driver) -> Error {
    let failure = driver.call("x").await.unwrap_err();
    failure.into_error("send")
}

fn fault(error: &Error) -> TlsFault {
    use std::error::Error as _;
    let source = error
        .source()
        .and_then(|cause| cause.downcast_ref::<TlsError>());
    source
        .unwrap_or_else(|| panic!("no TlsError: {error:?}"))
        .fault()
}

fn trusting(issuer: &Issuer) -> Tls {
    Tls::new().ca_pem(issuer.pem()).unwrap()
}

#[tokio::test]
async fn who_is_trusted_is_spoken_to_whatever_the_size() {
    let ca = authority();
    let pair = Pair::of(&ca, |_| {});
    let (port, count) = secured(config(&pair, None));
    let named = trusting(&ca).server_name("localhost").unwrap();
    for tls in [
        trusting(&ca),
        named,
        trusting(&ca).pin(&pair.pin()).unwrap(),
    ] {
        let driver = Driver::start("127.0.0.1", port, Some(tls));
        for size in [0, 1, 16_000, 17_000, 3 << 20] {
            let Done::Reply(frame) = driver.call(vec![7; size]).await.unwrap() else {
                panic!("it is answered");
            };
            assert_eq!(frame.body, vec![7; size]);
        }
        let many: Vec<_> = (0..500)
            .map(|_| driver.begin(vec![1; 3000].into()))
            .collect();
        for call in many {
            assert!(matches!(call.await.unwrap(), Ok(Done::Reply(_))));
        }
    }
    assert_eq!(*count.lock().unwrap(), 3, "a connection each");
}

#[tokio::test]
async fn whose_certificate_is_not_good_is_told_apart_and_gets_nothing() {
    let (ca, other) = (authority(), authority());
    let year = |year: i32| rcgen::date_time_ymd(year, 1, 1);
    let good = Pair::of(&ca, |_| {});
    let expired = Pair::of(&ca, |params| params.not_after = year(2020));
    let early = Pair::of(&ca, |params| params.not_before = year(2090));
    let alone = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let alone = Pair {
        certificate: alone.cert,
        key: alone.signing_key,
    };
    let strange = trusting(&ca).server_name("mq.example").unwrap();
    let unpinned = trusting(&ca).pin(&expired.pin()).unwrap();
    for (pair, tls, expected) in [
        (&good, trusting(&other), TlsFault::UnknownIssuer),
        (&alone, trusting(&ca), TlsFault::UnknownIssuer),
        (&good, Tls::new(), TlsFault::UnknownIssuer),
        (&expired, trusting(&ca), TlsFault::Expired),
        (&early, trusting(&ca), TlsFault::NotYetValid),
        (&good, strange, TlsFault::WrongName),
        (&good, unpinned, TlsFault::WrongKey),
        (
            &good,
            Tls::pinned(&alone.pin()).unwrap(),
            TlsFault::WrongKey,
        ),
    ] {
        let (port, count) = secured(config(pair, None));
        let driver = Driver::start("127.0.0.1", port, Some(tls));
        let error = refused(&driver).await;
        assert_eq!(fault(&error), expected);
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Connect, Outcome::NotSent)
        );
        assert_eq!(error.retry(), Retry::Never);
        assert!(error.hint().is_some());
        // Not asked again for every request.
        for _ in 0..100 {
            assert_eq!(fault(&refused(&driver).await), expected);
        }
        assert_eq!(*count.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn pins_alone_and_the_loud_switch_accept_what_nobody_has_signed() {
    let alone = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let alone = Pair {
        certificate: alone.cert,
        key: alone.signing_key,
    };
    let (port, _) = secured(config(&alone, None));
    for tls in [
        Tls::pinned(&alone.pin()).unwrap(),
        Tls::new().danger_accept_invalid_certificates(),
    ] {
        let driver = Driver::start("127.0.0.1", port, Some(tls));
        assert!(driver.call("x").await.is_ok());
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_says_whether_it_has_seen_one() {
    let (ca, other) = (authority(), authority());
    let (server, client, foreign) = (
        Pair::of(&ca, |_| {}),
        Pair::of(&ca, |_| {}),
        Pair::of(&other, |_| {}),
    );
    let (port, count) = secured(config(&server, Some(&ca)));
    let with = |pair: &Pair| {
        let (chain, key) = (pair.certificate.pem(), pair.key.serialize_pem());
        trusting(&ca).identity_pem(chain, key).unwrap()
    };
    let good = Driver::start("localhost", port, Some(with(&client)));
    assert!(good.call("x").await.is_ok());
    for (tls, expected) in [
        (trusting(&ca), TlsFault::ClientCertificateMissing),
        (with(&foreign), TlsFault::ClientCertificateRefused),
    ] {
        let before = *count.lock().unwrap();
        let driver = Driver::start("localhost", port, Some(tls));
        for _ in 0..20 {
            let error = refused(&driver).await;
            assert_eq!(fault(&error), expected);
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Auth, Outcome::NotSent)
            );
        }
        assert!(
            *count.lock().unwrap() - before <= 2,
            "asked again and again"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_and_gets_no_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let read = Arc::clone(&seen);
    let (port, _) = serve(move |mut socket| {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).unwrap();
        read.lock().unwrap().extend_from_slice(&chunk[..count]);
    });
    let driver = Driver::start("localhost", port, Some(Tls::new()));
    let error = refused(&driver).await;
    assert_eq!(
        (fault(&error), error.retry()),
        (TlsFault::NotTls, Retry::Later)
    );
    assert_eq!(error.outcome(), Outcome::NotSent);
    let (port, _) = serve(|mut socket| drop(socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    let driver = Driver::start("localhost", port, Some(Tls::new()));
    assert_eq!(fault(&refused(&driver).await), TlsFault::NotTls);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], 0x16, "a greeting");
    assert!(!seen.windows(6).any(|part| part == b"canary"), "in clear");
}

#[tokio::test]
async fn a_server_that_takes_tls_only_is_told_and_not_asked_again_and_again() {
    let (port, count) = serve(|mut socket| {
        // Closing with bytes unread resets the connection, which is as good.
        drop(socket.read(&mut [0; 1]));
    });
    let driver = Driver::start("localhost", port, None);
    for round in 0..100 {
        let error = refused(&driver).await;
        assert_eq!(fault(&error), TlsFault::TlsRequired, "{round}: {error}");
        assert_eq!(error.retry(), Retry::Later);
    }
    assert!(*count.lock().unwrap() <= 2);
}

#[tokio::test]
async fn the_time_to_connect_holds_for_the_handshake_too() {
    let (port, _) = serve(|socket| {
        thread::park();
        drop(socket);
    });
    let limit = Duration::from_millis(200);
    let driver = Driver::with("localhost", port, Some(Tls::new()), limit);
    let begun = TimerClock.now();
    let error = refused(&driver).await;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );
    assert!(error.to_string().contains("200ms"), "{error}");
    assert!(TimerClock.now() - begun < LONG / 2);
}
