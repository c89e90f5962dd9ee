//! Records the two scheduled-message programs of Huawei's developer guide (section 3.4), as they are printed there, with the client that the
//! guide recommends (4.9.8).
//!
//! ```text
//!   DIR/send/ScheduledMessageProducer1.java    ─► javac ─► java ─► recording proxy ─► nameserver, brokers
//!   DIR/cancel/ScheduledMessageProducer1.java                └─► crates/mq-rocketmq/tests/fixtures/java-4.9.8/310-dms-{send,cancel}-request.hex
//! ```
//!
//! Only the nameserver's address is replaced. The programs themselves are Huawei's and not kept here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mq_dev::proxy::Proxy;

use super::{Result, finished, fixtures};

pub(super) async fn record(nameserver: &str, programs: &Path) -> Result<()> {
    let lib = dependencies(programs)?;
    for which in ["send", "cancel"] {
        let proxy = Proxy::builder(nameserver).record(true).start().await?;
        let source = fs::read_to_string(programs.join(which).join(format!("{PROGRAM}.java")))?;
        let source = source.replace(ADDRESS, &proxy.addr().to_string());
        let dir = programs.join(which).join("built");
        let class_path = lib.join("*").display().to_string();
        tokio::task::spawn_blocking(move || compile_and_run(&dir, &source, &class_path)).await??;
        let transcript = finished(proxy).await?;
        let sends = transcript
            .iter()
            .filter(|frame| frame.header.code == SEND_V2 && !frame.header.flags.is_response());
        // The second program schedules a message first.
        let last = sends.last().ok_or("the program sent nothing")?;
        fixtures::save_dms(which, &last.frame)?;
    }
    Ok(())
}

/// The client and what it needs, in a directory.
fn dependencies(work: &Path) -> Result<PathBuf> {
    fs::write(work.join("pom.xml"), POM)?;
    let mut mvn = Command::new("mvn");
    mvn.args(["-q", "-B", "dependency:copy-dependencies"])
        .arg("-DoutputDirectory=lib")
        .current_dir(work);
    run(&mut mvn)?;
    Ok(work.join("lib"))
}

fn compile_and_run(dir: &Path, source: &str, class_path: &str) -> Result<(), String> {
    let file = dir.join(format!("{PROGRAM}.java"));
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&file, source))
        .map_err(|error| error.to_string())?;
    let mut javac = Command::new("javac");
    javac.args(["-cp", class_path, "-d"]).arg(dir).arg(&file);
    run(&mut javac)?;
    let class_path = format!("{}:{class_path}", dir.display());
    let mut java = Command::new("java");
    java.arg(format!("-Duser.home={}", dir.display()))
        .args(["-cp", &class_path, PROGRAM]);
    run(&mut java)
}

fn run(command: &mut Command) -> Result<(), String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{what} can't be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{what} failed: {told}"))
}

const PROGRAM: &str = "ScheduledMessageProducer1";
/// As the guide prints it.
const ADDRESS: &str = "192.168.0.1:8100";
const SEND_V2: i32 = 310;
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mq.foreign</groupId>
  <artifactId>dms</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.rocketmq</groupId>
      <artifactId>rocketmq-client</artifactId>
      <version>4.9.8</version>
    </dependency>
  </dependencies>
</project>
"#;
