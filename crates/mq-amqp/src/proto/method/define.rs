//! One list of methods, from which their types, their reading and their writing follow.

/// Makes a type of each method, and `Method` of them all.
macro_rules! methods {
    ($($class:ident = $class_id:literal {$(
        $(#[$about:meta])*
        $name:ident = $id:literal { $($field:ident : $kind:ty),* $(,)? }
    )*})*) => {
        use bytes::{Bytes, BytesMut};
        use bytestring::ByteString;

        use super::Malformed;
        use super::reader::Reader;
        use super::writer::Writer;
        use self::field::Field as _;

        $($(
            $(#[$about])*
            #[derive(Debug, Clone, PartialEq)]
            #[allow(missing_docs, clippy::struct_excessive_bools, reason = "the fields are the protocol's")]
            pub struct $name { $(pub $field: $kind),* }

            impl From<$name> for Method {
                fn from(method: $name) -> Self {
                    Self::$name(method)
                }
            }
        )*)*

        /// A method with its fields.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "methods live as long as it takes to handle them")]
        pub enum Method {
            $($($(#[$about])* $name($name),)*)*
        }

        impl Method {
            /// Reads the payload of a method frame.
            ///
            /// # Errors
            /// [`Malformed`] for a method that is not known, and for fields that don't fit.
            pub fn decode(payload: Bytes) -> Result<Self, Malformed> {
                let mut reader = Reader::new(payload);
                let class = reader.u16("class id")?;
                let method = reader.u16("method id")?;
                match (class, method) {
                    $($(
                        ($class_id, $id) => {
                            $(let $field = <$kind>::read(&mut reader, stringify!($field))?;)*
                            Ok(Self::$name($name { $($field),* }))
                        }
                    )*)*
                    _ => Err(Malformed::new("method", format!("there is no {class}.{method}"))),
                }
            }

            /// Appends the payload of a method frame.
            pub fn encode(&self, out: &mut BytesMut) {
                let mut writer = Writer::new(out);
                match self {
                    $($(
                        Self::$name(method) => {
                            let $name { $($field),* } = method;
                            writer.u16($class_id);
                            writer.u16($id);
                            $($field.write(&mut writer);)*
                        }
                    )*)*
                }
                writer.end_bits();
            }

            /// The ids of class and method.
            pub const fn id(&self) -> (u16, u16) {
                match self {
                    $($(Self::$name(_) => ($class_id, $id),)*)*
                }
            }

            /// Class and method, as in `queue.declare` but for the letters' case: `queue.QueueDeclare`.
            pub const fn name(&self) -> &'static str {
                match self {
                    $($(Self::$name(_) => concat!(stringify!($class), ".", stringify!($name)),)*)*
                }
            }

            /// One of each, with fields that are empty; for tests.
            #[cfg(test)]
            pub(crate) fn every() -> Vec<Self> {
                vec![$($(Self::$name($name { $($field: <$kind as field::Field>::sample()),* }),)*)*]
            }
        }
    };
}
