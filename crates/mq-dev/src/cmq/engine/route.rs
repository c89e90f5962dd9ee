//! Which routing keys a binding key matches.

/// Words with dots between; in the pattern `*` is one word that is not empty, `#` any number of words, none too.
///
/// Source: Tencent Cloud, product 406, document 8127.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = key.split('.').collect();
    let (mut at, mut word) = (0, 0);
    // Where the last `#` stands, and how many words it has taken: as long as it can take more, nothing is lost.
    let mut open: Option<(usize, usize)> = None;
    while let Some(have) = key.get(word) {
        match pattern.get(at) {
            Some(&"#") => {
                open = Some((at, word));
                at += 1;
            }
            Some(want) if want == have || (*want == "*" && !have.is_empty()) => {
                at += 1;
                word += 1;
            }
            _ => {
                let Some((hash, taken)) = open else {
                    return false;
                };
                open = Some((hash, taken + 1));
                at = hash + 1;
                word = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == "#")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_documents() {
        for (pattern, key, expected) in [
            ("1.#.0", "1.0", true),
            ("1.#.0", "1.2.3.4.4.2.2.0", true),
            ("1.#.0", "1.2.3", false),
            ("1.*.0", "1.2.0", true),
            ("1.*.0", "1.0", false),
            ("1.*.0", "1..0", false),
            ("#", "", true),
            ("#", "a.b", true),
            ("a.b.c", "a.b.c", true),
            ("a.b.c", "a.b", false),
            ("a.b", "a.b.c", false),
            ("*", "a.b", false),
            ("#.b", "b.b.b", true),
            ("#.#", "x", true),
            ("#.a.*.#", "z.a.b", true),
            ("#.a.*.#", "z.a", false),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} {key}");
        }
    }

    /// As it is said: by recursion.
    fn said(pattern: &[String], key: &[String]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((first, rest)), _) if first == "#" => {
                (0..=key.len()).any(|taken| said(rest, &key[taken..]))
            }
            (Some((first, rest)), Some((word, words))) => {
                (first == word || (first == "*" && !word.is_empty())) && said(rest, words)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_what_is_said(
            pattern in proptest::collection::vec("[ab*#]|", 1..7),
            key in proptest::collection::vec("[ab]|", 1..7),
        ) {
            let expected = said(&pattern, &key);
            prop_assert_eq!(matches(&pattern.join("."), &key.join(".")), expected, "{:?} {:?}", pattern, key);
        }
    }
}
