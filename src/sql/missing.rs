//! A column that is not there, and the one that was perhaps meant.

/// Names less alike than this are no help.
const LIKENESS: f64 = 0.6;

/// A column that the config names is not in the table.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} has no column `{column}` ({key}){}; there are {}",
    nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
    present.join(", ")
)]
pub struct MissingColumn {
    /// File, or table of a server.
    pub place: String,
    /// The config's key.
    pub key: String,
    /// The column looked for.
    pub column: String,
    /// The columns that are there.
    pub present: Vec<String>,
    /// The one most like it.
    pub nearest: Option<String>,
}

impl MissingColumn {
    /// With the nearest of those that are there.
    #[must_use]
    pub fn new(place: &str, key: &str, column: &str, present: &[String]) -> Self {
        let likeness =
            |name: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &column.to_lowercase());
        let nearest = present
            .iter()
            .filter(|name| likeness(name) >= LIKENESS)
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .cloned();
        let (place, key, column) = (place.to_owned(), key.to_owned(), column.to_owned());
        Self { place, key, column, present: present.to_vec(), nearest }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.nearest {
            Some(name) => format!("set {} = \"{name}\"", self.key),
            None => format!("set {} to one of them", self.key),
        }
    }
}
