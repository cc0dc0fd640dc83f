//! From nodes to a polars expression, evaluated on the columns of the users.
//!
//! The frame holds only the columns that are named, under names of our own (`c0`, `c1`, …): polars reads some names as
//! patterns.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::{
    Parsed,
    like::Pattern,
    node::{Arithmetic, Comparison, Node, OfNumber, OfText},
};
use crate::campaigns::{CampaignError, ColumnType, UserTable};

/// Seconds in a day.
const DAY: f64 = 86_400.0;

pub(super) fn failed(parsed: &Parsed, campaign: &str, source: PolarsError) -> CampaignError {
    CampaignError::Evaluate { campaign: campaign.to_owned(), text: parsed.text.clone(), source }
}

/// One value a user.
pub(super) fn evaluate(parsed: &Parsed, users: &UserTable, campaign: &str) -> Result<Column, CampaignError> {
    // One column that is always there: a frame without columns has no height.
    let mut columns = vec![Column::new("rows".into(), vec![true; users.len()])];
    let mut names = BTreeMap::new();
    for (number, name) in parsed.columns.iter().enumerate() {
        let column = users
            .column(name)
            .ok_or_else(|| CampaignError::NoColumn { campaign: campaign.to_owned(), column: name.clone() })?;
        let own = format!("c{number}");
        columns.push(column.clone().with_name(own.as_str().into()));
        names.insert(name.as_str(), own);
    }
    let of = Translation { names, as_of: users.as_of() };
    let expr = of.expr(&parsed.node);
    let out = DataFrame::new(users.len(), columns)
        .and_then(|frame| frame.lazy().with_column(expr.alias("out")).collect())
        .and_then(|frame| frame.column("out").cloned());
    out.map_err(|source| failed(parsed, campaign, source))
}

struct Translation<'a> {
    names: BTreeMap<&'a str, String>,
    as_of: Option<i64>,
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Number => DataType::Float64,
        // Types are known when there is data.
        ColumnType::Text | ColumnType::Any => DataType::String,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Instant => DataType::Int64,
    }
}

fn unknown(column_type: ColumnType) -> Expr {
    lit(NULL).cast(data_type(column_type))
}

impl Translation<'_> {
    fn expr(&self, node: &Node) -> Expr {
        match node {
            Node::Column(name) => col(self.names.get(name.as_str()).map_or(name.as_str(), String::as_str)),
            Node::Number(number) => lit(*number),
            Node::Text(text) => lit(text.as_str()),
            Node::Boolean(truth) => lit(*truth),
            Node::Instant(seconds) => lit(*seconds),
            Node::Null(column_type) => unknown(*column_type),
            Node::Compare(how, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match how {
                    Comparison::Equal => a.eq(b),
                    Comparison::NotEqual => a.neq(b),
                    Comparison::Less => a.lt(b),
                    Comparison::LessOrEqual => a.lt_eq(b),
                    Comparison::Greater => a.gt(b),
                    Comparison::GreaterOrEqual => a.gt_eq(b),
                }
            }
            Node::And(nodes) => self.balanced(nodes, Expr::and),
            Node::Or(nodes) => self.balanced(nodes, Expr::or),
            Node::Not(inner) => self.expr(inner).not(),
            Node::Is(truth, inner) => self.expr(inner).eq(lit(*truth)).fill_null(lit(false)),
            Node::IsNull(inner) => self.expr(inner).is_null(),
            Node::Like(inner, pattern) => like(self.expr(inner), pattern.clone()),
            Node::Arithmetic(how, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match how {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide => {
                        when(b.clone().eq(lit(0.0))).then(unknown(ColumnType::Number)).otherwise(a / b)
                    }
                }
            }
            Node::OfNumber(what, inner) => of_number(self.expr(inner), *what),
            Node::OfText(what, inner) => of_text(self.expr(inner), *what),
            Node::Length(inner) => length(self.expr(inner)),
            Node::DaysSince(inner) => match self.as_of {
                None => unknown(ColumnType::Number),
                Some(as_of) => (lit(as_of) - self.expr(inner)).cast(DataType::Float64) / lit(DAY),
            },
            Node::Coalesce(nodes) => coalesce(&nodes.iter().map(|node| self.expr(node)).collect::<Vec<_>>()),
        }
    }

    /// A tree of small depth, however many there are.
    fn balanced(&self, nodes: &[Node], join: fn(Expr, Expr) -> Expr) -> Expr {
        match nodes {
            [only] => self.expr(only),
            _ => {
                let (left, right) = nodes.split_at(nodes.len() / 2);
                join(self.balanced(left, join), self.balanced(right, join))
            }
        }
    }
}

fn number_field(_: &polars::prelude::Schema, field: &Field) -> PolarsResult<Field> {
    Ok(Field::new(field.name().clone(), DataType::Float64))
}

fn of_number(inner: Expr, what: OfNumber) -> Expr {
    let apply = move |number: f64| match what {
        OfNumber::Negate => -number,
        OfNumber::Absolute => number.abs(),
        OfNumber::Floor => number.floor(),
        OfNumber::Ceiling => number.ceil(),
        OfNumber::Round(places) => {
            let scale = 10f64.powi(places);
            (number * scale).round() / scale
        }
    };
    inner.map(move |column| Ok(column.f64()?.apply_values(apply).into_column()), number_field)
}

fn of_text(inner: Expr, what: OfText) -> Expr {
    let apply = move |text: &str| match what {
        OfText::Lower => text.to_lowercase(),
        OfText::Upper => text.to_uppercase(),
    };
    inner.map(
        move |column| {
            let texts: StringChunked = column.str()?.iter().map(|text| text.map(apply)).collect();
            Ok(texts.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::String)),
    )
}

fn length(inner: Expr) -> Expr {
    inner.map(
        |column| {
            let lengths: Float64Chunked =
                column.str()?.iter().map(|text| text.map(|text| text.chars().count() as f64)).collect();
            Ok(lengths.with_name(column.name().clone()).into_column())
        },
        number_field,
    )
}

fn like(inner: Expr, pattern: Pattern) -> Expr {
    inner.map(
        move |column| {
            let matches: BooleanChunked =
                column.str()?.iter().map(|text| text.map(|text| pattern.matches(text))).collect();
            Ok(matches.with_name(column.name().clone()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean)),
    )
}
