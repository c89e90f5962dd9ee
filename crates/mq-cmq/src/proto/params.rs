//! The parameters of a request: pairs of key and value, in the order in which they are added.

use std::borrow::Cow;

use super::Malformed;

/// One parameter.
pub type Param<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a request. A key occurs once; lists are `name.0`, `name.1`, ….
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params<'a>(Vec<Param<'a>>);

impl<'a> Params<'a> {
    /// No parameters yet.
    pub fn new() -> Self {
        Self(Vec::with_capacity(16))
    }

    /// Adds a text. An empty one is kept: it is signed, too.
    pub fn text(&mut self, key: &'static str, value: impl Into<Cow<'a, str>>) {
        self.0.push((key.into(), value.into()));
    }

    /// Adds a text, if there is one.
    pub fn text_if(&mut self, key: &'static str, value: Option<&'a str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// Adds a number.
    pub fn number(&mut self, key: &'static str, value: impl Into<u64>) {
        self.text(key, value.into().to_string());
    }

    /// Adds a number, if there is one.
    pub fn number_if(&mut self, key: &'static str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// Adds a list, counted from 0.
    pub fn list(&mut self, name: &str, values: impl IntoIterator<Item = &'a str>) {
        for (at, value) in values.into_iter().enumerate() {
            self.0.push((format!("{name}.{at}").into(), value.into()));
        }
    }

    /// The pairs, in the order in which they were added.
    pub fn pairs(&self) -> &[Param<'a>] {
        &self.0
    }
}

/// Reads the list `name.n` out of parameters in any order: by the *number* n, so that `msgBody.10` comes behind `msgBody.2`.
///
/// CMQ's clients count from 0 or from 1.
///
/// # Errors
///
/// An index is no number, occurs twice, or is missing (4000/10380 is the service's answer to that).
pub fn list<'p, K: AsRef<str>, V: AsRef<str>>(
    pairs: &'p [(K, V)],
    name: &str,
) -> Result<Vec<&'p str>, Malformed> {
    let mut found: Vec<(u32, &str)> = Vec::new();
    for (key, value) in pairs {
        let Some(index) = key
            .as_ref()
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let index = index
            .parse()
            .map_err(|_| Malformed::new(format!("an index of {name} is not a number")))?;
        found.push((index, value.as_ref()));
    }
    found.sort_by_key(|(index, _)| *index);
    let first = found.first().map_or(0, |(index, _)| *index);
    // Asked first: counting up from the largest number there is would overflow.
    let consecutive = first <= 1
        && (first..)
            .zip(&found)
            .all(|(want, (index, _))| want == *index);
    if !consecutive {
        return Err(Malformed::new(format!(
            "the indices of {name} are not consecutive"
        )));
    }
    Ok(found.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_count_from_0_and_keep_empty_values() {
        let mut params = Params::new();
        params.text("routingKey", "");
        params.list("msgBody", ["a", ""]);
        let pairs: Vec<_> = params
            .pairs()
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
            .collect();
        assert_eq!(
            pairs,
            [("routingKey", ""), ("msgBody.0", "a"), ("msgBody.1", "")]
        );
    }

    #[test]
    fn a_list_is_read_by_number_from_0_or_1() {
        for base in [0_u32, 1] {
            // In the order of the string to sign: 0, 1, 10, 11, 2, ….
            let mut pairs: Vec<(String, String)> = (base..base + 12)
                .map(|at| (format!("msgBody.{at}"), at.to_string()))
                .collect();
            pairs.sort();
            let values: Vec<String> = (base..base + 12).map(|at| at.to_string()).collect();
            assert_eq!(list(&pairs, "msgBody").unwrap(), values);
        }
    }

    #[test]
    fn a_gap_a_double_and_a_word_are_refused() {
        for keys in [
            &["m.0", "m.2"][..],
            &["m.2", "m.3"],
            &["m.0", "m.0"],
            &["m.x"],
            &["m."],
            &["m.4294967295", "m.0"],
            &["m.4294967295"],
        ] {
            let pairs: Vec<_> = keys.iter().map(|key| (*key, "")).collect();
            assert!(list(&pairs, "m").is_err(), "{keys:?}");
        }
        assert!(
            list::<&str, &str>(&[("message", "x")], "m")
                .unwrap()
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn a_list_comes_back(values in proptest::collection::vec(".*", 0..20)) {
            let mut params = Params::new();
            params.text("a", "b");
            params.list("msgBody", values.iter().map(String::as_str));
            prop_assert_eq!(list(params.pairs(), "msgBody").unwrap(), values.clone());
        }
    }
}
