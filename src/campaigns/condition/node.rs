//! A condition after its types were checked.

use std::collections::BTreeSet;

use super::like::Pattern;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How two numbers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// By zero: unknown.
    Divide,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfNumber {
    Negate,
    Absolute,
    Floor,
    Ceiling,
    /// To so many decimal places, halves away from zero.
    Round(i32),
}

/// A function of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfText {
    Lower,
    Upper,
}

/// A typed expression. Numbers are doubles, instants whole Unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Column(String),
    Number(f64),
    Text(String),
    Boolean(bool),
    Instant(i64),
    /// Unknown, of the type that its place asks for.
    Null(super::ColumnType),
    Compare(Comparison, Box<Node>, Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Known to be true, or known to be false.
    Is(bool, Box<Node>),
    IsNull(Box<Node>),
    Like(Box<Node>, Pattern),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    OfNumber(OfNumber, Box<Node>),
    OfText(OfText, Box<Node>),
    /// Characters of a text.
    Length(Box<Node>),
    /// Days from an instant to the build's `as_of`.
    DaysSince(Box<Node>),
    /// The first that is known.
    Coalesce(Vec<Node>),
}

impl Node {
    /// Adds the columns that it names.
    pub(super) fn columns(&self, found: &mut BTreeSet<String>) {
        match self {
            Self::Column(name) => {
                found.insert(name.clone());
            }
            Self::Number(_) | Self::Text(_) | Self::Boolean(_) | Self::Instant(_) | Self::Null(_) => {}
            Self::Compare(_, a, b) | Self::Arithmetic(_, a, b) => {
                a.columns(found);
                b.columns(found);
            }
            Self::And(nodes) | Self::Or(nodes) | Self::Coalesce(nodes) => {
                nodes.iter().for_each(|node| node.columns(found));
            }
            Self::Not(node)
            | Self::Is(_, node)
            | Self::IsNull(node)
            | Self::Like(node, _)
            | Self::OfNumber(_, node)
            | Self::OfText(_, node)
            | Self::Length(node)
            | Self::DaysSince(node) => node.columns(found),
        }
    }
}
