//! Chooses a block of free ports below the ephemeral range, across threads and processes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::lock::Lock;
use super::profile::Plan;
use super::signals::Stop;
use super::{Error, Result};

/// A block that belongs to this process until dropped, whether its brokers run or not.
#[derive(Debug)]
pub(super) struct Block {
    base: u16,
    _lock: Lock,
}

/// The ports that are taken of a block which starts there.
pub(super) type Ports = fn(u16) -> Vec<u16>;

impl Block {
    /// Takes the plan's own block if it is free, else another one.
    ///
    /// The locks lie in the temporary directory rather than in the workspace, since two checkouts
    /// share the machine's ports.
    pub(super) fn choose(plan: Plan, stop: &Stop) -> Result<Self> {
        let (preferred, ports) = plan.block();
        let locks = std::env::temp_dir().join("mq-brokers-ports");
        Self::choose_in(&locks, preferred, ports, stop)
    }

    fn choose_in(dir: &Path, preferred: u16, ports: Ports, stop: &Stop) -> Result<Self> {
        let _choosing = Lock::wait(&dir.join("choosing"), stop)?;
        for base in std::iter::once(preferred).chain(POOL.step_by(usize::from(SIZE))) {
            let Some(lock) = Lock::attempt(&dir.join(base.to_string()))? else {
                continue;
            };
            if free(ports(base)) {
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

/// Whether each of the ports can be bound: what another program took is skipped.
fn free(ports: Vec<u16>) -> bool {
    // Kept until all are bound. All addresses: RocketMQ's HA port does not heed bindAddress.
    let bound: Result<Vec<_>, _> = ports
        .into_iter()
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

    fn two(base: u16) -> Vec<u16> {
        vec![base, base + 22]
    }

    #[test]
    fn a_block_is_chosen_once_and_freed_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        // Not a profile's base: brokers may run beside this test.
        let choose = || Block::choose_in(dir.path(), 29_000, two, &stop).unwrap();
        let (first, second) = (choose(), choose());
        assert_eq!(first.base(), 29_000);
        assert_ne!(second.base(), 29_000);
        drop(first);
        assert_eq!(choose().base(), 29_000);
    }

    #[test]
    fn a_block_with_one_port_in_use_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let _foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, two(29_100)[1])).unwrap();
        let block = Block::choose_in(dir.path(), 29_100, two, &Stop::default()).unwrap();
        assert_ne!(block.base(), 29_100);
    }

    #[test]
    fn blocks_do_not_overlap_and_stay_below_the_ephemeral_range() {
        let plans = || Profile::ALL.into_iter().map(Profile::plan);
        let mut bases: Vec<u16> = plans().map(|plan| plan.block().0).collect();
        bases.extend(POOL.step_by(usize::from(SIZE)));
        bases.sort_unstable();
        assert!(bases.windows(2).all(|pair| pair[0] + SIZE <= pair[1]));
        assert!(bases.last().unwrap() + SIZE < 32_768);
        for (base, ports) in plans().map(Plan::block) {
            let block = base..base + SIZE;
            assert!(ports(base).iter().all(|port| block.contains(port)));
        }
    }
}
