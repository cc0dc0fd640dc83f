//! What is left to submit, given what is found on a cluster.
//!
//! EMR takes no client token, so the name of a step, or of a cluster, is what tells whether it was submitted.

/// What stands in front of every name that nightshelf gives.
const PREFIX: &str = "nightshelf";

/// The name of a cluster that was made for a run. `attempt` counts from 1 and grows when a run that failed is submitted again.
#[must_use]
pub(super) fn cluster_name(run: &str, attempt: u32) -> String {
    format!("{PREFIX}/{run}/{attempt}")
}

/// The name of a step: run, attempt, place in the order, step.
#[must_use]
pub(super) fn step_name(run: &str, attempt: u32, at: usize, step: &str) -> String {
    format!("{PREFIX}/{run}/{attempt}/{at:02}-{step}")
}

/// What is there of a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// All: their ids in order.
    All(Vec<String>),
    /// The first so many; the rest is to be added.
    First(Vec<String>),
    /// Something else; in words.
    Muddle(String),
}

/// Looks for `wanted` names among steps that exist, as (name, id).
///
/// A name that is there twice is a muddle: EMR had taken the same request twice, which nothing here sends.
#[must_use]
pub(super) fn find(wanted: &[String], existing: &[(String, String)]) -> Found {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        let mut matches = existing.iter().filter(|(existing, _)| existing == name).map(|(_, id)| id.clone());
        ids.push(matches.next());
        if matches.next().is_some() {
            return Found::Muddle(format!("step {name} is there twice"));
        }
    }
    let n_found = ids.iter().take_while(|id| id.is_some()).count();
    if ids[n_found..].iter().any(Option::is_some) {
        return Found::Muddle(format!("step {} is missing between others", wanted[n_found]));
    }
    let ids: Vec<String> = ids.into_iter().flatten().collect();
    match n_found {
        0 => Found::Nothing,
        n if n == wanted.len() => Found::All(ids),
        _ => Found::First(ids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Vec<String> {
        ["plan", "shuffle", "seal"].iter().enumerate().map(|(at, name)| step_name("n", 1, at + 1, name)).collect()
    }

    fn existing(at: &[usize]) -> Vec<(String, String)> {
        at.iter().map(|&at| (wanted()[at].clone(), format!("s-{at}"))).collect()
    }

    #[test]
    fn names_carry_run_attempt_and_order() {
        assert_eq!(wanted(), ["nightshelf/n/1/01-plan", "nightshelf/n/1/02-shuffle", "nightshelf/n/1/03-seal"]);
        assert_eq!(cluster_name("n", 2), "nightshelf/n/2");
    }

    #[test]
    fn what_is_there_is_adopted_in_any_order() {
        let mut others =
            vec![("other".to_owned(), "s-x".to_owned()), ("nightshelf/n/2/01-plan".to_owned(), "s-y".to_owned())];
        assert_eq!(find(&wanted(), &others), Found::Nothing);
        others.extend(existing(&[2, 0, 1]));
        assert_eq!(find(&wanted(), &others), Found::All(vec!["s-0".into(), "s-1".into(), "s-2".into()]));
        assert_eq!(find(&wanted(), &existing(&[1, 0])), Found::First(vec!["s-0".into(), "s-1".into()]));
    }

    #[test]
    fn what_nothing_here_sends_is_not_guessed_at() {
        assert!(matches!(find(&wanted(), &existing(&[0, 2])), Found::Muddle(_)));
        assert!(matches!(find(&wanted(), &existing(&[1])), Found::Muddle(_)));
        assert!(matches!(find(&wanted(), &existing(&[0, 1, 2, 0])), Found::Muddle(_)));
    }
}
