//! Format strings: `%t %k %b\n`.

use crate::adapter::Incoming;

/// A format string that was read and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Topic,
    Key,
    Body,
    Tag,
    Queue,
    Offset,
    Id,
}

impl Format {
    /// Reads a format string.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let field = match (c, c == '%' || c == '\\') {
                (_, false) => {
                    literal.push(c);
                    continue;
                }
                ('%', _) => match rest.next() {
                    Some('%') => {
                        literal.push('%');
                        continue;
                    }
                    other => field(other)?,
                },
                _ => {
                    literal.push(escaped(rest.next())?);
                    continue;
                }
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field(field));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// Writes a message; what comes from the message goes through `guard`, what comes from the format does not.
    pub(crate) fn write(
        &self,
        message: &Incoming,
        guard: impl Fn(&[u8], &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(Field::Body) => guard(&message.body, out),
                Piece::Field(Field::Offset) => {
                    let offset = message.offset.map(|offset| offset.to_string());
                    out.extend_from_slice(offset.unwrap_or_default().as_bytes());
                }
                Piece::Field(field) => guard(text(*field, message).as_bytes(), out),
            }
        }
    }
}

/// Reads `\n`, `\t`, `\r`, `\0` and `\\` in a text.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(if c == '\\' { escaped(rest.next())? } else { c });
    }
    Ok(out)
}

fn escaped(c: Option<char>) -> Result<char, String> {
    match c {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('r') => Ok('\r'),
        Some('0') => Ok('\0'),
        Some('\\') => Ok('\\'),
        Some(other) => Err(format!(
            "\\{other} means nothing; there are \\n \\t \\r \\0 \\\\"
        )),
        None => Err("a \\ stands at the end; write \\\\ for the character".to_owned()),
    }
}

fn field(c: Option<char>) -> Result<Field, String> {
    match c {
        Some('t') => Ok(Field::Topic),
        Some('k') => Ok(Field::Key),
        Some('b') => Ok(Field::Body),
        Some('T') => Ok(Field::Tag),
        Some('q') => Ok(Field::Queue),
        Some('o') => Ok(Field::Offset),
        Some('i') => Ok(Field::Id),
        Some(other) => Err(format!(
            "%{other} means nothing; there are %t %k %b %T %q %o %i %%"
        )),
        None => Err("a % stands at the end; write %% for the character".to_owned()),
    }
}

fn text(field: Field, message: &Incoming) -> &str {
    match field {
        Field::Topic => &message.topic,
        Field::Key => message.key.as_deref().unwrap_or_default(),
        Field::Tag => message.tag.as_deref().unwrap_or_default(),
        Field::Queue => &message.queue,
        Field::Id => &message.id,
        // Written as bytes and as a number.
        Field::Body | Field::Offset => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::message;

    fn written(format: &str) -> String {
        let mut out = Vec::new();
        let plain = |bytes: &[u8], out: &mut Vec<u8>| out.extend_from_slice(bytes);
        Format::parse(format)
            .unwrap()
            .write(&message(), plain, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_and_escapes() {
        assert_eq!(
            written(r"%t %k %b %T %q %o %i %%\n"),
            "orders k1 k2 hello TagA broker-a/3 42 ID %\n"
        );
        assert_eq!(written(r"\t\\%%b"), "\t\\%b");
        assert_eq!(written(""), "");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (bad, part) in [
            ("%x", "%x means nothing"),
            ("a%", "at the end"),
            (r"\x", r"\x means nothing"),
            ("\\", "at the end"),
        ] {
            let error = Format::parse(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
