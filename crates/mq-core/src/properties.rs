//! The string properties of a message, in the order they were set.

use std::{collections::HashMap, fmt};

/// A small ordered map of text to text.
///
/// Messages carry a handful of properties, so lookups walk a list; order is kept because brokers store it.
///
/// # Examples
/// ```
/// let mut properties = mq_core::Properties::new();
/// properties.set("colour", "red");
/// properties.set("colour", "blue");
/// assert_eq!(properties.get("colour"), Some("blue"));
/// assert_eq!(properties.len(), 1);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `key`, if it is set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Sets `key`, in place of an earlier value if there is one, and answers that value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        let (key, value) = (key.into(), value.into());
        if let Some((_, old)) = self.0.iter_mut().find(|(name, _)| *name == key) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((key, value));
        None
    }

    /// Takes `key` out and answers its value, if it was set.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Whether `key` is set.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All properties in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many properties are set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of two pairs with one key the later value counts, at the place of the earlier.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut properties = Self::new();
        properties.extend(iter);
        properties
    }
}

impl<K: Into<String>, V: Into<String>> Extend<(K, V)> for Properties {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, iter: I) {
        let mut iter = iter.into_iter();
        for (key, value) in iter.by_ref().take(FEW) {
            self.set(key, value);
        }
        self.extend_many(iter);
    }
}

impl Properties {
    /// As `extend`, in linear time: properties come from the network too, and 32 KiB hold thousands of them.
    fn extend_many<K: Into<String>, V: Into<String>>(
        &mut self,
        iter: impl Iterator<Item = (K, V)>,
    ) {
        let mut iter = iter.peekable();
        if iter.peek().is_none() {
            return;
        }
        let places = self.0.iter().enumerate();
        let mut places: HashMap<String, usize> =
            places.map(|(at, (key, _))| (key.clone(), at)).collect();
        for (key, value) in iter {
            let (key, value) = (key.into(), value.into());
            if let Some((_, old)) = places.get(&key).and_then(|at| self.0.get_mut(*at)) {
                *old = value;
            } else {
                places.insert(key.clone(), self.0.len());
                self.0.push((key, value));
            }
        }
    }
}

/// How many properties are set one by one before an index pays.
const FEW: usize = 64;

impl IntoIterator for Properties {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_values_replaced() {
        let mut properties: Properties = [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
        assert_eq!(
            properties.iter().collect::<Vec<_>>(),
            [("a", "3"), ("b", "2")]
        );
        assert_eq!(properties.remove("a"), Some("3".to_owned()));
        assert_eq!(properties.remove("a"), None);
        assert!(properties.contains("b") && !properties.is_empty());
        assert_eq!(format!("{properties:?}"), r#"{"b": "2"}"#);
    }

    #[test]
    fn many_are_as_few() {
        let pairs = || (0..1000).map(|n| ((n % 300).to_string(), n.to_string()));
        let at_once: Properties = pairs().collect();
        let mut one_by_one = Properties::new();
        for (key, value) in pairs() {
            one_by_one.set(key, value);
        }
        assert_eq!(at_once, one_by_one);
        assert_eq!(at_once.len(), 300);
    }
}
