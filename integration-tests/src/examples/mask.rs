//! What of an example's output differs from run to run.

/// The words that are masked: what stands for them, what they are, and how they are known, by what stands before them on their line. Kept small:
/// what is masked is not compared.
const MASKS: &[(&str, &str, Is)] = &[
    (
        "‹id›",
        "a unique id: 32 hexadecimal digits",
        |_, word| is_unique_id(word),
    ),
    (
        "‹queue›",
        "a queue of one of the brokers: broker-a/3",
        |_, word| is_queue(word),
    ),
    (
        "‹offset›",
        "the number after \"at offset\": that of a queue which was chosen by chance",
        |before, word| before.ends_with("at offset ") && is_number(word),
    ),
    (
        "‹s›",
        "the number after \"later by\": a slow machine adds to it",
        |before, word| before.ends_with("later by ") && is_number(word),
    ),
    (
        "‹address›",
        "a port of this machine: 127.0.0.1:31876",
        |_, word| is_address(word),
    ),
    (
        "‹run›",
        "a name with the time in it: orders-1763712345678",
        |_, word| is_name_of_run(word),
    ),
    (
        "‹place›",
        "what follows \"stored as\": ledger, entry and partition of a Pulsar message",
        |before, word| before.ends_with("stored as ") && is_place(word),
    ),
    ("‹time›", "a time of day: 15:04:05", |_, word| {
        is_time(word)
    }),
    (
        "‹handle›",
        "a scheduled message's handle: one long token",
        |_, word| is_handle(word),
    ),
];

/// Whether a word is to be masked: what stands before it on its line, and the word.
type Is = fn(&str, &str) -> bool;

/// A line with its words masked; what is around a word (quotes, brackets, a comma) stays.
pub fn masked(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut at = 0;
    for part in line.split_inclusive(' ') {
        let (before, core) = (
            line.get(..at).unwrap_or_default(),
            part.trim_end().trim_matches(AROUND),
        );
        let found = MASKS
            .iter()
            .find(|(_, _, is)| !core.is_empty() && is(before, core));
        match found {
            Some((mask, ..)) => shown.push_str(&part.replace(core, mask)),
            None => shown.push_str(part),
        }
        at += part.len();
    }
    shown
}

fn is_unique_id(word: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    word.len() == 32 && word.chars().all(is_digit)
}

fn is_queue(word: &str) -> bool {
    let rest = word
        .strip_prefix("broker-")
        .and_then(|it| it.split_once('/'));
    rest.is_some_and(|(broker, queue)| broker.len() == 1 && is_number(queue))
}

fn is_address(word: &str) -> bool {
    word.strip_prefix("127.0.0.1:").is_some_and(is_number)
}

fn is_name_of_run(word: &str) -> bool {
    let time = word.rsplit_once('-').map(|(_, time)| time);
    time.is_some_and(|time| time.len() == 13 && is_number(time))
}

fn is_time(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    parts.len() == 3 && parts.iter().all(|part| part.len() == 2 && is_number(part))
}

fn is_place(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    let is_one = |part: &&str| is_number(part.strip_prefix('-').unwrap_or(part));
    (3..=4).contains(&parts.len()) && parts.iter().all(is_one)
}

fn is_handle(word: &str) -> bool {
    word.len() > 80
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

const AROUND: &[char] = &['"', '\'', '(', ')', ',', ';', '.', ':', '`'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_masked_and_nothing_else() {
        let handle = "Ab-_".repeat(30);
        for (line, shown) in [
            (
                "sent  7F000001397D4F3A6A2A679E39170000 to t",
                "sent  ‹id› to t",
            ),
            (
                "to broker-b/2, at offset 12, 3",
                "to ‹queue›, at offset ‹offset›, 3",
            ),
            ("message 3, later by 2 s", "message 3, later by ‹s› s"),
            ("at 3, to offset 0", "at 3, to offset 0"),
            ("(orders-1763712345678)", "(‹run›)"),
            ("at 127.0.0.1:30076; give", "at ‹address›; give"),
            ("at 15:04:05: due", "at ‹time›: due"),
            ("stored as 12:10:-1:3", "stored as ‹place›"),
            ("stored as 12:10", "stored as 12:10"),
            (&*format!("handle {handle}"), "handle ‹handle›"),
            (
                "broker-b/x order-7 7F00 1:2:3",
                "broker-b/x order-7 7F00 1:2:3",
            ),
            (
                "received message 2, key key-2",
                "received message 2, key key-2",
            ),
            ("", ""),
        ] {
            assert_eq!(masked(line), shown);
        }
    }
}
