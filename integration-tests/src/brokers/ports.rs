//! Chooses a block of free ports below the ephemeral range, across threads and processes.
//!
//! ```text
//!   base       +12 +14 +15     +22 +24 +25
//!   nameserver  broker-a        broker-b      (a broker takes listenPort, -2 and +1)
//! ```

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::lock::Lock;
use super::signals::Stop;
use super::{Error, Result};

/// A block that belongs to this process until dropped, whether its brokers run or not.
#[derive(Debug)]
pub(super) struct Block {
    base: u16,
    _lock: Lock,
}

impl Block {
    /// Takes the block at `preferred` if it is free, else another one.
    ///
    /// The locks lie in the temporary directory rather than in the workspace, since two checkouts
    /// share the machine's ports.
    pub(super) fn choose(preferred: u16, stop: &Stop) -> Result<Self> {
        Self::choose_in(
            &std::env::temp_dir().join("mq-brokers-ports"),
            preferred,
            stop,
        )
    }

    fn choose_in(dir: &Path, preferred: u16, stop: &Stop) -> Result<Self> {
        let _choosing = Lock::wait(&dir.join("choosing"), stop)?;
        for base in std::iter::once(preferred).chain(POOL.step_by(usize::from(SIZE))) {
            let Some(lock) = Lock::attempt(&dir.join(base.to_string()))? else {
                continue;
            };
            if free(base) {
                return Ok(Self { base, _lock: lock });
            }
        }
        Err(Error::new(format!(
            "no free block of ports between {} and {}: `brokers status` shows what runs",
            POOL.start, POOL.end
        )))
    }

    pub(super) fn base(&self) -> u16 {
        self.base
    }
}

/// The listenPort of the broker at `index`, in a block that starts at `base`.
pub(super) fn broker_port(base: u16, index: usize) -> u16 {
    base + 14 + 10 * u16::try_from(index).unwrap_or(0)
}

/// Whether each port of the block can be bound: what another program took is skipped.
fn free(base: u16) -> bool {
    let brokers = (0..2).map(|index| broker_port(base, index));
    let ports = brokers.flat_map(|port| [port - 2, port, port + 1]);
    // Kept until all are bound. All addresses: a broker's HA port does not heed bindAddress.
    let bound: Result<Vec<_>, _> = std::iter::once(base)
        .chain(ports)
        .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
        .collect();
    bound.is_ok()
}

const SIZE: u16 = 40;
const POOL: std::ops::Range<u16> = 30_116..31_716;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::Profile;

    #[test]
    fn a_block_is_chosen_once_and_freed_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        // Not a profile's base: brokers may run beside this test.
        let first = Block::choose_in(dir.path(), 29_000, &stop).unwrap();
        let second = Block::choose_in(dir.path(), 29_000, &stop).unwrap();
        assert_eq!(first.base(), 29_000);
        assert_ne!(second.base(), 29_000);
        drop(first);
        assert_eq!(
            Block::choose_in(dir.path(), 29_000, &stop).unwrap().base(),
            29_000
        );
    }

    #[test]
    fn a_block_with_one_port_in_use_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let vip = broker_port(29_100, 1) - 2;
        let _foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, vip)).unwrap();
        assert_ne!(
            Block::choose_in(dir.path(), 29_100, &Stop::default())
                .unwrap()
                .base(),
            29_100
        );
    }

    #[test]
    fn blocks_do_not_overlap_and_stay_below_the_ephemeral_range() {
        let mut bases: Vec<u16> = Profile::ALL.iter().map(|p| p.spec().base_port).collect();
        bases.extend(POOL.step_by(usize::from(SIZE)));
        bases.sort_unstable();
        assert!(bases.windows(2).all(|pair| pair[0] + SIZE <= pair[1]));
        assert!(bases.last().unwrap() + SIZE < 32_768);
        assert!(broker_port(0, 1) + 1 < SIZE);
    }
}
