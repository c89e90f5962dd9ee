//! Field tables: headers, arguments, properties of the peers.
//!
//! The types are those that RabbitMQ reads and writes, which are not those of the specification's own list.
// rabbitmq.com/docs/specification-errata, "Field types"; rabbitmq-server: rabbit_binary_parser.erl

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// A value of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing (`V`).
    Void,
    /// A truth (`t`).
    Bool(bool),
    /// A number of 8 bits with its sign (`b`).
    I8(i8),
    /// A number of 8 bits (`B`).
    U8(u8),
    /// A number of 16 bits with its sign (`s`).
    I16(i16),
    /// A number of 16 bits (`u`).
    U16(u16),
    /// A number of 32 bits with its sign (`I`).
    I32(i32),
    /// A number of 32 bits (`i`).
    U32(u32),
    /// A number of 64 bits with its sign (`l`).
    I64(i64),
    /// A number of 32 bits with a floating point (`f`).
    F32(f32),
    /// A number of 64 bits with a floating point (`d`).
    F64(f64),
    /// `value / 10^scale` (`D`).
    Decimal {
        /// How many of the digits stand behind the point.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// A text (`S`).
    Text(ByteString),
    /// A long string that is no text (`S`, not UTF-8).
    LongString(Bytes),
    /// Bytes (`x`).
    Bytes(Bytes),
    /// Seconds since the Unix epoch (`T`).
    Timestamp(u64),
    /// Values in a row (`A`).
    Array(Vec<Self>),
    /// Values by name (`F`).
    Table(Table),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one and not beyond 64 bits with a sign.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(number) => Some(number.into()),
            Self::U8(number) => Some(number.into()),
            Self::I16(number) => Some(number.into()),
            Self::U16(number) => Some(number.into()),
            Self::I32(number) => Some(number.into()),
            Self::U32(number) => Some(number.into()),
            Self::I64(number) => Some(number),
            _ => None,
        }
    }

    /// The truth, if it is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub const fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    fn too_long_name(&self) -> Option<&str> {
        match self {
            Self::Array(values) => values.iter().find_map(Self::too_long_name),
            Self::Table(table) => table.too_long_name(),
            _ => None,
        }
    }

    fn read(reader: &mut Reader, depth: u32) -> Result<Self, Malformed> {
        const FIELD: &str = "field value";
        Ok(match reader.u8(FIELD)? {
            b'V' => Self::Void,
            b't' => Self::Bool(reader.u8(FIELD)? != 0),
            b'b' => Self::I8(reader.u8(FIELD)?.cast_signed()),
            b'B' => Self::U8(reader.u8(FIELD)?),
            b's' => Self::I16(reader.u16(FIELD)?.cast_signed()),
            b'u' => Self::U16(reader.u16(FIELD)?),
            b'I' => Self::I32(reader.u32(FIELD)?.cast_signed()),
            b'i' => Self::U32(reader.u32(FIELD)?),
            b'l' => Self::I64(reader.u64(FIELD)?.cast_signed()),
            b'f' => Self::F32(f32::from_bits(reader.u32(FIELD)?)),
            b'd' => Self::F64(f64::from_bits(reader.u64(FIELD)?)),
            b'D' => Self::Decimal {
                scale: reader.u8(FIELD)?,
                value: reader.u32(FIELD)?,
            },
            b'S' => long_string(reader.long_string(FIELD)?),
            b'x' => Self::Bytes(reader.long_string(FIELD)?),
            b'T' => Self::Timestamp(reader.u64(FIELD)?),
            b'A' => Self::Array(read_array(reader, depth)?),
            b'F' => Self::Table(Table::read_at(reader, depth)?),
            other => {
                return Err(Malformed::new(
                    FIELD,
                    format!("there is no type {other:#04x}"),
                ));
            }
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Void => writer.u8(b'V'),
            Self::Bool(truth) => writer.raw(&[b't', u8::from(*truth)]),
            Self::I8(number) => writer.raw(&[b'b', number.cast_unsigned()]),
            Self::U8(number) => writer.raw(&[b'B', *number]),
            Self::I16(number) => tagged(writer, b's', &number.to_be_bytes()),
            Self::U16(number) => tagged(writer, b'u', &number.to_be_bytes()),
            Self::I32(number) => tagged(writer, b'I', &number.to_be_bytes()),
            Self::U32(number) => tagged(writer, b'i', &number.to_be_bytes()),
            Self::I64(number) => tagged(writer, b'l', &number.to_be_bytes()),
            Self::F32(number) => tagged(writer, b'f', &number.to_be_bytes()),
            Self::F64(number) => tagged(writer, b'd', &number.to_be_bytes()),
            Self::Decimal { scale, value } => {
                writer.raw(&[b'D', *scale]);
                writer.u32(*value);
            }
            Self::Text(text) => {
                writer.u8(b'S');
                writer.long_string(text.as_bytes());
            }
            Self::LongString(bytes) => {
                writer.u8(b'S');
                writer.long_string(bytes);
            }
            Self::Bytes(bytes) => {
                writer.u8(b'x');
                writer.long_string(bytes);
            }
            Self::Timestamp(seconds) => tagged(writer, b'T', &seconds.to_be_bytes()),
            Self::Array(values) => {
                writer.u8(b'A');
                writer.sized(|inner| values.iter().for_each(|value| value.write(inner)));
            }
            Self::Table(table) => {
                writer.u8(b'F');
                table.encode(writer);
            }
        }
    }
}

