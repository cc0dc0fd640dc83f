//! From SQL text to typed nodes.

use sqlparser::{
    ast::{
        BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArguments, Ident, Spanned, UnaryOperator, Value, ValueWithSpan,
    },
    dialect::GenericDialect,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token},
};

use super::{
    ColumnType, Fault, Schema,
    like::Pattern,
    node::{Arithmetic, Comparison, Node, OfNumber, OfText},
};

/// Parentheses and operators inside one another; AND and OR in a row count once.
const MAX_DEPTH: usize = 60;

/// Stack for reading one text: the parser descends a function a level, with frames of tens of kilobytes where it is not
/// optimized, and threads have 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// Values of one IN list.
const MAX_LIST: usize = 1_000;

const FUNCTIONS: &str = "abs, ceil, coalesce, days_since, floor, length, lower, round, upper";

/// Reads a text that comes to a value of the type `wanted`.
pub(super) fn translate(text: &str, schema: &Schema, wanted: ColumnType) -> Result<Node, Fault> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES);
        let reader = reader.spawn_scoped(scope, || read(text, schema, wanted));
        let reader = reader.map_err(|error| fault(format!("no thread to read it with: {error}"), Location::empty()))?;
        reader.join().unwrap_or_else(|_| Err(fault("the parser gave up on it", Location::empty())))
    })
}

fn read(text: &str, schema: &Schema, wanted: ColumnType) -> Result<Node, Fault> {
    let dialect = GenericDialect {};
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).try_with_sql(text).map_err(|error| syntax(&error))?;
    if parser.peek_token().token == Token::EOF {
        return Err(fault("it is empty", Location::empty()));
    }
    let expr = parser.parse_expr().map_err(|error| syntax(&error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(fault(format!("`{}` is not expected here", next.token), next.span.start));
    }
    let typed = Translator { schema }.node(&expr, 0)?;
    match typed.is {
        Some(is) if is != wanted && is != ColumnType::Any => {
            let what = match wanted {
                ColumnType::Boolean => format!("a condition is true or false, this is {}", is.words()),
                _ => format!("{} is wanted, this is {}", wanted.words(), is.words()),
            };
            Err(fault(what, expr.span().start))
        }
        Some(_) => Ok(typed.node),
        None => Ok(Node::Null(wanted)),
    }
}

/// A node and its type; `None` is NULL, which is of any.
struct Typed {
    node: Node,
    is: Option<ColumnType>,
}

impl Typed {
    fn new(node: Node, is: ColumnType) -> Self {
        Self { node, is: Some(is) }
    }

    fn null() -> Self {
        Self { node: Node::Null(ColumnType::Boolean), is: None }
    }

    /// The node as of type `wanted`.
    fn into_type(self, wanted: ColumnType) -> Option<Node> {
        match self.is {
            None => Some(Node::Null(wanted)),
            Some(is) => (is == wanted || is == ColumnType::Any || wanted == ColumnType::Any).then_some(self.node),
        }
    }
}

struct Translator<'a> {
    schema: &'a Schema,
}

fn fault(what: impl Into<String>, at: Location) -> Fault {
    Fault { what: what.into(), line: at.line, column: at.column }
}

