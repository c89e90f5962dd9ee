//! What a run has started, on disk, so that the next one can end it.
//!
//! ```text
//!   .brokers/run/<run>/state.json   owner, whether it outlives the owner, processes
//!   .brokers/run/<run>/<server>/    ROCKETMQ_HOME, store and log of one server
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::process::{Identity, end_all};
use super::signals::Stop;
use super::{Context, Profile, Result};

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) profile: String,
    /// Where one asks whether it answers: a nameserver.
    #[serde(alias = "nameserver")]
    pub(super) endpoint: String,
    /// Who started it. Once it is gone the brokers are orphans, unless `detached`.
    pub(super) owner: Identity,
    /// Started by `up`: ended by `down`.
    pub(super) detached: bool,
    /// What `up` has printed, for the next one.
    #[serde(default)]
    pub(super) variables: Vec<(String, String)>,
    pub(super) servers: Vec<Recorded>,
}

/// One process of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) process: Identity,
}

impl State {
    pub(super) fn processes(&self) -> Vec<Identity> {
        self.servers.iter().map(|server| server.process).collect()
    }

    /// What was started, unless the profile is gone since.
    pub(super) fn profile(&self) -> Option<Profile> {
        Profile::named(&self.profile)
    }

    fn orphaned(&self) -> bool {
        !self.detached && !self.owner.alive()
    }
}

