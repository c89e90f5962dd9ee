//! What the Justfile may be: names for plain commands, so that nobody needs `just`.

/// The number of recipes, and what of them can't be typed as it stands.
pub(crate) fn breaches(text: &str) -> (usize, Vec<String>) {
    let mut breaches = Vec::new();
    // Name, and how many commands it has.
    let mut recipes: Vec<(&str, usize)> = Vec::new();
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let at = format!("Justfile:{}", number + 1);
        if line.starts_with(char::is_whitespace) {
            if let Some((_, commands)) = recipes.last_mut() {
                *commands += 1;
            }
            breaches.extend(unplain(line.trim_start()).map(|what| format!("{at}: {what}")));
        } else if let Some(name) = line.strip_suffix(':').filter(|name| is_name(name)) {
            recipes.push((name, 0));
        } else {
            breaches.push(format!("{at}: more than a recipe's name"));
        }
    }
    for (name, commands) in recipes.iter().filter(|(_, commands)| *commands != 1) {
        breaches.push(format!("Justfile: {name}: {commands} commands"));
    }
    (recipes.len(), breaches)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// What a shell would not take, or would take for more than one command.
fn unplain(command: &str) -> Option<String> {
    let prefix = ["@", "-", "#!"].iter().find(|it| command.starts_with(**it));
    let inside = ["{{", "&&", "||", ";", "|", "\\"];
    let found = prefix.or_else(|| inside.iter().find(|it| command.contains(**it)));
    found.map(|found| format!("{found} in a recipe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_command_each() {
        let text = "# A comment.\nfmt:\n    cargo fmt\n\nsoak-it:\n    MQ_SOAK=1 cargo test -- --ignored\n";
        assert_eq!(breaches(text), (2, Vec::new()));
    }

    #[test]
    fn what_needs_just_or_is_more_than_one_is_named() {
        for (text, part) in [
            ("a:\n    one\n    two\n", "a: 2 commands"),
            ("a:\nb:\n    one\n", "a: 0 commands"),
            ("a target:\n    one\n", "more than a recipe's name"),
            ("a: b\n    one\n", "more than a recipe's name"),
            ("x := \"1\"\n", "more than a recipe's name"),
            ("a:\n    one {{x}}\n", "Justfile:2: {{ in"),
            ("a:\n    @one\n", "@ in"),
            ("a:\n    -one\n", "- in"),
            ("a:\n    one && two\n", "&& in"),
            ("a:\n    one; two\n", "; in"),
            ("a:\n    one | two\n", "| in"),
            ("a:\n    one \\\n    two\n", "\\ in"),
        ] {
            let (_, breaches) = breaches(text);
            assert!(
                breaches.iter().any(|it| it.contains(part)),
                "{text}: {breaches:?}"
            );
        }
    }
}