/// The parser's own complaint; it writes the place into the text.
fn syntax(error: &ParserError) -> Fault {
    let text = match error {
        ParserError::RecursionLimitExceeded => return fault("it is nested too deeply", Location::empty()),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let Some((what, place)) = text.split_once(" at Line: ") else { return fault(text.as_str(), Location::empty()) };
    let numbers = place.split_once(", Column: ").map(|(line, column)| (line.parse(), column.trim().parse()));
    match numbers {
        Some((Ok(line), Ok(column))) => fault(what, Location { line, column }),
        _ => fault(what, Location::empty()),
    }
}

impl Translator<'_> {
    fn node(&self, expr: &Expr, depth: usize) -> Result<Typed, Fault> {
        let at = || expr.span().start;
        if depth > MAX_DEPTH {
            return Err(fault("it is nested too deeply", at()));
        }
        let down = depth + 1;
        let truth = |node| Ok(Typed::new(node, ColumnType::Boolean));
        match expr {
            Expr::Nested(inner) => self.node(inner, down),
            Expr::Identifier(ident) => self.column(ident),
            Expr::Value(value) => literal(value),
            Expr::TypedString(typed) => match typed.data_type {
                DataType::Date | DataType::Datetime(_) | DataType::Timestamp(..) => {
                    let text = text_of(&typed.value).unwrap_or_default();
                    Ok(Typed::new(Node::Instant(instant(text, at())?), ColumnType::Instant))
                }
                _ => Err(fault(format!("literals of type {} are not understood", typed.data_type), at())),
            },
            Expr::IsNull(inner) => truth(Node::IsNull(Box::new(self.node(inner, down)?.node))),
            Expr::IsNotNull(inner) => truth(not(Node::IsNull(Box::new(self.node(inner, down)?.node)))),
            Expr::IsUnknown(inner) => truth(Node::IsNull(Box::new(self.boolean(inner, down)?))),
            Expr::IsNotUnknown(inner) => truth(not(Node::IsNull(Box::new(self.boolean(inner, down)?)))),
            Expr::IsTrue(inner) => truth(Node::Is(true, Box::new(self.boolean(inner, down)?))),
            Expr::IsFalse(inner) => truth(Node::Is(false, Box::new(self.boolean(inner, down)?))),
            Expr::IsNotTrue(inner) => truth(not(Node::Is(true, Box::new(self.boolean(inner, down)?)))),
            Expr::IsNotFalse(inner) => truth(not(Node::Is(false, Box::new(self.boolean(inner, down)?)))),
            Expr::UnaryOp { op, expr: inner } => match op {
                UnaryOperator::Not => truth(not(self.boolean(inner, down)?)),
                UnaryOperator::Plus => Ok(Typed::new(self.number(inner, down)?, ColumnType::Number)),
                UnaryOperator::Minus => {
                    let node = match self.number(inner, down)? {
                        Node::Number(number) => Node::Number(-number),
                        node => Node::OfNumber(OfNumber::Negate, Box::new(node)),
                    };
                    Ok(Typed::new(node, ColumnType::Number))
                }
                _ => Err(fault(format!("the operator `{op}` is not understood"), at())),
            },
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right, down),
            Expr::Between { expr: inner, negated, low, high } => {
                let from = self.compare(Comparison::GreaterOrEqual, inner, low, down)?;
                let to = self.compare(Comparison::LessOrEqual, inner, high, down)?;
                let node = Node::And(vec![from, to]);
                truth(if *negated { not(node) } else { node })
            }
            Expr::InList { expr: inner, list, negated } => {
                if list.is_empty() || list.len() > MAX_LIST {
                    let what = format!("IN takes 1 to {MAX_LIST} values, these are {}", list.len());
                    return Err(fault(what, at()));
                }
                let equal = |value: &Expr| self.compare(Comparison::Equal, inner, value, down);
                let node = Node::Or(list.iter().map(equal).collect::<Result<_, _>>()?);
                truth(if *negated { not(node) } else { node })
            }
            Expr::Like { negated, any: false, expr: inner, pattern, escape_char } => {
                truth(self.like(inner, pattern, escape_char.as_ref(), *negated, false, down)?)
            }
            Expr::ILike { negated, any: false, expr: inner, pattern, escape_char } => {
                truth(self.like(inner, pattern, escape_char.as_ref(), *negated, true, down)?)
            }
            Expr::Floor { expr: inner, field } | Expr::Ceil { expr: inner, field } => {
                let plain = matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime));
                if !plain {
                    return Err(fault("floor and ceil take one number", at()));
                }
                let what = if matches!(expr, Expr::Floor { .. }) { OfNumber::Floor } else { OfNumber::Ceiling };
                Ok(Typed::new(Node::OfNumber(what, Box::new(self.number(inner, down)?)), ColumnType::Number))
            }
            Expr::Function(function) => self.function(function, at(), down),
            Expr::Interval(_) => {
                Err(fault("intervals are not understood; write days_since(last_at) > 30 for `30 days ago`", at()))
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(fault("a condition looks at one user's columns; there are no queries in it", at()))
            }
            Expr::CompoundIdentifier(_) => {
                Err(fault(format!("`{expr}`: columns are named without a table in front"), at()))
            }
            _ => Err(fault(format!("`{expr}` is not understood in a condition"), at())),
        }
    }

    fn binary(
        &self,
        expr: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        depth: usize,
    ) -> Result<Typed, Fault> {
        let truth = |node| Ok(Typed::new(node, ColumnType::Boolean));
        let arithmetic = |how| {
            for side in [left, right] {
                if matches!(side, Expr::Interval(_)) {
                    return self.node(side, depth);
                }
            }
            let (a, b) = (self.number(left, depth)?, self.number(right, depth)?);
            Ok(Typed::new(Node::Arithmetic(how, Box::new(a), Box::new(b)), ColumnType::Number))
        };
        let compare = |how| self.compare(how, left, right, depth).and_then(truth);
        match op {
            BinaryOperator::And => truth(Node::And(self.chain(expr, &BinaryOperator::And, depth)?)),
            BinaryOperator::Or => truth(Node::Or(self.chain(expr, &BinaryOperator::Or, depth)?)),
            BinaryOperator::Eq => compare(Comparison::Equal),
            BinaryOperator::NotEq => compare(Comparison::NotEqual),
            BinaryOperator::Lt => compare(Comparison::Less),
            BinaryOperator::LtEq => compare(Comparison::LessOrEqual),
            BinaryOperator::Gt => compare(Comparison::Greater),
            BinaryOperator::GtEq => compare(Comparison::GreaterOrEqual),
            BinaryOperator::Plus => arithmetic(Arithmetic::Add),
            BinaryOperator::Minus => arithmetic(Arithmetic::Subtract),
            BinaryOperator::Multiply => arithmetic(Arithmetic::Multiply),
            BinaryOperator::Divide => arithmetic(Arithmetic::Divide),
            _ => Err(fault(format!("the operator `{op}` is not understood"), expr.span().start)),
        }
    }

    /// The conditions that stand in a row with AND, or with OR, between them.
    fn chain(&self, expr: &Expr, wanted: &BinaryOperator, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        let mut rest = expr;
        while let Expr::BinaryOp { left, op, right } = rest
            && op == wanted
        {
            nodes.push(self.boolean(right, depth)?);
            rest = left;
        }
        nodes.push(self.boolean(rest, depth)?);
        nodes.reverse();
        Ok(nodes)
    }

    fn typed(&self, expr: &Expr, wanted: ColumnType, depth: usize) -> Result<Node, Fault> {
        let typed = self.node(expr, depth)?;
        let is = typed.is;
        typed.into_type(wanted).ok_or_else(|| {
            let is = is.map_or("unknown", ColumnType::words);
            fault(format!("`{expr}` is {is}, {} is wanted here", wanted.words()), expr.span().start)
        })
    }

    fn boolean(&self, expr: &Expr, depth: usize) -> Result<Node, Fault> {
        self.typed(expr, ColumnType::Boolean, depth)
    }

    fn number(&self, expr: &Expr, depth: usize) -> Result<Node, Fault> {
        self.typed(expr, ColumnType::Number, depth)
    }

    fn column(&self, ident: &Ident) -> Result<Typed, Fault> {
        let name = &ident.value;
        if let Some((known, is)) = self.schema.resolve(name, ident.quote_style.is_some()) {
            return Ok(Typed::new(Node::Column(known.to_owned()), is));
        }
        let advice = match self.schema.nearest(name) {
            Some(nearest) => format!("; the nearest is `{nearest}`"),
            None if ident.quote_style == Some('"') => "; text stands in single quotes".to_owned(),
            None => String::new(),
        };
        Err(fault(format!("there is no column `{name}`{advice}"), ident.span.start))
    }

    fn compare(&self, how: Comparison, left: &Expr, right: &Expr, depth: usize) -> Result<Node, Fault> {
        let (a, b) = (self.node(left, depth)?, self.node(right, depth)?);
        let wrong = |a: ColumnType, b: ColumnType| {
            let what = format!("`{left}` is {} and `{right}` is {}: they cannot be compared", a.words(), b.words());
            Err(fault(what, left.span().start))
        };
        let (a, b) = match (a.is, b.is) {
            (None, _) | (_, None) => return Ok(Node::Null(ColumnType::Boolean)),
            (Some(x), Some(y)) if x == y || x == ColumnType::Any || y == ColumnType::Any => (a.node, b.node),
            // Instants are most easily written as text.
            (Some(x @ ColumnType::Instant), Some(y @ ColumnType::Text)) => match b.node {
                Node::Text(text) => (a.node, Node::Instant(instant(&text, right.span().start)?)),
                _ => return wrong(x, y),
            },
            (Some(x @ ColumnType::Text), Some(y @ ColumnType::Instant)) => match a.node {
                Node::Text(text) => (Node::Instant(instant(&text, left.span().start)?), b.node),
                _ => return wrong(x, y),
            },
            (Some(x), Some(y)) => return wrong(x, y),
        };
        Ok(Node::Compare(how, Box::new(a), Box::new(b)))
    }

    fn like(
        &self,
        inner: &Expr,
        pattern: &Expr,
        escape: Option<&ValueWithSpan>,
        negated: bool,
        folded: bool,
        depth: usize,
    ) -> Result<Node, Fault> {
        let text = self.typed(inner, ColumnType::Text, depth)?;
        let at = pattern.span().start;
        let Expr::Value(value) = pattern else {
            return Err(fault("the pattern of LIKE is a text in single quotes", at));
        };
        let Some(pattern) = text_of(value) else {
            return Err(fault("the pattern of LIKE is a text in single quotes", at));
        };
        let escape = match escape {
            None => Some('\\'),
            Some(value) => {
                let mut chars = text_of(value).unwrap_or_default().chars();
                match (chars.next(), chars.next()) {
                    (escape, None) => escape,
                    _ => return Err(fault("ESCAPE takes one character", at)),
                }
            }
        };
        let pattern = Pattern::new(pattern, escape, folded).map_err(|what| fault(what, at))?;
        let node = Node::Like(Box::new(text), pattern);
        Ok(if negated { not(node) } else { node })
    }

    fn function(&self, function: &Function, at: Location, depth: usize) -> Result<Typed, Fault> {
        let name = function.name.to_string().to_lowercase();
        let plain = function.over.is_none()
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && matches!(function.parameters, FunctionArguments::None);
        let mut arguments = Vec::new();
        match &function.args {
            FunctionArguments::List(list) if plain && list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
                for argument in &list.args {
                    match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => arguments.push(expr),
                        _ => return Err(fault(format!("an argument of {name} is not understood"), at)),
                    }
                }
            }
            _ => return Err(fault(format!("`{function}` is not understood in a condition"), at)),
        }
        let one = || match arguments.as_slice() {
            [only] => Ok(*only),
            _ => Err(fault(format!("{name} takes one argument, has {}", arguments.len()), at)),
        };
        let of_number = |what| {
            let node = Node::OfNumber(what, Box::new(self.number(one()?, depth)?));
            Ok(Typed::new(node, ColumnType::Number))
        };
        let of_text = |what| {
            let node = Node::OfText(what, Box::new(self.typed(one()?, ColumnType::Text, depth)?));
            Ok(Typed::new(node, ColumnType::Text))
        };
        match name.as_str() {
            "abs" => of_number(OfNumber::Absolute),
            "floor" => of_number(OfNumber::Floor),
            "ceil" | "ceiling" => of_number(OfNumber::Ceiling),
            "round" => self.round(&arguments, at, depth),
            "lower" => of_text(OfText::Lower),
            "upper" => of_text(OfText::Upper),
            "length" | "char_length" => {
                let node = Node::Length(Box::new(self.typed(one()?, ColumnType::Text, depth)?));
                Ok(Typed::new(node, ColumnType::Number))
            }
            "days_since" => {
                let argument = one()?;
                let node = match self.node(argument, depth)? {
                    Typed { node: Node::Text(text), .. } => Node::Instant(instant(&text, argument.span().start)?),
                    _ => self.typed(argument, ColumnType::Instant, depth)?,
                };
                Ok(Typed::new(Node::DaysSince(Box::new(node)), ColumnType::Number))
            }
            "coalesce" => self.coalesce(&arguments, at, depth),
            _ => {
                let nearest = FUNCTIONS.split(", ").find(|known| strsim::jaro_winkler(known, &name) > 0.85);
                let advice = nearest.map_or_else(
                    || format!("; there are {FUNCTIONS}"),
                    |nearest| format!("; the nearest is `{nearest}`"),
                );
                Err(fault(format!("there is no function `{name}`{advice}"), at))
            }
        }
    }

    fn round(&self, arguments: &[&Expr], at: Location, depth: usize) -> Result<Typed, Fault> {
        let (number, places) = match arguments {
            [number] => (number, 0),
            [number, places] => match self.number(places, depth)? {
                Node::Number(places) if places.fract() == 0.0 && (0.0..=9.0).contains(&places) => {
                    (number, places as i32)
                }
                _ => return Err(fault("round takes 0 to 9 decimal places", places.span().start)),
            },
            _ => return Err(fault(format!("round takes one or two arguments, has {}", arguments.len()), at)),
        };
        let node = Node::OfNumber(OfNumber::Round(places), Box::new(self.number(number, depth)?));
        Ok(Typed::new(node, ColumnType::Number))
    }

    fn coalesce(&self, arguments: &[&Expr], at: Location, depth: usize) -> Result<Typed, Fault> {
        let mut typed = Vec::new();
        for argument in arguments {
            typed.push((self.node(argument, depth)?, argument));
        }
        let Some(is) = typed.iter().find_map(|(typed, _)| typed.is) else {
            return if typed.is_empty() { Err(fault("coalesce takes arguments", at)) } else { Ok(Typed::null()) };
        };
        let mut nodes = Vec::new();
        for (typed, argument) in typed {
            let found = typed.is;
            nodes.push(typed.into_type(is).ok_or_else(|| {
                let what = format!(
                    "the arguments of coalesce are of one type: `{argument}` is {}, {} is wanted",
                    found.map_or("unknown", ColumnType::words),
                    is.words()
                );
                fault(what, argument.span().start)
            })?);
        }
        Ok(Typed::new(Node::Coalesce(nodes), is))
    }
}

