//! Which lines of a long log matter.

/// Lines before nightshelf's last words that are shown with them.
const N_BEFORE: usize = 3;

/// What begins a line that names a cause, in logs of Python and the JVM.
const CAUSES: [&str; 4] = ["Caused by:", "Exception in thread", "Traceback (most recent call last)", "ERROR"];

/// The lines that say why a step failed: nightshelf's own last words with what stands before them; without such, lines that
/// name a cause, and the last `n_lines`.
#[must_use]
pub(super) fn relevant(text: &str, n_lines: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    if let Some(at) = lines.iter().rposition(|line| line.starts_with("error: ")) {
        let end = lines[at + 1..].iter().take_while(|line| line.starts_with(' ')).count();
        return owned(&lines[at.saturating_sub(N_BEFORE)..at + 1 + end]);
    }
    let first_of_the_last = lines.len().saturating_sub(n_lines);
    let is_cause = |line: &&&str| CAUSES.iter().any(|cause| line.contains(cause));
    let causes: Vec<&str> = lines[..first_of_the_last].iter().filter(is_cause).copied().collect();
    let mut shown = owned(&causes[causes.len().saturating_sub(n_lines)..]);
    shown.extend(owned(&lines[first_of_the_last..]));
    shown
}

/// Whether a log holds nightshelf's last words.
#[must_use]
pub(super) fn names_an_error(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("error: "))
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The Spark applications that a log names, in the order in which they come.
#[must_use]
pub(super) fn applications(text: &str) -> Vec<String> {
    const MARK: &str = "application_";
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices(MARK) {
        let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'_';
        let length = text.as_bytes()[at + MARK.len()..].iter().take_while(|byte| digits(byte)).count();
        let name = &text[at..at + MARK.len() + length];
        if length > 10 && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_last_words_come_with_what_follows_and_stands_before() {
        let text = "a\nb\nc\nd\nerror: old\n  because: x\nmore\nerror: stage aggregate failed: bucket 3\n  error: cannot read\n    because: y\n26/11/22 INFO done\n";
        let shown = relevant(text, 2);
        let expected = [
            "error: old",
            "  because: x",
            "more",
            "error: stage aggregate failed: bucket 3",
            "  error: cannot read",
            "    because: y",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_them_causes_and_the_end_are_shown() {
        let text = "x\nCaused by: java.io.IOException\ny\nz\nERROR SparkContext: boom\nlast\n";
        assert_eq!(relevant(text, 2), ["Caused by: java.io.IOException", "ERROR SparkContext: boom", "last"]);
        assert_eq!(relevant(text, 100).len(), 6, "no line twice");
        assert_eq!(relevant("", 5), Vec::<String>::new());
    }

    #[test]
    fn applications_are_named_once() {
        let text = "Submitted application_1700000000000_0007 \napplication_1700000000000_0007 FAILED; application_x";
        assert_eq!(applications(text), ["application_1700000000000_0007"]);
    }
}