fn tagged(writer: &mut Writer<'_>, tag: u8, bytes: &[u8]) {
    writer.u8(tag);
    writer.raw(bytes);
}

fn long_string(bytes: Bytes) -> Value {
    match ByteString::try_from(bytes.clone()) {
        Ok(text) => Value::Text(text),
        Err(_) => Value::LongString(bytes),
    }
}

fn read_array(reader: &mut Reader, depth: u32) -> Result<Vec<Value>, Malformed> {
    let depth = deeper(depth)?;
    let mut inner = Reader::new(reader.long_string("field array")?);
    let mut values = Vec::new();
    while inner.left() > 0 {
        values.push(Value::read(&mut inner, depth)?);
    }
    Ok(values)
}

/// Tables within tables are read by a function that calls itself: no peer may decide how often.
fn deeper(depth: u32) -> Result<u32, Malformed> {
    depth
        .checked_sub(1)
        .ok_or_else(|| Malformed::new("field table", format!("nested more than {DEPTH} deep")))
}

const DEPTH: u32 = 64;

/// Values by name, in the order in which they were put in. Names have at most 255 bytes.
#[derive(Clone, Default, PartialEq)]
pub struct Table(Vec<(ByteString, Value)>);

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values are in it.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Sets the value of a name; what was there is replaced, in its place.
    pub fn insert(&mut self, name: impl Into<ByteString>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }

    /// Gives a value that is there another name, in the place of what has that.
    pub(crate) fn rename(&mut self, from: &str, to: &'static str) {
        if let Some(value) = self.remove(from) {
            self.insert(to, value);
        }
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// A name that the wire can't carry, here or in what is within.
    pub fn too_long_name(&self) -> Option<&str> {
        let here = self.iter().map(|(name, _)| name);
        let within = self.iter().filter_map(|(_, value)| value.too_long_name());
        here.filter(|name| name.len() > 255).chain(within).next()
    }

    /// Reads a table with its length before it.
    ///
    /// # Errors
    /// [`Malformed`] for a length beyond the payload, an unknown type, or tables nested more than 64 deep.
    pub fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        Self::read_at(reader, DEPTH)
    }

    fn read_at(reader: &mut Reader, depth: u32) -> Result<Self, Malformed> {
        let depth = deeper(depth)?;
        let mut inner = Reader::new(reader.long_string("field table")?);
        let mut values = Vec::new();
        while inner.left() > 0 {
            let name = inner.short_string("field name")?;
            values.push((name, Value::read(&mut inner, depth)?));
        }
        Ok(Self(values))
    }

    /// Writes the table with its length before it.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.sized(|inner| {
            for (name, value) in &self.0 {
                inner.short_string(name);
                value.write(inner);
            }
        });
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Into<ByteString>, V: Into<Value>> FromIterator<(K, V)> for Table {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        let mut table = Self::new();
        table.extend(values);
        table
    }
}

impl<K: Into<ByteString>, V: Into<Value>> Extend<(K, V)> for Table {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, values: I) {
        for (name, value) in values {
            self.insert(name, value);
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! {
    bool => Bool, i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64, f32 => F32, f64 => F64,
    &'static str => Text, String => Text, ByteString => Text, Bytes => Bytes, Vec<Value> => Array, Table => Table,
}
