//! How a key becomes a number, and so a partition: bit for bit as other clients do it, or a key would have two of them.

/// Java's hash of a string, without its sign (apache/pulsar: `JavaStringHash`). The default of Java's client.
pub fn java_string(key: &str) -> u32 {
    let hash = key.encode_utf16().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    hash & POSITIVE
}

/// Murmur3 of 32 bits with seed 0, without its sign (apache/pulsar: `Murmur3_32Hash`). Of a string, its UTF-8 is hashed.
pub fn murmur3(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks();
    let hash = words.iter().fold(0_u32, |hash, word| {
        (hash ^ mixed(u32::from_le_bytes(*word)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xE654_6B64)
    });
    let rest = rest
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u32::from(*byte));
    let mut hash = hash ^ mixed(rest) ^ super::wire::low(bytes.len() as u64);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ hash >> 13).wrapping_mul(0xC2B2_AE35);
    (hash ^ hash >> 16) & POSITIVE
}

const fn mixed(word: u32) -> u32 {
    word.wrapping_mul(0xCC9E_2D51)
        .rotate_left(15)
        .wrapping_mul(0x1B87_3593)
}

const POSITIVE: u32 = i32::MAX.cast_unsigned();
