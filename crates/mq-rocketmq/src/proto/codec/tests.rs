use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::proto::{Frame, FrameDecoder, NoFields};

fn parts(code: i32, codec: HeaderCodec) -> HeaderParts<'static> {
    let language = Language::RUST;
    HeaderParts {
        code,
        flags: Flags::REQUEST,
        remark: None,
        language,
        version: 513,
        codec,
    }
}

fn decode_one(encoded: Encoded, body: &[u8]) -> Frame {
    let mut buf = BytesMut::from(&encoded.into_bytes()[..]);
    buf.extend_from_slice(body);
    let frame = FrameDecoder::default().decode(&mut buf).unwrap().unwrap();
    assert!(buf.is_empty());
    frame
}

#[test]
fn json_is_what_fastjson_writes_but_for_blanks() {
    let ext: ExtFields = [("topic", "a\"\\\u{1}\n中")].into_iter().collect();
    let mut encoded = encode(
        &parts(105, HeaderCodec::Json),
        &ext,
        &[("Signature", "x=")],
        0,
    );
    encoded.set_opaque(-7);
    assert_eq!(
        std::str::from_utf8(&encoded.into_bytes()[8..]).unwrap(),
        concat!(
            r#"{"code":105,"extFields":{"topic":"a\"\\\u0001\n中","Signature":"x="},"flag":0,"#,
            r#""language":"RUST","opaque":         -7,"serializeTypeCurrentRPC":"JSON","version":513}"#
        )
    );
}

#[test]
fn binary_layout() {
    let ext: ExtFields = [("k", "v")].into_iter().collect();
    let mut parts = parts(310, HeaderCodec::Binary);
    parts.remark = Some("r");
    let mut encoded = encode(&parts, &ext, &[], 5);
    encoded.set_opaque(0x0102_0304);
    let expected: &[u8] = &[
        0, 0, 0, 39, 1, 0, 0, 30, // length, kind and header length
        1, 54, 12, 2, 1, 1, 2, 3, 4, 0, 0, 0, 0, // code, language, version, opaque, flag
        0, 0, 0, 1, b'r', 0, 0, 0, 8, 0, 1, b'k', 0, 0, 0, 1, b'v',
    ];
    assert_eq!(encoded.frame_len(), 39);
    assert_eq!(&encoded.into_bytes()[..], expected);
}

#[test]
fn codes_beyond_16_bits_go_as_json() {
    let encoded = encode(&parts(200_050, HeaderCodec::Binary), &NoFields, &[], 0);
    assert_eq!(encoded.codec(), HeaderCodec::Json);
    let frame = decode_one(encoded, b"");
    assert_eq!(
        (frame.header.code, frame.header.codec),
        (200_050, HeaderCodec::Json)
    );
}

