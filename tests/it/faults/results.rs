//! What a case found, for people and for the table of docs/reliability.md.

use std::{collections::BTreeMap, fmt::Display, fs::OpenOptions, io::Write as _};

/// Figures of one promise.
pub(super) struct Results {
    promise: &'static str,
    n_cases: usize,
    names: Vec<String>,
    figures: BTreeMap<String, String>,
    sums: BTreeMap<String, u64>,
}

impl Results {
    /// `promise` is D1 to D11.
    pub(super) fn of(promise: &'static str) -> Self {
        Self { promise, n_cases: 0, names: Vec::new(), figures: BTreeMap::new(), sums: BTreeMap::new() }
    }

    /// One more fault case was really run.
    pub(super) fn ran(&mut self) {
        self.n_cases += 1;
    }

    /// Notes a figure.
    pub(super) fn figure(&mut self, name: &str, value: impl Display) {
        if self.figures.insert(name.to_owned(), value.to_string()).is_none() {
            self.names.push(name.to_owned());
        }
    }

    /// Notes the larger of this and what was noted.
    pub(super) fn most(&mut self, name: &str, value: u64) {
        let most = self.sums.entry(name.to_owned()).or_default();
        *most = value.max(*most);
        let most = *most;
        self.figure(name, most);
    }

    /// Notes the sum of this and what was noted.
    pub(super) fn add(&mut self, name: &str, value: u64) {
        let sum = self.sums.entry(name.to_owned()).or_default();
        *sum += value;
        let sum = *sum;
        self.figure(name, sum);
    }

    /// Checks that no case was left out, prints the figures as a row of a Markdown table, and appends it to the file that
    /// `NIGHTSHELF_FAULTS_RESULTS` names.
    #[track_caller]
    pub(super) fn finish(self, n_expected: usize) {
        let Self { promise, n_cases, .. } = self;
        assert!(n_cases >= n_expected, "{promise}: only {n_cases} of {n_expected} cases ran");
        let figures: Vec<_> = self.names.iter().map(|name| format!("{name} {}", self.figures[name])).collect();
        let row = format!("| {promise} | {n_cases} | {} |", figures.join("; "));
        println!("{row}");
        if let Ok(path) = std::env::var("NIGHTSHELF_FAULTS_RESULTS") {
            let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{row}").unwrap();
        }
    }
}
