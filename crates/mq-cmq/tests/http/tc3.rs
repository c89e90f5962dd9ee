//! The control plane's side of the scripted server: it verifies each signature with its own code.

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use mq_cmq::{ControlClient, ControlClientBuilder, Credentials};
use sha2::{Digest, Sha256};

use crate::server::{Reply, SECRET_ID, SECRET_KEY, Seen, Server};

impl Server {
    pub(crate) fn control_builder(&self) -> ControlClientBuilder {
        ControlClient::builder()
            .http(&self.address)
            .region("ap-guangzhou")
            .credentials(Credentials::new(SECRET_ID, SECRET_KEY))
    }

    pub(crate) fn control(&self) -> ControlClient {
        self.control_builder().build().unwrap()
    }
}

impl Reply {
    /// What the control plane answers that did as it was told.
    pub(crate) fn did(fields: &str) -> Self {
        let comma = if fields.is_empty() { "" } else { "," };
        Self::Json(format!(
            r#"{{"Response":{{{fields}{comma}"RequestId":"id-1"}}}}"#
        ))
    }

    pub(crate) fn declined(code: &str, message: &str) -> Self {
        Self::Json(format!(
            r#"{{"Response":{{"Error":{{"Code":"{code}","Message":"{message}"}},"RequestId":"id-1"}}}}"#
        ))
    }
}

/// Reads a request, and panics unless it is signed right.
pub(crate) async fn read(request: Request<Incoming>, connection: usize) -> Seen {
    assert_eq!(request.uri(), "/");
    let method = request.method().to_string();
    let headers = request.headers().iter();
    let pairs: Vec<(String, String)> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let seen = Seen {
        method,
        connection,
        pairs,
        json: serde_json::from_slice(&body).unwrap(),
    };
    let authorization = seen.value("authorization").unwrap().to_owned();
    assert_eq!(authorization, expected(&seen, &body), "{seen:?}");
    seen
}

/// Not the crate's own code, which could be wrong on both sides.
fn expected(seen: &Seen, body: &[u8]) -> String {
    let given = |name: &str| seen.value(name).unwrap();
    let hex = |bytes: &[u8]| {
        let digits: Vec<String> = bytes.iter().map(|it| format!("{it:02x}")).collect();
        digits.concat()
    };
    let hash = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    let hmac = |key: &[u8], text: &str| -> Vec<u8> {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(text).finalize().into_bytes().to_vec()
    };
    let canonical = format!(
        "POST\n/\n\ncontent-type:{}\nhost:{}\nx-tc-action:{}\n\ncontent-type;host;x-tc-action\n{}",
        given("content-type"),
        given("host"),
        given("x-tc-action").to_lowercase(),
        hash(body)
    );
    // The day is the client's own; a test with a clock that stands still judges it.
    let date = given("authorization").split('/').nth(1).unwrap();
    let scope = format!("{date}/tdmq/tc3_request");
    let text = format!(
        "TC3-HMAC-SHA256\n{}\n{scope}\n{}",
        given("x-tc-timestamp"),
        hash(canonical.as_bytes())
    );
    let key = hmac(format!("TC3{SECRET_KEY}").as_bytes(), date);
    let key = hmac(&hmac(&key, "tdmq"), "tc3_request");
    let signature = hex(&hmac(&key, &text));
    format!(
        "TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders=content-type;host;x-tc-action, Signature={signature}"
    )
}