#[test]
fn json_header_of_others_is_read_with_tolerance() {
    let header = |json: &str| decode_header(HeaderCodec::Json, json.as_bytes());
    let read = header(
        r#"{"code":0,"extFields":null,"flag":1,"language":null,"opaque":3,"remark":null,
            "extra":{"a":[1]},"version":513,"serializeTypeCurrentRPC":"JSON"}"#,
    )
    .unwrap();
    assert!(read.flags.is_response() && read.ext.is_empty() && read.remark.is_none());
    assert_eq!(read.language, Language::UNKNOWN);

    let read =
        header(r#"{"code":1,"language":"COBOL","extFields":{"a":1,"b":true,"c":null,"d":{}}}"#);
    let read = read.unwrap();
    assert_eq!(
        read.ext.iter().collect::<Vec<_>>(),
        [("a", "1"), ("b", "true")]
    );
    assert_eq!(read.language, Language::UNKNOWN);

    // fastjson writes a vertical tab as an escape that JSON does not know.
    assert_eq!(
        header(r#"{"code":1,"remark":"a\vb"}"#)
            .unwrap()
            .remark
            .unwrap(),
        "a\u{b}b"
    );

    for broken in [
        "",
        "{}",
        "[]",
        "{\"code\":1",
        "{\"code\":\"x\"}",
        "{\"code\":99999999999}",
    ] {
        assert!(header(broken).is_err(), "{broken}");
    }
}

#[test]
fn ext_fields_are_counted() {
    let many = |count: usize| {
        let ext: ExtFields = (0..count).map(|n| (n.to_string(), "")).collect();
        [HeaderCodec::Json, HeaderCodec::Binary].map(|codec| {
            let bytes = encode(&parts(1, codec), &ext, &[], 0).into_bytes();
            decode_header(codec, &bytes[8..]).is_ok()
        })
    };
    assert_eq!(many(crate::proto::MAX_EXT_FIELDS), [true, true]);
    assert_eq!(many(crate::proto::MAX_EXT_FIELDS + 1), [false, false]);
}

#[test]
fn binary_header_must_be_used_up() {
    let bytes = encode(&parts(1, HeaderCodec::Binary), &NoFields, &[], 0).into_bytes();
    let mut longer = bytes[8..].to_vec();
    assert!(decode_header(HeaderCodec::Binary, &longer).is_ok());
    longer.push(0);
    assert_eq!(
        decode_header(HeaderCodec::Binary, &longer)
            .unwrap_err()
            .field,
        "extFields"
    );
    // A remark of negative length.
    let mut negative = bytes[8..].to_vec();
    negative[13] = 0x80;
    assert_eq!(
        decode_header(HeaderCodec::Binary, &negative)
            .unwrap_err()
            .field,
        "remark"
    );
}

fn any_header() -> impl Strategy<Value = Header> {
    let text = || proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter);
    let ext = proptest::collection::vec((text(), text()), 0..8);
    let remark = proptest::option::of(text().prop_filter("empty is null", |text| !text.is_empty()));
    let codec = prop_oneof![Just(HeaderCodec::Json), Just(HeaderCodec::Binary)];
    (
        any::<i16>(),
        0..14_u8,
        any::<i16>(),
        any::<i32>(),
        any::<i32>(),
        remark,
        ext,
        codec,
    )
        .prop_map(
            |(code, language, version, opaque, flags, remark, ext, codec)| Header {
                code: code.into(),
                language: Language(language),
                version: version.into(),
                opaque,
                flags: Flags(flags),
                remark,
                ext: ext.into_iter().collect(),
                codec,
            },
        )
}

proptest! {
    #[test]
    fn headers_round_trip(header in any_header(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let frame = decode_one(header.encode(body.len()), &body);
        prop_assert_eq!(&frame.header, &header);
        prop_assert_eq!(&frame.body[..], &body[..]);
    }

    #[test]
    fn every_strict_prefix_is_incomplete(header in any_header(), body in proptest::collection::vec(any::<u8>(), 0..16)) {
        let mut whole = header.encode(body.len()).into_bytes().to_vec();
        whole.extend_from_slice(&body);
        for len in 0..whole.len() {
            let mut buf = BytesMut::from(&whole[..len]);
            prop_assert_eq!(FrameDecoder::default().decode(&mut buf), Ok(None));
            prop_assert_eq!(buf.len(), len);
        }
    }

    #[test]
    fn random_headers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode_header(HeaderCodec::Binary, &bytes);
        let _ = decode_header(HeaderCodec::Json, &bytes);
    }
}

#[test]
fn fuzz_binary_header() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            if let Ok(header) = decode_header(HeaderCodec::Binary, bytes) {
                let again = header.encode(0).into_bytes();
                let again = decode_header(HeaderCodec::Binary, &again[8..]).unwrap();
                assert_eq!(again, header);
            }
        });
}

#[test]
fn fuzz_json_header() {
    bolero::check!()
        .with_iterations(20_000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            if let Ok(header) = decode_header(HeaderCodec::Json, bytes) {
                let again = header.encode(0).into_bytes();
                assert_eq!(
                    decode_header(HeaderCodec::Json, &again[8..]).unwrap(),
                    header
                );
            }
        });
}
