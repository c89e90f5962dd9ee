//! Requests, signed well and badly.

use super::*;

const NOW: u64 = 1_700_000_000;

fn auth() -> Auth {
    let mut auth = Auth::new(Duration::from_secs(300), true);
    auth.add("AKIDdev", "canary-key", None).unwrap();
    auth.add("AKIDtemp", "canary-key", Some("canary-token"))
        .unwrap();
    auth
}

fn pairs(id: &str, stamp: u64, nonce: u64, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut pairs = vec![
        own("Action", "SendMessage"),
        own("SecretId", id),
        own("Timestamp", &stamp.to_string()),
        own("Nonce", &nonce.to_string()),
        own("SignatureMethod", "HmacSHA256"),
    ];
    pairs.extend(more.iter().map(|(key, value)| own(key, value)));
    pairs
}

fn signed(pairs: &[(String, String)]) -> Signed<'_> {
    Signed {
        method: "POST",
        host: "127.0.0.1:80",
        path: "/v2/index.php",
        pairs,
    }
}

/// Signs what `of` leaves of the request, with this key.
fn sign(pairs: &mut Vec<(String, String)>, key: &str, of: impl Fn(&(String, String)) -> bool) {
    let part: Vec<&(String, String)> = pairs.iter().filter(|pair| of(pair)).collect();
    let part: Vec<(&str, &str)> = part.iter().map(|p| (p.0.as_str(), p.1.as_str())).collect();
    let text = sign::string_to_sign("POST", "127.0.0.1:80", "/v2/index.php", &part);
    let key = SigningKey::new(SignatureMethod::HmacSha256, key).unwrap();
    pairs.push(("Signature".to_owned(), key.sign(&text)));
}

fn checked(auth: &Auth, id: &str, stamp: u64, more: &[(&str, &str)], key: &str) -> Result<()> {
    let mut pairs = pairs(id, stamp, 1, more);
    sign(&mut pairs, key, |_| true);
    auth.check(&signed(&pairs), NOW)
}

#[test]
fn each_mistake_is_named_and_no_secret_is() {
    let auth = auth();
    let failed = ErrorCode::AUTHENTICATION_FAILED;
    let over = "expected HmacSHA256 over: POST127.0.0.1:80/v2/index.php?Action=SendMessage&Nonce=1";
    let token: &[(&str, &str)] = &[("Token", "canary")];
    let key = "canary-key";
    for (id, stamp, more, key, code, words) in [
        ("AKIDdev", NOW, token, "wrong", failed, over),
        ("AKIDdev", NOW - 600, &[], key, failed, "600 s behind"),
        ("AKIDdev", NOW + 301, &[], key, failed, "301 s ahead"),
        (
            "AKIDno",
            NOW,
            &[],
            key,
            ErrorCode::SECRET_ID_NOT_FOUND,
            "AKIDno",
        ),
        ("no", NOW, &[], key, ErrorCode::SECRET_ID_FORMAT, "AKID"),
        (
            "AKIDtemp",
            NOW,
            &[],
            key,
            ErrorCode::MISSING_PARAMETER,
            "Token",
        ),
        ("AKIDtemp", NOW, token, key, failed, "Token"),
    ] {
        let refusal = checked(&auth, id, stamp, more, key).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert!(refusal.message.contains(words), "{refusal:?}");
        assert!(!refusal.message.contains("canary"), "{refusal:?}");
    }
    assert!(!format!("{auth:?}").contains("canary"));
}

#[test]
fn what_is_signed_well_is_accepted_once() {
    let auth = auth();
    for (id, stamp, more) in [
        ("AKIDdev", NOW, &[][..]),
        ("AKIDdev", NOW - 300, &[]),
        ("AKIDdev", NOW + 300, &[("Token", "unasked")]),
        ("AKIDtemp", NOW, &[("Token", "canary-token")]),
    ] {
        assert_eq!(checked(&auth, id, stamp, more, "canary-key"), Ok(()));
        let again = checked(&auth, id, stamp, more, "canary-key").unwrap_err();
        assert_eq!(again.code, ErrorCode::AUTHENTICATION_FAILED);
        assert!(again.message.contains("made before"), "{again:?}");
    }
}

#[test]
fn a_forged_request_does_not_use_the_true_one_up() {
    let auth = auth();
    let mut forged = pairs("AKIDdev", NOW, 1, &[]);
    forged.push(("Signature".to_owned(), "AAAA".to_owned()));
    assert!(auth.check(&signed(&forged), NOW).is_err());
    assert_eq!(checked(&auth, "AKIDdev", NOW, &[], "canary-key"), Ok(()));
}

#[test]
fn values_with_an_at_may_be_left_out_as_python_does() {
    let auth = auth();
    let more = [("msgBody", "@x"), ("queueName", "q")];
    let mut python = pairs("AKIDdev", NOW, 1, &more);
    sign(&mut python, "canary-key", |pair| !pair.1.starts_with('@'));
    assert_eq!(auth.check(&signed(&python), NOW), Ok(()));
    let mut java = pairs("AKIDdev", NOW, 2, &more);
    sign(&mut java, "canary-key", |_| true);
    assert_eq!(auth.check(&signed(&java), NOW), Ok(()));
    let mut other = pairs("AKIDdev", NOW, 3, &more);
    sign(&mut other, "canary-key", |pair| pair.0 != "queueName");
    assert!(auth.check(&signed(&other), NOW).is_err());
    let get = Signed {
        method: "GET",
        ..signed(&python)
    };
    assert!(auth.check(&get, NOW).is_err());
}

#[test]
fn what_is_long_is_cut_and_bodies_are_not_shown() {
    let long = "ü".repeat(100_000);
    let more = [
        ("queueName", long.as_str()),
        ("msgBody", "canary"),
        ("msgBody.1", "canary"),
    ];
    let refusal = checked(&auth(), "AKIDdev", NOW, &more, "wrong").unwrap_err();
    let text = refusal.message;
    assert!(text.len() < 1000, "{}", text.len());
    for words in [
        "…(200000 bytes)",
        "&msgBody=…(6 bytes)&msgBody.1=…(6 bytes)",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("canary"), "{text}");
}
