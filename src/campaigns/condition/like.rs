//! `LIKE`: `%` stands for any characters, `_` for one.

/// A pattern, cut into its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    folded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Exactly(char),
    One,
    Any,
}

impl Pattern {
    /// Cuts a pattern; `escape` takes the meaning from the character behind it. `folded`: capitals do not matter.
    ///
    /// # Errors
    /// An escape with nothing behind it.
    pub(super) fn new(text: &str, escape: Option<char>, folded: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let exactly = |parts: &mut Vec<Part>, c: char| {
                if folded {
                    parts.extend(c.to_lowercase().map(Part::Exactly));
                } else {
                    parts.push(Part::Exactly(c));
                }
            };
            match c {
                _ if Some(c) == escape => match chars.next() {
                    Some(next) => exactly(&mut parts, next),
                    None => return Err(format!("the pattern '{text}' ends with its escape `{c}`")),
                },
                '%' if parts.last() == Some(&Part::Any) => {}
                '%' => parts.push(Part::Any),
                '_' => parts.push(Part::One),
                _ => exactly(&mut parts, c),
            }
        }
        Ok(Self { parts, folded })
    }

    /// Whether a whole text matches.
    ///
    /// Cost: text times pattern at worst; no recursion.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> =
            if self.folded { text.chars().flat_map(char::to_lowercase).collect() } else { text.chars().collect() };
        let (mut at, mut part) = (0, 0);
        // Where to go on when what follows the last `%` does not fit: one character further.
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    retry = Some((at, part));
                    part += 1;
                    continue;
                }
                Some(Part::One) => {}
                Some(Part::Exactly(c)) if *c == text[at] => {}
                _ => match &mut retry {
                    None => return false,
                    Some((from, any)) => {
                        *from += 1;
                        (at, part) = (*from, *any + 1);
                        continue;
                    }
                },
            }
            at += 1;
            part += 1;
        }
        self.parts[part..].iter().all(|part| *part == Part::Any)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, written as a recursion.
    fn naive(parts: &[Part], text: &[char]) -> bool {
        match parts.split_first() {
            None => text.is_empty(),
            Some((Part::Any, rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((part, rest)) => text
                .split_first()
                .is_some_and(|(c, others)| (*part == Part::One || *part == Part::Exactly(*c)) && naive(rest, others)),
        }
    }

    #[test]
    fn patterns_mean_what_sql_says() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern, Some('\\'), false).unwrap().matches(text);
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches("a%", "a") && matches("a%", "abc") && !matches("a%", "ba"));
        assert!(matches("_ü_", "xüy") && !matches("__", "ü"));
        assert!(matches("100\\%", "100%") && !matches("100\\%", "1000"));
        assert!(Pattern::new("a\\", Some('\\'), false).is_err());
        assert!(Pattern::new("%Straße%", None, true).unwrap().matches("HAUPTSTRAßE 5"));
    }

    proptest! {
        #[test]
        fn matching_is_the_recursion(pattern in "[ab%_]{0,8}", text in "[ab]{0,10}") {
            let pattern = Pattern::new(&pattern, None, false).unwrap();
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(pattern.matches(&text), naive(&pattern.parts, &chars));
        }
    }
}
