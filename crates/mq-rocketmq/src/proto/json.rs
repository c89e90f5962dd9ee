//! Reads JSON as fastjson writes it, which is not always JSON.
//!
//! ```text
//!   {0:"ip:port"}                    →  {"0":"ip:port"}
//!   {{"topic":"t","queueId":1}:{…}}  →  {"{\"topic\":\"t\",\"queueId\":1}":{…}}
//! ```

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::Malformed;

/// Reads a JSON body: as it is, or if that fails as [`standard`] makes it.
///
/// # Errors
/// [`Malformed`] named `field` if it is above [`MAX_JSON`], no JSON, or of another shape.
pub fn read<T: DeserializeOwned>(field: &'static str, bytes: &[u8]) -> Result<T, Malformed> {
    if bytes.len() > MAX_JSON {
        let reason = format!("{} bytes of JSON, the limit is {MAX_JSON}", bytes.len());
        return Err(Malformed::new(field, 0, reason));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) if error.is_syntax() => serde_json::from_slice(&standard(bytes)?)
            .map_err(|error| Malformed::json(field, &error)),
        Err(error) => Err(Malformed::json(field, &error)),
    }
}

/// Rewrites what fastjson writes into JSON: bare keys get quotes, an object or array as a key becomes a string that
/// holds its JSON, and `\v` and `\'` become escapes that JSON knows.
///
/// One pass, no recursion, nesting bounded by 64. Faults it does not mend are left for the parser to find.
///
/// # Errors
/// [`Malformed`] if brackets don't match or nest too deeply, or if a key within an object key is an object again:
/// escaping what was escaped would grow without bound.
pub fn standard(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut rewriter = Rewriter {
        input: bytes,
        at: 0,
        out: Vec::with_capacity(bytes.len() + bytes.len() / 8),
        open: Vec::new(),
        at_key: false,
        object_key: None,
    };
    while let Some(byte) = rewriter.peek() {
        rewriter.step(byte)?;
    }
    Ok(rewriter.out)
}

/// For fields that fastjson writes as null where Java has no object.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For a part that is passed on as it is: kept as text, since a tree of it would take many times the memory.
pub(crate) mod raw {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, ser::Error as _};
    use serde_json::value::RawValue;

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = value.clone().map(RawValue::from_string).transpose();
        raw.map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
        Ok(raw.map(|raw| raw.get().to_owned()))
    }
}

struct Rewriter<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The brackets that are open.
    open: Vec<u8>,
    /// Whether the next value is a key.
    at_key: bool,
    /// Where in `out` an object key began, and how many brackets were open before it.
    object_key: Option<(usize, usize)>,
}

impl Rewriter<'_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn copy(&mut self, byte: u8) {
        self.out.push(byte);
        self.at += 1;
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        match byte {
            b'"' => self.string(),
            b'{' | b'[' => self.open(byte)?,
            b'}' | b']' => self.close(byte)?,
            b',' => {
                self.at_key = self.open.last() == Some(&b'{');
                self.copy(byte);
            }
            b':' => {
                self.at_key = false;
                self.copy(byte);
            }
            b' ' | b'\t' | b'\r' | b'\n' => self.copy(byte),
            _ if self.at_key => self.bare_key()?,
            _ => self.copy(byte),
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        if self.open.len() == MAX_DEPTH {
            return Err(Malformed::new("json", self.at, "nested too deeply"));
        }
        if self.at_key {
            if self.object_key.is_some() {
                return Err(Malformed::new(
                    "json",
                    self.at,
                    "an object key within an object key",
                ));
            }
            self.object_key = Some((self.out.len(), self.open.len()));
        }
        self.open.push(bracket);
        self.at_key = bracket == b'{';
        self.copy(bracket);
        Ok(())
    }

    fn close(&mut self, bracket: u8) -> Result<(), Malformed> {
        let opening = if bracket == b'}' { b'{' } else { b'[' };
        if self.open.pop() != Some(opening) {
            return Err(Malformed::new("json", self.at, "brackets don't match"));
        }
        self.at_key = false;
        self.copy(bracket);
        if let Some((start, depth)) = self.object_key
            && depth == self.open.len()
        {
            self.object_key = None;
            let key = self.out.split_off(start);
            self.quote(&key);
        }
        Ok(())
    }

    /// Copies a string from quote to quote; an unknown escape is left to the parser.
    fn string(&mut self) {
        self.copy(b'"');
        while let Some(byte) = self.peek() {
            self.copy(byte);
            match byte {
                b'"' => return,
                b'\\' => self.escape(),
                _ => {}
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self) {
        match self.peek() {
            Some(b'v') => {
                self.out.extend_from_slice(b"u000b");
                self.at += 1;
            }
            Some(b'\'') => {
                self.out.pop();
                self.copy(b'\'');
            }
            Some(byte) => self.copy(byte),
            None => {}
        }
    }

    fn bare_key(&mut self) -> Result<(), Malformed> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(byte);
        let len = rest.iter().take_while(|byte| is_name(byte)).count();
        if len == 0 {
            return Err(Malformed::new("json", self.at, "not a key"));
        }
        let (key, _) = rest.split_at(len);
        self.quote(key);
        self.at += len;
        self.at_key = false;
        Ok(())
    }

    fn quote(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', *byte]),
                // Blanks between tokens; within a string JSON allows them only escaped, and so does the parser.
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                _ => self.out.push(*byte),
            }
        }
        self.out.push(b'"');
    }
}

/// The largest JSON body that is read: parsed lists take several times the memory of their text.
pub const MAX_JSON: usize = 8 << 20;
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests;
