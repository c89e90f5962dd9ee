//! The file: what is in it, what it survives, and what is refused.

use tempfile::TempDir;

use super::*;

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn group(name: &str) -> Arc<str> {
    name.into()
}

fn queue(topic: &str, id: i32) -> QueueId {
    QueueId {
        topic: topic.into(),
        broker: "b".into(),
        id,
    }
}

fn table(next: i64) -> Table {
    [(queue("ns%t", 0), next), (queue("ns%t", 1), 0)].into()
}

fn refusal(dir: &TempDir) -> String {
    let error = OffsetFile::open(dir.path(), &group("g")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.retry(), Retry::Never);
    format!("{error:#}")
}

#[test]
fn what_was_written_is_read_and_the_layout_is_the_documented_one() {
    let dir = dir();
    let (file, empty) = OffsetFile::open(&dir.path().join("made"), &group("ns%g")).unwrap();
    assert!(empty.is_empty());
    file.write(&table(17)).unwrap();
    let path = dir.path().join("made/offsets-ns@g.json");
    let text: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let wanted = serde_json::json!({
        "version": 1, "group": "ns%g", "offsets": {"ns%t": {"b": {"0": 17, "1": 0}}}
    });
    assert_eq!(text, wanted);
    drop(file);
    let (_, read) = OffsetFile::open(&dir.path().join("made"), &group("ns%g")).unwrap();
    assert_eq!(read, table(17));
}

#[test]
fn a_crash_before_the_rename_leaves_the_file_that_was() {
    let dir = dir();
    let (file, _) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    file.write(&table(5)).unwrap();
    drop(file);
    // Half a file, as a crash in the middle of writing leaves it; and before there was any other.
    let next = dir.path().join("offsets-g.json.tmp");
    fs::write(&next, "{\"version\": 1, \"gro").unwrap();
    let (file, read) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    assert_eq!(read, table(5));
    file.write(&table(6)).unwrap();
    drop(file);
    assert!(!next.exists(), "it has become the file");
    assert_eq!(
        OffsetFile::open(dir.path(), &group("g")).unwrap().1,
        table(6)
    );

    fs::remove_file(dir.path().join("offsets-g.json")).unwrap();
    fs::write(&next, "{").unwrap();
    assert!(
        OffsetFile::open(dir.path(), &group("g"))
            .unwrap()
            .1
            .is_empty()
    );
}

#[test]
fn what_can_not_be_understood_is_refused_and_stays_as_it_is() {
    let cases = [
        ("", "are damaged"),
        ("{\"version\": 1, \"group\": \"g\", \"offs", "are damaged"),
        ("[]", "are damaged"),
        (
            "{\"version\": 1, \"group\": \"g\"}",
            "missing field `offsets`",
        ),
        (
            "{\"version\": 1, \"group\": \"g\", \"offsets\": {}, \"more\": 1}",
            "unknown field `more`",
        ),
        (
            "{\"version\": 1, \"group\": \"g\", \"offsets\": {\"t\": {\"b\": {\"0\": -1}}}}",
            "one of them is -1",
        ),
        ("{\"version\": 2, \"more\": 1}", "is of version 2"),
        (
            "{\"version\": 1, \"group\": \"G\", \"offsets\": {}}",
            "is of the group \"G\"",
        ),
    ];
    for (text, part) in cases {
        let dir = dir();
        let path = dir.path().join("offsets-g.json");
        fs::write(&path, text).unwrap();
        let refusal = refusal(&dir);
        assert!(refusal.contains(part), "{text}: {refusal}");
        assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn what_can_not_be_read_is_refused() {
    let dir = dir();
    fs::create_dir(dir.path().join("offsets-g.json")).unwrap();
    assert!(refusal(&dir).contains("can't be read"));

    let other = self::dir();
    let path = other.path().join("a file");
    fs::write(&path, "").unwrap();
    let error = OffsetFile::open(&path, &group("g"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("can't be made") && error.contains("a file"),
        "{error}"
    );
    OffsetFile::open(Path::new(""), &group("g")).unwrap_err();
}

#[test]
fn who_is_about_to_leave_the_file_is_waited_for() {
    let dir = dir();
    let (first, _) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    let leaving = std::thread::spawn(move || {
        std::thread::sleep(LOCK_PAUSE * 5);
        drop(first);
    });
    OffsetFile::open(dir.path(), &group("g")).unwrap();
    leaving.join().unwrap();
}

#[test]
fn one_at_a_time_has_the_file() {
    let dir = dir();
    let (first, _) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    let refusal = refusal(&dir);
    assert!(
        refusal.contains("another consumer uses") && refusal.contains("offsets-g.json"),
        "{refusal}"
    );
    // The file may be replaced meanwhile: the lock is not in it.
    first.write(&table(1)).unwrap();
    assert!(self::refusal(&dir).contains("another consumer uses"));
    OffsetFile::open(dir.path(), &group("h")).expect("another group has another file");
    drop(first);
    assert_eq!(
        OffsetFile::open(dir.path(), &group("g")).unwrap().1,
        table(1)
    );
}

/// Whatever a group may be called: a name that file systems take, and no two the same.
#[test]
fn every_group_has_a_file_name_of_its_own() {
    let longest = "%".repeat(120);
    let groups = [
        "g", "-g", "ns%g", "ns|g", "a|b%c", "a%b|c", "CON", "%RETRY%x", &longest,
    ];
    let names: std::collections::BTreeSet<_> =
        groups.iter().map(|group| file_name(group)).collect();
    assert_eq!(names.len(), groups.len());
    for name in &names {
        assert!(name.len() < 200 && name.starts_with("offsets-"), "{name}");
        let ordinary = |c: char| c.is_ascii_alphanumeric() || "-_@+.".contains(c);
        assert!(name.chars().all(ordinary), "{name}");
    }
    let dir = dir();
    let group = group(&longest);
    let (file, _) = OffsetFile::open(dir.path(), &group).unwrap();
    file.write(&table(3)).unwrap();
}

#[test]
fn a_write_that_fails_says_why_and_leaves_the_file_that_was() {
    let dir = dir();
    let (file, _) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    file.write(&table(1)).unwrap();
    // Whoever runs this, root included, can't write to a directory.
    let next = dir.path().join("offsets-g.json.tmp");
    fs::create_dir(&next).unwrap();
    let error = file.write(&table(2)).unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Invalid, Retry::Later)
    );
    let text = format!("{error:#}");
    assert!(
        text.contains("offsets-g.json") && text.contains("irectory"),
        "{text}"
    );
    fs::remove_dir(&next).unwrap();
    drop(file);
    let (file, read) = OffsetFile::open(dir.path(), &group("g")).unwrap();
    assert_eq!(read, table(1));
    file.write(&table(2)).unwrap();
}
