//! `application/x-www-form-urlencoded`, as body of a POST or query of a GET.

use super::Malformed;

/// Writes `key=value&…`. Everything but letters, digits and `-_.~` is percent-encoded, a blank too, so that it is right both as query and
/// as form.
pub fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> String {
    let size: usize = pairs
        .iter()
        .map(|(key, value)| key.as_ref().len() + value.as_ref().len() * 5 / 4 + 2)
        .sum();
    let mut out = String::with_capacity(size);
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        escape(key.as_ref(), &mut out);
        out.push('=');
        escape(value.as_ref(), &mut out);
    }
    out
}

/// Why a form is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// There are more pairs than were wanted.
    #[error("it has more than {most} parameters")]
    TooMany {
        /// What was wanted.
        most: usize,
    },
    /// A key or value is not text.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads what [`encode`] wrote, and what others write: `+` is a blank, a `%` without two hexadecimal digits is itself, a key without `=`
/// has an empty value, empty pairs are skipped. What comes behind the `most`th pair is not looked at, so that a form of separators costs
/// no more than its own bytes.
///
/// # Errors
///
/// There are more than `most` pairs, or the decoded bytes of a key or value are not UTF-8.
pub fn decode(form: &[u8], most: usize) -> Result<Vec<(String, String)>, Unread> {
    let mut pairs = Vec::new();
    for pair in form.split(|byte| *byte == b'&') {
        if pair.is_empty() {
            continue;
        }
        if pairs.len() >= most {
            return Err(Unread::TooMany { most });
        }
        let at = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = match at.and_then(|at| pair.split_at_checked(at)) {
            Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        pairs.push((unescape(key)?, unescape(value)?));
    }
    Ok(pairs)
}

fn escape(text: &str, out: &mut String) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            continue;
        }
        // Up to here everything is ASCII or already written: a boundary of characters.
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        out.push('%');
        for digit in [byte >> 4, byte & 15] {
            let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
            out.push(digit.to_ascii_uppercase());
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
}

fn unescape(text: &[u8]) -> Result<String, Malformed> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| Malformed::new("a parameter is not UTF-8"))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodes_all_but_the_unreserved() {
        let pairs = [("msgBody.0", "a b&c=d+e/中~_-."), ("routingKey", "")];
        assert_eq!(
            encode(&pairs),
            "msgBody.0=a%20b%26c%3Dd%2Be%2F%E4%B8%AD~_-.&routingKey="
        );
    }

    #[test]
    fn reads_what_other_clients_write() {
        let read = |form: &str| decode(form.as_bytes(), 9).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        // Python's quote_plus, Java's lower-case digits, a key alone, a stray percent, no pairs at all.
        assert_eq!(
            read("a=x+y&b=%e4%b8%ad"),
            [pair("a", "x y"), pair("b", "中")]
        );
        assert_eq!(
            read("alone&&=v&p=100%&q=%zz"),
            [
                pair("alone", ""),
                pair("", "v"),
                pair("p", "100%"),
                pair("q", "%zz")
            ]
        );
        assert_eq!(read(""), []);
        assert!(decode(b"a=%ff", 9).is_err());
    }

    /// The last pair can't be read: who reads on finds that instead.
    #[test]
    fn stops_at_the_first_pair_too_many() {
        let form = [b"a&".repeat(1 << 20), b"%ff".to_vec()].concat();
        assert_eq!(decode(&form, 200), Err(Unread::TooMany { most: 200 }));
        assert_eq!(decode(b"a&&b&", 2).unwrap().len(), 2);
        assert_eq!(decode(b"a&&b&c", 2), Err(Unread::TooMany { most: 2 }));
        assert_eq!(decode(b"&&&", 0), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn comes_back(pairs in proptest::collection::vec((".+", ".*"), 0..8)) {
            prop_assert_eq!(decode(encode(&pairs).as_bytes(), 8).unwrap(), pairs);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, 100);
        }
    }
}