fn not(node: Node) -> Node {
    Node::Not(Box::new(node))
}

fn text_of(value: &ValueWithSpan) -> Option<&str> {
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

fn literal(value: &ValueWithSpan) -> Result<Typed, Fault> {
    let at = value.span.start;
    match &value.value {
        Value::Number(digits, false) => match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Typed::new(Node::Number(number), ColumnType::Number)),
            _ => Err(fault(format!("`{digits}` is no number"), at)),
        },
        Value::SingleQuotedString(text) => Ok(Typed::new(Node::Text(text.clone()), ColumnType::Text)),
        Value::Boolean(truth) => Ok(Typed::new(Node::Boolean(*truth), ColumnType::Boolean)),
        Value::Null => Ok(Typed::null()),
        other => Err(fault(format!("the literal {other} is not understood"), at)),
    }
}

/// Unix seconds of `2026-11-21`, `2026-11-21 20:15:00` (UTC) or `2026-11-21T20:15:00Z`.
fn instant(text: &str, at: Location) -> Result<i64, Fault> {
    let utc = |time: jiff::civil::DateTime| time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp());
    text.parse::<jiff::Timestamp>()
        .ok()
        .or_else(|| text.parse::<jiff::civil::DateTime>().ok().and_then(utc))
        .or_else(|| text.parse::<jiff::civil::Date>().ok().and_then(|day| utc(day.at(0, 0, 0, 0))))
        .map(jiff::Timestamp::as_second)
        .ok_or_else(|| fault(format!("'{text}' is no instant; write '2026-11-21' or '2026-11-21 20:15:00'"), at))
}