/// The directory of a run; clones share it, since every server of a run records itself.
#[derive(Debug, Clone)]
pub(super) struct Run {
    dir: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Run {
    /// Ends orphans of other runs, then makes a directory for this one.
    pub(super) fn create(
        home: &Path,
        profile: Profile,
        endpoint: &str,
        stop: &Stop,
    ) -> Result<Self> {
        let _lock = Lock::wait(&lock_file(home), stop)?;
        sweep_locked(home)?;
        let owner = Identity::of(std::process::id())?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = runs(home).join(format!("{profile}-{}-{}-{number}", owner.pid, owner.start));
        fs::create_dir_all(&dir).context(|| format!("cannot create {}", dir.display()))?;
        let state = State {
            profile: profile.name().to_owned(),
            endpoint: endpoint.to_owned(),
            owner,
            detached: false,
            variables: Vec::new(),
            servers: Vec::new(),
        };
        write(&dir, &state)?;
        Ok(Self {
            dir,
            state: Arc::new(Mutex::new(state)),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes down a process, in place of an earlier one of the same name.
    pub(super) fn record(&self, name: &str, process: Identity) -> Result<()> {
        self.change(|state| {
            state.servers.retain(|server| server.name != name);
            state.servers.push(Recorded {
                name: name.to_owned(),
                process,
            });
        })
    }

    /// Lets the processes outlive their owner.
    pub(super) fn detach(&self, variables: Vec<(String, String)>) -> Result<()> {
        self.change(|state| {
            state.detached = true;
            state.variables = variables;
        })
    }

    /// Ends what is recorded and removes the directory.
    pub(super) fn end(&self) {
        let processes = self.lock().processes();
        end_all(&processes);
        // A second remover is fine, and a file that stays is swept by the next run.
        let _ = fs::remove_dir_all(&self.dir);
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.lock();
        change(&mut state);
        write(&self.dir, &state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends orphans; returns how many runs that were.
pub(super) fn sweep(home: &Path, stop: &Stop) -> Result<usize> {
    let _lock = Lock::wait(&lock_file(home), stop)?;
    sweep_locked(home)
}

/// Every run on disk that is somebody's.
pub(super) fn list(home: &Path) -> Vec<State> {
    directories(home)
        .iter()
        .filter_map(|dir| read(dir))
        .collect()
}

/// Ends those runs that `up` left behind and that are meant; returns what they were.
pub(super) fn end_detached(
    home: &Path,
    meant: impl Fn(&State) -> bool,
    stop: &Stop,
) -> Result<Vec<State>> {
    let _lock = Lock::wait(&lock_file(home), stop)?;
    sweep_locked(home)?;
    let mut ended = Vec::new();
    for dir in directories(home) {
        if let Some(state) = read(&dir).filter(|state| state.detached && meant(state)) {
            end_all(&state.processes());
            fs::remove_dir_all(&dir).context(|| format!("cannot remove {}", dir.display()))?;
            ended.push(state);
        }
    }
    Ok(ended)
}

fn sweep_locked(home: &Path) -> Result<usize> {
    let mut ended = 0;
    for dir in directories(home) {
        // Directories are made under the lock, state first: one without is a half-removed run.
        let state = read(&dir);
        if state.as_ref().is_some_and(|state| !state.orphaned()) {
            continue;
        }
        end_all(&state.map(|state| state.processes()).unwrap_or_default());
        fs::remove_dir_all(&dir).context(|| format!("cannot remove {}", dir.display()))?;
        ended += 1;
    }
    Ok(ended)
}

fn directories(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(runs(home)) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

fn read(dir: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(dir.join("state.json")).ok()?).ok()
}

/// Replaced by a rename, so that it is whole at any time.
fn write(dir: &Path, state: &State) -> Result<()> {
    let (new, path) = (dir.join("state.json.new"), dir.join("state.json"));
    let text = serde_json::to_vec_pretty(state).context(|| "cannot encode the state".to_owned())?;
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, &path))
        .context(|| format!("cannot write {}", path.display()))
}

fn runs(home: &Path) -> PathBuf {
    home.join("run")
}

fn lock_file(home: &Path) -> PathBuf {
    home.join("state.lock")
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

#[cfg(test)]
mod tests {
    use std::process::Child;

    use super::*;
    use crate::brokers::process;

    /// Stands for a broker of a launcher that was killed: `owner` decides.
    fn left_behind(home: &Path, owner: Identity, detached: bool, process: Identity) -> PathBuf {
        let dir = runs(home).join(format!("rocketmq-{}-{}", process.pid, process.start));
        fs::create_dir_all(&dir).unwrap();
        let servers = vec![Recorded {
            name: "broker-a".into(),
            process,
        }];
        let (profile, endpoint) = ("rocketmq".into(), "127.0.0.1:1".into());
        write(
            &dir,
            &State {
                profile,
                endpoint,
                owner,
                detached,
                variables: Vec::new(),
                servers,
            },
        )
        .unwrap();
        dir
    }

    fn sleeper() -> (Child, Identity) {
        let child = process::sleeper();
        let identity = Identity::of(child.id()).unwrap();
        (child, identity)
    }

    fn me() -> Identity {
        Identity::of(std::process::id()).unwrap()
    }

    fn dead() -> Identity {
        Identity {
            start: me().start + 1,
            ..me()
        }
    }

    #[test]
    fn the_next_run_ends_what_a_killed_launcher_left() {
        let home = tempfile::tempdir().unwrap();
        let (mut child, broker) = sleeper();
        let dir = left_behind(home.path(), dead(), false, broker);
        let run = Run::create(
            home.path(),
            Profile::Rocketmq,
            "127.0.0.1:1",
            &Stop::default(),
        )
        .unwrap();
        assert!(!broker.alive() && !dir.exists() && run.dir().exists());
        child.wait().unwrap();
        run.end();
        assert!(!run.dir().exists());
    }

    #[test]
    fn a_living_owner_and_a_detached_run_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let (mut one, owned) = sleeper();
        let (mut two, detached) = sleeper();
        left_behind(home.path(), me(), false, owned);
        left_behind(home.path(), dead(), true, detached);
        assert_eq!(sweep(home.path(), &Stop::default()).unwrap(), 0);
        assert!(owned.alive() && detached.alive());
        assert_eq!(list(home.path()).len(), 2);
        let end = |meant| {
            let ended = end_detached(home.path(), |_| meant, &Stop::default());
            ended.unwrap().len()
        };
        assert_eq!(end(false), 0);
        assert!(detached.alive());
        assert_eq!(end(true), 1);
        assert!(owned.alive() && !detached.alive());
        end_all(&[owned]);
        one.wait().unwrap();
        two.wait().unwrap();
    }

    #[test]
    fn a_reused_process_id_is_not_ended() {
        let home = tempfile::tempdir().unwrap();
        let (mut child, now) = sleeper();
        let before = Identity {
            start: now.start - 1,
            ..now
        };
        let dir = left_behind(home.path(), dead(), false, before);
        assert_eq!(sweep(home.path(), &Stop::default()).unwrap(), 1);
        assert!(now.alive() && !dir.exists());
        end_all(&[now]);
        child.wait().unwrap();
    }

    #[test]
    fn a_restarted_server_replaces_its_record() {
        let home = tempfile::tempdir().unwrap();
        let run = Run::create(
            home.path(),
            Profile::Rocketmq,
            "127.0.0.1:1",
            &Stop::default(),
        )
        .unwrap();
        run.record("broker-a", dead()).unwrap();
        run.record(
            "broker-a",
            Identity {
                pid: i32::MAX,
                start: 7,
            },
        )
        .unwrap();
        let variables = vec![("MQ_ROCKETMQ_URL".to_owned(), "it".to_owned())];
        run.detach(variables.clone()).unwrap();
        let state = read(run.dir()).unwrap();
        assert!(state.detached);
        assert_eq!(state.variables, variables);
        assert_eq!(
            state.processes(),
            [Identity {
                pid: i32::MAX,
                start: 7
            }]
        );
        run.end();
    }
}
