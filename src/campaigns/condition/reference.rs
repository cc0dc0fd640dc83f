//! SQL's semantics one row at a time, written as plainly as they get: what polars is held to.

use std::collections::BTreeMap;

use super::node::{Arithmetic, Comparison, Node, OfNumber, OfText};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(f64),
    Text(String),
    Boolean(bool),
    Instant(i64),
}

pub(super) type Row = BTreeMap<&'static str, Cell>;

fn truth(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Boolean(truth) => Some(*truth),
        _ => None,
    }
}

fn cell(truth: Option<bool>) -> Cell {
    truth.map_or(Cell::Null, Cell::Boolean)
}

pub(super) fn value(node: &Node, row: &Row, as_of: i64) -> Cell {
    let of = |node: &Node| value(node, row, as_of);
    let number = |node: &Node| match of(node) {
        Cell::Number(number) => Some(number),
        _ => None,
    };
    match node {
        Node::Column(name) => row[name.as_str()].clone(),
        Node::Number(number) => Cell::Number(*number),
        Node::Text(text) => Cell::Text(text.clone()),
        Node::Boolean(truth) => Cell::Boolean(*truth),
        Node::Instant(at) => Cell::Instant(*at),
        Node::Null(_) => Cell::Null,
        Node::Compare(how, a, b) => {
            let order = match (of(a), of(b)) {
                (Cell::Null, _) | (_, Cell::Null) => return Cell::Null,
                (Cell::Number(a), Cell::Number(b)) => a.partial_cmp(&b).unwrap(),
                (Cell::Text(a), Cell::Text(b)) => a.cmp(&b),
                (Cell::Boolean(a), Cell::Boolean(b)) => a.cmp(&b),
                (Cell::Instant(a), Cell::Instant(b)) => a.cmp(&b),
                (a, b) => panic!("{a:?} with {b:?}"),
            };
            Cell::Boolean(match how {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
        Node::And(nodes) => {
            let all: Vec<Option<bool>> = nodes.iter().map(|node| truth(&of(node))).collect();
            cell(if all.contains(&Some(false)) {
                Some(false)
            } else if all.contains(&None) {
                None
            } else {
                Some(true)
            })
        }
        Node::Or(nodes) => {
            let all: Vec<Option<bool>> = nodes.iter().map(|node| truth(&of(node))).collect();
            cell(if all.contains(&Some(true)) {
                Some(true)
            } else if all.contains(&None) {
                None
            } else {
                Some(false)
            })
        }
        Node::Not(inner) => cell(truth(&of(inner)).map(|truth| !truth)),
        Node::Is(wanted, inner) => Cell::Boolean(truth(&of(inner)) == Some(*wanted)),
        Node::IsNull(inner) => Cell::Boolean(of(inner) == Cell::Null),
        Node::Like(inner, pattern) => match of(inner) {
            Cell::Text(text) => Cell::Boolean(pattern.matches(&text)),
            _ => Cell::Null,
        },
        Node::Arithmetic(how, a, b) => match (number(a), number(b)) {
            (Some(a), Some(b)) => match how {
                Arithmetic::Add => Cell::Number(a + b),
                Arithmetic::Subtract => Cell::Number(a - b),
                Arithmetic::Multiply => Cell::Number(a * b),
                Arithmetic::Divide if b == 0.0 => Cell::Null,
                Arithmetic::Divide => Cell::Number(a / b),
            },
            _ => Cell::Null,
        },
        Node::OfNumber(what, inner) => number(inner).map_or(Cell::Null, |x| {
            Cell::Number(match what {
                OfNumber::Negate => -x,
                OfNumber::Absolute => x.abs(),
                OfNumber::Floor => x.floor(),
                OfNumber::Ceiling => x.ceil(),
                OfNumber::Round(places) => (x * 10f64.powi(*places)).round() / 10f64.powi(*places),
            })
        }),
        Node::OfText(what, inner) => match of(inner) {
            Cell::Text(text) if *what == OfText::Lower => Cell::Text(text.to_lowercase()),
            Cell::Text(text) => Cell::Text(text.to_uppercase()),
            _ => Cell::Null,
        },
        Node::Length(inner) => match of(inner) {
            Cell::Text(text) => Cell::Number(text.chars().count() as f64),
            _ => Cell::Null,
        },
        Node::DaysSince(inner) => match of(inner) {
            Cell::Instant(at) => Cell::Number((as_of - at) as f64 / 86_400.0),
            _ => Cell::Null,
        },
        Node::Coalesce(nodes) => nodes.iter().map(of).find(|cell| *cell != Cell::Null).unwrap_or(Cell::Null),
    }
}
