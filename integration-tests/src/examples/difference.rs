//! A difference of two texts, to be read by people.

/// What stands in one list and not in the other (`-`, `+`), among what stands in both.
pub(super) fn difference(said: &[String], printed: &[String]) -> String {
    let common = lengths(said, printed);
    let (mut left, mut right) = (0, 0);
    let mut text = String::new();
    let mut line = |mark: char, line: &str| {
        text.push(mark);
        text.push(' ');
        text.push_str(line);
        text.push('\n');
    };
    let at = |left: usize, right: usize| {
        let row = common.get(left).and_then(|row| row.get(right));
        row.copied().unwrap_or_default()
    };
    loop {
        match (said.get(left), printed.get(right)) {
            (Some(one), Some(other)) if one == other => {
                line(' ', one);
                (left, right) = (left + 1, right + 1);
            }
            (Some(one), None) => {
                line('-', one);
                left += 1;
            }
            (Some(one), Some(_)) if at(left + 1, right) >= at(left, right + 1) => {
                line('-', one);
                left += 1;
            }
            (_, Some(other)) => {
                line('+', other);
                right += 1;
            }
            (None, None) => return text,
        }
    }
}

/// How many lines in order the rests of both lists have in common, from each place on.
fn lengths(said: &[String], printed: &[String]) -> Vec<Vec<usize>> {
    let mut rows = vec![vec![0; printed.len() + 1]];
    for one in said.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let mut row = vec![0; printed.len() + 1];
        for (at, other) in printed.iter().enumerate().rev() {
            let of = |row: &[usize], at: usize| row.get(at).copied().unwrap_or_default();
            let best = if one == other {
                of(&below, at + 1) + 1
            } else {
                of(&below, at).max(of(&row, at + 1))
            };
            if let Some(place) = row.get_mut(at) {
                *place = best;
            }
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_not_marked() {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        for (said, printed, shown) in [
            ("abc", "abc", "  a\n  b\n  c\n"),
            ("abc", "ac", "  a\n- b\n  c\n"),
            ("ac", "abc", "  a\n+ b\n  c\n"),
            ("ab", "xb", "- a\n+ x\n  b\n"),
            ("", "a", "+ a\n"),
        ] {
            assert_eq!(
                difference(&list(said), &list(printed)),
                shown,
                "{said} {printed}"
            );
        }
    }
}
