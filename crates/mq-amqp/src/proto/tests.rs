use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

mod golden;

#[test]
fn every_method_comes_back() {
    for method in Method::every() {
        let mut out = BytesMut::new();
        method.encode(&mut out);
        assert_eq!(
            Method::decode(out.freeze()).unwrap(),
            method,
            "{}",
            method.name()
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = Method::decode(bytes.clone());
        let _ = Properties::decode(bytes.clone());
        let _ = FrameDecoder::new(4096).decode(&mut BytesMut::from(&bytes[..]));
    }
}
