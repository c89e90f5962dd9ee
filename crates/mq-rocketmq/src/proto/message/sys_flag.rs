//! The bits of a message that belong to the system.

use mq_core::decompress::Compression;

use crate::proto::Malformed;

/// A message's system bits.
// apache/rocketmq: MessageSysFlag
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SysFlag(pub i32);

/// A message's place in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// In none.
    None,
    /// Half: not to be delivered yet.
    Prepared,
    /// Committed.
    Committed,
    /// Rolled back.
    RolledBack,
}

impl SysFlag {
    /// The body is compressed.
    pub const COMPRESSED: Self = Self(1);
    /// The message has several tags.
    pub const MULTI_TAGS: Self = Self(1 << 1);
    /// The message is half a transaction.
    pub const PREPARED: Self = Self(1 << 2);
    /// The message is committed.
    pub const COMMITTED: Self = Self(1 << 3);
    /// The producer's address has 16 bytes.
    pub const BORN_HOST_V6: Self = Self(1 << 4);
    /// The broker's address has 16 bytes.
    pub const STORE_HOST_V6: Self = Self(1 << 5);
    /// The body is a batch that the client is to take apart.
    pub const NEED_UNWRAP: Self = Self(1 << 6);
    /// The body is a batch with one place in the queue's index.
    pub const INNER_BATCH: Self = Self(1 << 7);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These bits without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How the body is compressed, if it is.
    ///
    /// # Errors
    /// [`Malformed`] if it is compressed in a way that nobody has defined.
    pub fn compression(self) -> Result<Option<Compression>, Malformed> {
        if !self.contains(Self::COMPRESSED) {
            return Ok(None);
        }
        match (self.0 & COMPRESSION_MASK) >> COMPRESSION_SHIFT {
            // Before 5.0 there was only zlib, and no bits to say so.
            0 | 3 => Ok(Some(Compression::Zlib)),
            1 => Ok(Some(Compression::Lz4)),
            2 => Ok(Some(Compression::Zstd)),
            other => Err(Malformed::new(
                "sysFlag",
                36,
                format!("compression {other} is not defined"),
            )),
        }
    }

    /// These bits for a body compressed in this way, zlib with its number as Java 5 writes it.
    #[must_use]
    pub fn compressed(self, compression: Compression) -> Self {
        let kind = match compression {
            Compression::Lz4 => 1,
            Compression::Zstd => 2,
            _ => 3,
        };
        Self(self.0 & !COMPRESSION_MASK | kind << COMPRESSION_SHIFT).with(Self::COMPRESSED)
    }

    /// The message's place in a transaction.
    pub const fn transaction(self) -> Transaction {
        match self.0 & TRANSACTION_MASK {
            0 => Transaction::None,
            0x4 => Transaction::Prepared,
            0x8 => Transaction::Committed,
            _ => Transaction::RolledBack,
        }
    }

    /// Whether the body is a batch that the client is to take apart.
    pub const fn is_inner_batch(self) -> bool {
        self.contains(Self::INNER_BATCH) && self.contains(Self::NEED_UNWRAP)
    }

    /// Whether the producer's address has 16 bytes.
    pub const fn is_born_host_v6(self) -> bool {
        self.contains(Self::BORN_HOST_V6)
    }

    /// Whether the broker's address has 16 bytes.
    pub const fn is_store_host_v6(self) -> bool {
        self.contains(Self::STORE_HOST_V6)
    }

    pub(crate) const fn set_host_v6(self, born: bool, store: bool) -> Self {
        let both = Self::BORN_HOST_V6.with(Self::STORE_HOST_V6);
        let born = if born { Self::BORN_HOST_V6.0 } else { 0 };
        let store = if store { Self::STORE_HOST_V6.0 } else { 0 };
        Self(self.without(both).0 | born | store)
    }
}

const TRANSACTION_MASK: i32 = 0xC;
const COMPRESSION_SHIFT: i32 = 8;
const COMPRESSION_MASK: i32 = 0x7 << COMPRESSION_SHIFT;
