//! What no file may say: where the writer's machine keeps things, or which host a package came from.

use crate::tree::File;

/// The lines that name a directory of a machine or the host of a package registry.
pub(crate) fn breaches(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for word in HOSTS.iter().filter(|host| line.contains(**host)) {
                breaches.push(format!(
                    "{}:{}: names the host {word}",
                    file.path,
                    number + 1
                ));
            }
            for word in DIRECTORIES
                .iter()
                .filter(|directory| names(line, directory))
            {
                breaches.push(format!(
                    "{}:{}: names the directory {word}",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    breaches
}

/// Whether `line` holds `directory` as the beginning of a path.
fn names(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + directory.len()..).unwrap_or_default();
        let inside = before.is_some_and(|it| it.is_alphanumeric() || "._-}~*".contains(it));
        !inside && !IN_IMAGES.iter().any(|home| after.starts_with(home))
    })
}

// Split, so that this file passes its own check.
const DIRECTORIES: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// The home directory inside the official container image.
const IN_IMAGES: &[&str] = &["rocketmq/"];

const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("maven", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("npmjs", ".org"),
    concat!("goproxy", ".cn"),
    concat!("rsproxy", ".cn"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        breaches(&[File {
            path: "x".into(),
            text: text.into(),
        }])
        .len()
    }

    #[test]
    fn a_directory_of_a_machine_is_found() {
        for directory in DIRECTORIES {
            assert_eq!(
                found(&format!("see {directory}notes.txt")),
                1,
                "{directory}"
            );
        }
    }

    #[test]
    fn a_directory_of_the_project_or_of_an_image_is_not() {
        let [_, home, _, work] = DIRECTORIES else {
            unreachable!()
        };
        assert_eq!(found(&format!("target{work}x")), 0);
        assert_eq!(found(&format!("- ./conf:{home}rocketmq/conf")), 0);
    }

    #[test]
    fn a_registry_is_found_on_its_line() {
        for host in HOSTS {
            let text = format!("one\nhttps://{host}/x");
            let breaches = breaches(&[File {
                path: "x".into(),
                text,
            }]);
            assert!(
                breaches.iter().any(|it| it.starts_with("x:2: ")),
                "{host}: {breaches:?}"
            );
        }
    }
}
