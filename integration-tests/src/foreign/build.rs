//! Builds a foreign client once a machine, under a key of its sources.
//!
//! ```text
//!   integration-tests/foreign/java ──hash──► .brokers/foreign/java-<hash>/ {copy of the sources, target/…, built}
//! ```
//!
//! Two test processes may want it at once: the second waits at a lock and finds it done.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::{process::Command, time::timeout};

use super::Failure;

/// A client that can be built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// Of the directory below `foreign`, too.
    pub(super) name: &'static str,
    /// Commands, run in a copy of that directory one after the other.
    pub(super) steps: &'static [&'static [&'static str]],
}

pub(super) async fn build(client: Recipe) -> Result<PathBuf, Failure> {
    let name = client.name;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("foreign")
        .join(name);
    let files = files(&sources).map_err(|error| failure(client, &error))?;
    let root = root();
    let dir = root.join(format!("{name}-{:016x}", hash(&files)));
    if dir.join(MARK).exists() {
        return Ok(dir);
    }
    let _lock = lock(root.join(format!("{name}.lock")))
        .await
        .map_err(|e| failure(client, &e))?;
    if dir.join(MARK).exists() {
        return Ok(dir);
    }
    clear(&root, name)
        .and_then(|()| copy(&files, &dir))
        .map_err(|error| failure(client, &error))?;
    // Large, and seldom needed.
    Box::pin(run(client, &dir)).await?;
    fs::write(dir.join(MARK), "").map_err(|error| failure(client, &error))?;
    Ok(dir)
}

/// `.brokers` is where the broker launcher keeps its downloads too; git ignores it.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.brokers/foreign")
}

async fn run(client: Recipe, dir: &Path) -> Result<(), Failure> {
    for step in client.steps {
        let mut words = step.iter();
        let program = words.next().copied().unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(words)
            // The Go toolchain that is installed, or an error that says which is needed.
            .env("GOTOOLCHAIN", "local")
            .current_dir(dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        run_step(client, &mut command).await?;
    }
    Ok(())
}

async fn run_step(client: Recipe, command: &mut Command) -> Result<(), Failure> {
    let output = timeout(DEADLINE, command.output())
        .await
        .map_err(|_| Failure::Build(format!("building the {} client took too long", client.name)))?
        .map_err(|error| spawn_failure(command, &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Build(format!(
        "the {} client does not build: {}{}",
        client.name,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )))
}

/// Names the tool that is missing.
pub(super) fn spawn_failure(command: &Command, error: &io::Error) -> Failure {
    let tool = command.as_std().get_program().to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::Build(format!(
            "`{tool}` is missing: the foreign clients need JDK 17, Maven, Go 1.24 or newer, Python 3 with venv, Node.js and npm"
        ));
    }
    Failure::Build(format!("`{tool}` can't be started: {error}"))
}

fn failure(client: Recipe, error: &io::Error) -> Failure {
    Failure::Build(format!("building the {} client: {error}", client.name))
}

async fn lock(path: PathBuf) -> io::Result<File> {
    let wait = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(root())?;
        let file = File::create(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    wait.await.map_err(io::Error::other)?
}

/// Path below the source directory, and content, in order.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn files(sources: &Path) -> io::Result<Files> {
    let mut found = Vec::new();
    let mut dirs = vec![sources.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                // What a build by hand left.
                if !OUTPUT.iter().any(|name| entry.file_name() == *name) {
                    dirs.push(path);
                }
            } else {
                let below = path.strip_prefix(sources).map_err(io::Error::other)?;
                found.push((below.to_path_buf(), fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Not a secret and not for ever: a key for a cache, so the standard hasher will do.
fn hash(files: &Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (path, content) in files {
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write_u8(0);
        hasher.write_usize(content.len());
        hasher.write(content);
    }
    hasher.finish()
}

/// Removes what older sources, or a build that was interrupted, left behind.
fn clear(root: &Path, name: &str) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_build = entry
            .file_name()
            .to_string_lossy()
            .strip_prefix(&format!("{name}-"))
            // `cmq-java-tcp` is another client than `cmq-java`.
            .is_some_and(|key| !key.contains('-'));
        if is_build && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn copy(files: &Files, to: &Path) -> io::Result<()> {
    for (below, content) in files {
        let path = to.join(below);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

/// Steps that several clients share.
pub(super) const VENV: &[&str] = &["python3", "-m", "venv", "venv"];
pub(super) const PIP: &[&str] = &[
    "venv/bin/python",
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "-r",
    "requirements.txt",
];
pub(super) const MAVEN: &[&str] = &[
    "mvn",
    "-q",
    "-B",
    "--strict-checksums",
    "package",
    "dependency:copy-dependencies",
];
/// The program is `foreign-go`.
pub(super) const GO: &[&str] = &["go", "build", "-o", "foreign-go", "."];
/// A JVM that is up soon and takes little.
pub(super) const JAVA: [&str; 3] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx96m"];

const MARK: &str = "built";
const OUTPUT: &[&str] = &["target", "venv", "node_modules", "__pycache__"];
/// A cold download of the Java client and its tools took 20 s; the rest is for slow mirrors.
const DEADLINE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_covers_names_and_contents_but_no_build_output() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let key = || hash(&files(dir.path()).unwrap());
        write("src/a", "1");
        let first = key();
        write("target/a", "1");
        assert_eq!(key(), first);
        write("src/a", "2");
        let second = key();
        assert_ne!(second, first);
        fs::rename(dir.path().join("src/a"), dir.path().join("src/b")).unwrap();
        assert_ne!(key(), second);
    }

    #[tokio::test]
    async fn missing_tool_is_named() {
        let mut command = Command::new("no-such-tool-9c2");
        let error = command.spawn().unwrap_err();
        let Failure::Build(why) = spawn_failure(&command, &error) else {
            panic!("{error}")
        };
        assert!(why.contains("`no-such-tool-9c2` is missing"), "{why}");
    }
}
