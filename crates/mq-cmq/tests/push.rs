//! The push receiver behind a hyper server.
// `cfg(test)`, so that clippy takes the helpers for tests, too.

#[cfg(test)]
mod push {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::server::conn::http1;
    use hyper::{Request, StatusCode};
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    use mq_cmq::push::{PushReceiver, Pushed};
    use tokio::net::{TcpListener, TcpStream};

    type Log = Arc<Mutex<Vec<Pushed>>>;

    /// A handler that fails for bodies that say so.
    fn handler(log: &Log) -> impl Fn(Pushed) -> std::future::Ready<Result<(), String>> + use<> {
        let log = Arc::clone(log);
        move |pushed: Pushed| {
            let failed = pushed.body() == "fail";
            log.lock().unwrap().push(pushed);
            std::future::ready(if failed {
                Err("asked to".to_owned())
            } else {
                Ok(())
            })
        }
    }

    fn post(body: &str) -> Request<Full<Bytes>> {
        Request::post("/")
            .header("host", "localhost")
            .header("content-type", "text/plain")
            .header("x-cmq-request-id", "r-1")
            .header("x-cmq-message-id", "m-1")
            .header("x-cmq-message-tag", "a, b")
            .body(Full::from(body.to_owned()))
            .unwrap()
    }

    /// One request over a connection of its own.
    async fn status<S>(receiver: S, request: Request<Full<Bytes>>) -> StatusCode
    where
        S: tower_service::Service<
                Request<hyper::body::Incoming>,
                Response = hyper::Response<Full<Bytes>>,
                Error = std::convert::Infallible,
                Future: Send,
            > + Clone
            + Send
            + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = (stream.await.unwrap(), listener.accept().await.unwrap().0);
        let service = TowerToHyperService::new(receiver);
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
        let connected = hyper::client::conn::http1::handshake(TokioIo::new(client));
        let (mut sender, connection) = connected.await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap().status()
    }

    const JSON: &str = r#"{"TopicOwner":100015036,"topicName":"t","subscriptionName":"s","msgId":"7",
        "msgBody":"中","publishTime":1700000000}"#;

    #[tokio::test]
    async fn json_is_taken_apart() {
        let log = Log::default();
        let receiver = PushReceiver::json(handler(&log));
        assert_eq!(status(receiver, post(JSON)).await, StatusCode::OK);
        let log = log.lock().unwrap();
        assert_eq!((log[0].body(), log[0].message_id()), ("中", Some("7")));
        assert_eq!(
            (log[0].topic(), log[0].subscription()),
            (Some("t"), Some("s"))
        );
        assert_eq!(
            (log[0].owner(), log[0].request_id()),
            (Some(100_015_036), Some("r-1"))
        );
        let published = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(log[0].published(), Some(published));
        assert_eq!(log[0].tags(), ["a", "b"]);
        assert!(!format!("{:?}", log[0]).contains('中'));
    }

    #[tokio::test]
    async fn a_simplified_body_is_the_message_whatever_it_looks_like() {
        let log = Log::default();
        let receiver = PushReceiver::simplified(handler(&log));
        assert_eq!(status(receiver, post(JSON)).await, StatusCode::OK);
        let log = log.lock().unwrap();
        assert_eq!((log[0].body(), log[0].message_id()), (JSON, Some("m-1")));
        assert_eq!((log[0].topic(), log[0].published()), (None, None));
    }

    #[tokio::test]
    async fn only_what_was_handled_is_answered_as_done() {
        let log = Log::default();
        let receiver = PushReceiver::simplified(handler(&log)).max_body(4);
        let failed = status(receiver.clone(), post("fail")).await;
        assert_eq!(failed, StatusCode::INTERNAL_SERVER_ERROR);
        let long = status(receiver.clone(), post("fails")).await;
        assert_eq!(long, StatusCode::PAYLOAD_TOO_LARGE);
        let mut get = post("");
        *get.method_mut() = hyper::Method::GET;
        assert_eq!(status(receiver, get).await, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(log.lock().unwrap().len(), 1, "the others were not handled");
    }

    #[tokio::test]
    async fn what_is_not_the_form_is_not_handled() {
        let log = Log::default();
        for body in ["", "plain", "{}", r#"{"msgId":"1"}"#, r#"{"msgBody":"x"}"#] {
            let receiver = PushReceiver::json(handler(&log));
            let status = status(receiver, post(body)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        }
        let receiver = PushReceiver::simplified(handler(&log));
        let mut bytes = post("");
        *bytes.body_mut() = Full::from(&[0xff_u8, 0xfe][..]);
        assert_eq!(status(receiver, bytes).await, StatusCode::BAD_REQUEST);
        assert!(log.lock().unwrap().is_empty());
    }
}
