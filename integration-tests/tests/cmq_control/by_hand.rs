//! Requests that other clients write.

use std::time::UNIX_EPOCH;

use integration_tests::harness::wall;
use mq_cmq::proto::tc3::{Authorization, Canonical, Key, Scope, date::utc_date};
use mq_dev::cmq::DevServer;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// As SDKs sign that differ from ours: the one for Node takes the service from the endpoint and the host without its port.
#[tokio::test]
async fn cmq_control_takes_foreign_scopes_and_hosts_without_port() {
    let server = DevServer::builder().start().await.unwrap();
    let address = server.addr().to_string();
    let (host, _) = address.rsplit_once(':').unwrap();
    for (service, signed_host, fits) in [
        ("tdmq", address.as_str(), true),
        ("127", host, true),
        ("tdmq", "example.com", false),
    ] {
        let answer = by_hand(&address, service, signed_host, today()).await;
        assert!(
            answer.contains("\r\ncontent-type: application/json\r\n"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let code = body["Response"]["Error"]["Code"].as_str();
        let expected = (!fits).then_some("AuthFailure.SignatureFailure");
        assert_eq!(code, expected, "{service} {signed_host}: {body}");
    }
}

/// Signed well, for the scope of another day than the time stamp's.
#[tokio::test]
async fn cmq_control_takes_no_scope_of_another_day() {
    let server = DevServer::builder().start().await.unwrap();
    let address = server.addr().to_string();
    for apart in [-86_400, 86_400] {
        let (seconds, _) = today();
        let day = utc_date(seconds.saturating_add_signed(apart));
        let answer = by_hand(&address, "tdmq", &address, (seconds, day.clone())).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let error = &body["Response"]["Error"];
        assert_eq!(error["Code"], "AuthFailure.SignatureFailure");
        let words = format!(
            "the credential's date is {day}, the timestamp's is {}",
            utc_date(seconds)
        );
        assert_eq!(error["Message"], words);
    }
    assert_eq!(server.requests("DescribeCmqQueues"), 0);
}

/// The time stamp, and its day.
fn today() -> (u64, String) {
    let seconds = wall().duration_since(UNIX_EPOCH).unwrap().as_secs();
    (seconds, utc_date(seconds))
}

async fn by_hand(
    address: &str,
    service: &str,
    signed_host: &str,
    (seconds, date): (u64, String),
) -> String {
    let scope = Scope {
        date: &date,
        service,
    };
    let body = "{}";
    let headers = [("content-type", "application/json"), ("host", signed_host)];
    let canonical = Canonical {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        payload: body.as_bytes(),
    };
    let text = canonical.string_to_sign(&seconds.to_string(), scope);
    let authorization = Authorization {
        secret_id: "AKIDdev",
        scope,
        signed_headers: vec!["content-type", "host"],
        signature: &Key::new("dev-secret").unwrap().sign(scope, &text).unwrap(),
    };
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nX-TC-Action: DescribeCmqQueues\r\nX-TC-Version: 2020-02-17\r\n\
         X-TC-Region: ap-guangzhou\r\nX-TC-Timestamp: {seconds}\r\nAuthorization: {authorization}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
