//! Finds the broker addresses in a route answer, and puts others in their place.

/// The request codes whose answers name broker addresses: a topic's route, the cluster's brokers.
pub(super) const NAMES_BROKERS: [i32; 2] = [105, 106];

/// Every address in a `brokerAddrs` object of `body` replaced by what `other` answers; all other bytes stay.
///
/// Text is scanned rather than parsed because old nameservers leave integer keys unquoted, which is no JSON:
/// `"brokerAddrs":{0:"10.0.0.1:10911"}`.
pub(super) fn rewrite<E>(
    body: &[u8],
    mut other: impl FnMut(&str) -> Result<String, E>,
) -> Result<Vec<u8>, E> {
    let mut out = Vec::with_capacity(body.len() + 32);
    let mut rest = body;
    while let Some(at) = find(rest, FIELD) {
        let (before, after) = rest.split_at(at + FIELD.len());
        out.extend_from_slice(before);
        let object = after
            .iter()
            .position(|byte| *byte == b'}')
            .unwrap_or(after.len());
        let (object, after) = after.split_at(object);
        rewrite_values(object, &mut out, &mut other)?;
        rest = after;
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// `object` is flat: keys and addresses, neither of which holds a brace, a quote or an escape.
fn rewrite_values<E>(
    object: &[u8],
    out: &mut Vec<u8>,
    other: &mut impl FnMut(&str) -> Result<String, E>,
) -> Result<(), E> {
    let mut pieces = object.split(|byte| *byte == b'"').peekable();
    let mut quoted = false;
    while let Some(piece) = pieces.next() {
        let is_key = pieces
            .peek()
            .is_some_and(|next| next.trim_ascii_start().first() == Some(&b':'));
        match std::str::from_utf8(piece) {
            Ok(addr) if quoted && !is_key && addr.contains(':') => {
                out.extend_from_slice(other(addr)?.as_bytes());
            }
            _ => out.extend_from_slice(piece),
        }
        if pieces.peek().is_some() {
            out.push(b'"');
        }
        quoted = !quoted;
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

const FIELD: &[u8] = br#""brokerAddrs""#;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn rewritten(text: &str) -> String {
        let out = rewrite(text.as_bytes(), |addr| {
            Ok::<_, Infallible>(format!("<{addr}>"))
        })
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quoted_and_bare_keys() {
        assert_eq!(
            rewritten(
                r#"{"brokerDatas":[{"brokerAddrs":{"0":"h:1","1":"h:2"},"brokerName":"a:b"}]}"#
            ),
            r#"{"brokerDatas":[{"brokerAddrs":{"0":"<h:1>","1":"<h:2>"},"brokerName":"a:b"}]}"#,
        );
        assert_eq!(
            rewritten(r#"[{"brokerAddrs":{0:"h:1"}},{"brokerAddrs" : { 0 : "h:2" }}]"#),
            r#"[{"brokerAddrs":{0:"<h:1>"}},{"brokerAddrs" : { 0 : "<h:2>" }}]"#,
        );
        assert_eq!(
            rewritten(r#"{"brokerAddrs":{"0" :"h:1"}}"#),
            r#"{"brokerAddrs":{"0" :"<h:1>"}}"#
        );
    }

    #[test]
    fn anything_else_stays() {
        for text in [
            "",
            "{}",
            r#"{"brokerAddrs":{}}"#,
            r#"{"brokerAddrs"#,
            r#""brokerAddrs":{"0"#,
        ] {
            assert_eq!(rewritten(text), text);
        }
    }
}
