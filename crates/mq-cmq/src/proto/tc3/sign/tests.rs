use proptest::prelude::*;

use super::*;
use crate::proto::tc3::date::utc_date;

const LIMIT: &str =
    r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;

fn signed(key: &str, canonical: &Canonical<'_>, seconds: u64, service: &str) -> String {
    let date = utc_date(seconds);
    let scope = Scope {
        date: &date,
        service,
    };
    let text = canonical.string_to_sign(&seconds.to_string(), scope);
    let key = Key::new(key).unwrap();
    let signature = key.sign(scope, &text).unwrap();
    assert!(key.verify(scope, &text, &signature));
    assert!(key.verify(scope, &text, &signature.to_uppercase()));
    for other in ["", "zz", &signature[2..], &format!("{signature}0")] {
        assert!(!key.verify(scope, &text, other), "{other}");
    }
    let other = Scope {
        service: "x",
        ..scope
    };
    assert!(!key.verify(other, &text, &signature));
    assert!(!Key::new("x").unwrap().verify(scope, &text, &signature));
    signature
}

/// The examples of Tencent Cloud's documents on signature v3: an older one, and the current one, which signs the action and hides its
/// key behind 32 asterisks that are the key.
#[test]
fn the_vectors_of_the_documents_hold() {
    let mut headers = vec![
        ("content-type", "application/json; charset=utf-8"),
        ("host", "cvm.tencentcloudapi.com"),
    ];
    let older = Canonical {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers.clone(),
        payload: LIMIT.as_bytes(),
    };
    assert!(older.text().ends_with(
        "\n\ncontent-type;host\n35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    ));
    assert_eq!(
        hex(&Sha256::digest(older.text())),
        "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"
    );
    assert_eq!(
        signed(
            "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
            &older,
            1_551_113_065,
            "cvm"
        ),
        "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    );
    headers.push(("x-tc-action", "describeinstances"));
    let current = Canonical {
        headers: &headers,
        ..older
    };
    assert_eq!(
        hex(&Sha256::digest(current.text())),
        "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84"
    );
    assert_eq!(
        signed(&"*".repeat(32), &current, 1_551_113_065, "cvm"),
        "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
    );
}

/// Computed with the code of Tencent Cloud's SDK for Python.
#[test]
fn a_host_with_its_port_holds() {
    let canonical = Canonical {
        method: "POST",
        path: "/",
        query: "",
        headers: &[
            ("content-type", "application/json"),
            ("host", "127.0.0.1:8080"),
        ],
        payload: br#"{"QueueName": "q1"}"#,
    };
    assert_eq!(
        signed("secret", &canonical, 1_700_000_000, "tdmq"),
        "fb08c2f27b6f9da80599c51230de7baa86d06374338d6891abad447721d1a20d"
    );
}

#[test]
fn an_authorization_is_read_whatever_its_blanks() {
    let text = "TC3-HMAC-SHA256 Credential=AKID/2023-11-14/tdmq/tc3_request,SignedHeaders=content-type;host ,  Signature=ab";
    let read = Authorization::parse(text).unwrap();
    assert_eq!((read.secret_id, read.signature), ("AKID", "ab"));
    assert_eq!(
        (read.scope.date, read.scope.service),
        ("2023-11-14", "tdmq")
    );
    assert_eq!(read.signed_headers, ["content-type", "host"]);
    for bad in [
        "",
        "Bearer canary",
        "TC3-HMAC-SHA256",
        "TC3-HMAC-SHA256 Credential=canary, SignedHeaders=host, Signature=ab",
        "TC3-HMAC-SHA256 Credential=canary/2023-11-14/tdmq/tc4_request, SignedHeaders=host, Signature=ab",
        "TC3-HMAC-SHA256 Credential=canary/2023-11-14/tdmq/tc3_request, Signature=ab",
        "TC3-HMAC-SHA256 Credential=canary/2023-11-14/tdmq/tc3_request, SignedHeaders=host, Signature=",
    ] {
        let error = Authorization::parse(bad).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn shows_no_secret() {
    assert_eq!(format!("{:?}", Key::new("canary").unwrap()), "Key(***)");
}

proptest! {
    #[test]
    fn an_authorization_comes_back(id in "[A-Za-z0-9]{1,40}", service in "[a-z0-9]{1,9}", signature in "[0-9a-f]{64}") {
        let written = Authorization {
            secret_id: &id,
            scope: Scope { date: "2026-11-22", service: &service },
            signed_headers: vec!["content-type", "host"],
            signature: &signature,
        };
        let text = written.to_string();
        prop_assert_eq!(Authorization::parse(&text).unwrap(), written);
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = Authorization::parse(&text);
        let _ = Authorization::parse(&format!("{ALGORITHM} {text}"));
        let _ = unhex(&text);
    }

    #[test]
    fn hexadecimal_digits_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
    }
}
