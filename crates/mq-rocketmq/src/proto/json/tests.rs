use proptest::prelude::*;

use super::*;

fn rewritten(text: &str) -> Result<String, Malformed> {
    standard(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn keys_are_mended() {
    for (fastjson, json) in [
        (r#"{0:"a:1",-12:"b"}"#, r#"{"0":"a:1","-12":"b"}"#),
        ("{a_b:1, $c :[2,{3:4}]}", r#"{"a_b":1, "$c" :[2,{"3":4}]}"#),
        (
            r#"{{"t":"x","q":1}:{"o":2}}"#,
            r#"{"{\"t\":\"x\",\"q\":1}":{"o":2}}"#,
        ),
        (r#"{{1:"a\"b"}:2}"#, r#"{"{\"1\":\"a\\\"b\"}":2}"#),
        (r#"{[1,2]:3,"x":null}"#, r#"{"[1,2]":3,"x":null}"#),
        (
            r#"{"a":"{0:1}","b":"\v\'\\"}"#,
            r#"{"a":"{0:1}","b":"\u000b'\\"}"#,
        ),
    ] {
        assert_eq!(rewritten(fastjson).as_deref(), Ok(json));
        serde_json::from_str::<serde_json::Value>(json).unwrap();
    }
}

#[test]
fn nonsense_is_refused() {
    for text in ["{]", "}", "{?:1}", "{{{1:2}:3}:4}", &"[".repeat(65)] {
        assert!(rewritten(text).is_err(), "{text}");
    }
    // Unfinished text is passed on; the parser sees that it ends.
    assert!(read::<serde_json::Value>("body", b"{0:\"a\\").is_err());
}

#[test]
fn errors_hold_no_content() {
    let error = read::<Vec<u8>>("body", br#"{"password":"s3cret"}"#).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn large_bodies_are_refused() {
    let error = read::<serde_json::Value>("body", &vec![b' '; MAX_JSON + 1]).unwrap_err();
    assert!(error.to_string().contains("limit"));
}

#[test]
fn cost_is_linear() {
    // Many object keys, and one very long one.
    let many = format!("{{{}}}", vec![r#"{"a":"\\\\"}:1"#; 20_000].join(","));
    let long = format!("{{{{\"a\":\"{}\"}}:1}}", r"\\".repeat(200_000));
    for text in [many, long] {
        let rewritten = rewritten(&text).unwrap();
        assert!(rewritten.len() <= 3 * text.len());
        serde_json::from_str::<serde_json::Value>(&rewritten).unwrap();
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn sound_json_stays_as_it_is(value in any_json()) {
        let text = value.to_string();
        prop_assert_eq!(rewritten(&text), Ok(text));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = read::<serde_json::Value>("body", &bytes);
    }
}

#[test]
fn fuzz_standard() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            if let Ok(out) = standard(bytes) {
                assert!(out.len() <= 6 * bytes.len());
            }
        });
}
