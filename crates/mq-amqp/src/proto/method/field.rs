//! How the types of a method's fields are read and written.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

use crate::proto::Malformed;
use crate::proto::reader::Reader;
use crate::proto::value::Table;
use crate::proto::writer::Writer;

/// A type that a method's field has.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader, name: &'static str) -> Result<Self, Malformed>;
    fn write(&self, writer: &mut Writer<'_>);
    #[cfg(test)]
    fn sample() -> Self;
}

macro_rules! field {
    ($type:ty, $read:ident, $write:ident, $sample:expr) => {
        impl Field for $type {
            fn read(reader: &mut Reader, name: &'static str) -> Result<Self, Malformed> {
                reader.$read(name)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.$write(self.clone());
            }

            #[cfg(test)]
            fn sample() -> Self {
                $sample
            }
        }
    };
}

field!(bool, bit, bit, true);
field!(u8, u8, u8, 0x12);
field!(u16, u16, u16, 0x1234);
field!(u32, u32, u32, 0x1234_5678);
field!(u64, u64, u64, 0x1234_5678_9abc_def0);

impl Field for ByteString {
    fn read(reader: &mut Reader, name: &'static str) -> Result<Self, Malformed> {
        reader.short_string(name)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.short_string(self);
    }

    #[cfg(test)]
    fn sample() -> Self {
        Self::from_static("short")
    }
}

impl Field for Table {
    fn read(reader: &mut Reader, _: &'static str) -> Result<Self, Malformed> {
        Self::decode(reader)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.encode(writer);
    }

    #[cfg(test)]
    fn sample() -> Self {
        [("a", 1_i32)].into_iter().collect()
    }
}

/// A long string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LongStr(pub Bytes);

/// A long string that nobody may see: a password, or what is as good as one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(pub Bytes);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

macro_rules! long {
    ($type:ident) => {
        impl Field for $type {
            fn read(reader: &mut Reader, name: &'static str) -> Result<Self, Malformed> {
                reader.long_string(name).map(Self)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.long_string(&self.0);
            }

            #[cfg(test)]
            fn sample() -> Self {
                Self(Bytes::from_static(b"long"))
            }
        }
    };
}

long!(LongStr);
long!(Hidden);
