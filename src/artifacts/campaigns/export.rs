//! Members for other programs: CSV, JSON lines, Parquet.

use std::{io::Write, sync::Arc};

use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::{
    artifacts::{
        ArtifactError,
        members::{Pending, encode, schema},
        parquet_io::properties,
    },
    recommendations::{Arm, MemberBatch, MemberRow},
};

/// How members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One line a member, an id, title and price column for each item.
    Csv,
    /// One object a line.
    Jsonl,
    /// As in the run.
    Parquet,
}

/// Where members go.
type Output = Box<dyn Write + Send>;

/// Members on their way out.
pub struct MemberExport {
    to: To,
    n_items: usize,
    rows: u64,
}

enum To {
    Csv(Box<csv::Writer<Output>>),
    Jsonl(Output),
    Parquet(Box<ArrowWriter<Output>>),
}

fn failed(error: std::io::Error) -> ArtifactError {
    ArtifactError::Io { doing: "write", path: "the export".into(), source: error }
}

/// A cell that no spreadsheet takes for a formula: what begins with `=`, `+`, `-`, `@`, a tab or a line break gets an
/// apostrophe in front, which spreadsheets read as "this is text" and do not show.
///
/// Source: OWASP, CSV Injection.
fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => format!("'{text}"),
        // Full-width forms are folded by some spreadsheets.
        Some('＝' | '＋' | '－' | '＠') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

impl MemberExport {
    /// Starts an export; `n_items` is how many items a member may have.
    ///
    /// # Errors
    /// When the output refuses.
    pub fn new(out: Output, format: ExportFormat, n_items: usize) -> Result<Self, ArtifactError> {
        let to = match format {
            ExportFormat::Jsonl => To::Jsonl(out),
            ExportFormat::Parquet => {
                let schema = Arc::new(schema(&arrow::datatypes::DataType::Utf8));
                let writer = properties("user_id", &[]).and_then(|it| ArrowWriter::try_new(out, schema, Some(it)));
                To::Parquet(Box::new(writer.map_err(|error| ArtifactError::encode("the export", error))?))
            }
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                let mut header: Vec<String> = ["user_id", "rank", "score", "arm", "reason"].map(str::to_owned).to_vec();
                for n in 1..=n_items {
                    header.extend(["id", "title", "price"].map(|what| format!("item_{n}_{what}")));
                }
                writer.write_record(&header).map_err(|error| failed(error.into()))?;
                To::Csv(Box::new(writer))
            }
        };
        Ok(Self { to, n_items, rows: 0 })
    }

    /// Appends the members of one arm, or of both.
    ///
    /// # Errors
    /// When the output refuses.
    pub fn write(&mut self, members: &MemberBatch<'_>, arm: Option<Arm>) -> Result<(), ArtifactError> {
        let wanted: Vec<MemberRow<'_, '_>> =
            members.rows().filter(|member| arm.is_none_or(|arm| member.arm == arm)).collect();
        self.rows += wanted.len() as u64;
        match &mut self.to {
            To::Csv(writer) => {
                for member in &wanted {
                    writer.write_record(csv_row(member, self.n_items)).map_err(|error| failed(error.into()))?;
                }
            }
            To::Jsonl(out) => {
                for member in &wanted {
                    writeln!(out, "{}", json_row(member)).map_err(failed)?;
                }
            }
            To::Parquet(writer) => {
                let pending: Vec<Pending> = wanted.iter().map(Pending::of).collect();
                let schema = Arc::new(schema(&arrow::datatypes::DataType::Utf8));
                let batch =
                    encode(&schema, &pending).map_err(|error| ArtifactError::encode("the export", error.into()))?;
                writer.write(&batch).map_err(|error| ArtifactError::encode("the export", error))?;
            }
        }
        Ok(())
    }

    /// Ends the export. Returns the rows written.
    ///
    /// # Errors
    /// When the output refuses.
    pub fn finish(self) -> Result<u64, ArtifactError> {
        match self.to {
            To::Csv(mut writer) => writer.flush().map_err(failed)?,
            To::Jsonl(mut out) => out.flush().map_err(failed)?,
            To::Parquet(writer) => {
                let mut out = writer.into_inner().map_err(|error| ArtifactError::encode("the export", error))?;
                out.flush().map_err(failed)?;
            }
        }
        Ok(self.rows)
    }
}

fn variables(member: &MemberRow<'_, '_>) -> Value {
    serde_json::from_str(member.variables).unwrap_or(Value::Null)
}

fn csv_row(member: &MemberRow<'_, '_>, n_items: usize) -> Vec<String> {
    let listed = variables(member);
    let mut row = vec![
        harmless(member.list.key),
        member.rank.to_string(),
        member.score.to_string(),
        member.arm.name().to_owned(),
        harmless(member.reason),
    ];
    for at in 0..n_items {
        let about = &listed["items"][at];
        row.push(member.list.items.get(at).map_or_else(String::new, |id| harmless(id)));
        row.push(about["title"].as_str().map_or_else(String::new, harmless));
        row.push(about["price"].as_f64().map_or_else(String::new, |price| price.to_string()));
    }
    row
}

fn json_row(member: &MemberRow<'_, '_>) -> Value {
    let items = member.list.items.iter().zip(member.list.scores);
    json!({
        "user_id": member.list.key,
        "rank": member.rank,
        "score": member.score,
        "arm": member.arm.name(),
        "reason": member.reason,
        "items": items.map(|(id, score)| json!({ "item_id": id, "score": score })).collect::<Vec<_>>(),
        "variables": variables(member),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "u1", "a=1", "1-2", "'=1", " =1"] {
            assert_eq!(harmless(text), text);
        }
    }
}
