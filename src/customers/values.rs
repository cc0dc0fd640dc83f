//! From a source's arrays to values of few types.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType},
    error::ArrowError,
};

use super::wanted::Want;

/// A column's values.
#[derive(Debug)]
pub(super) enum Values {
    Text(StringArray),
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    /// Milliseconds since 1970, UTC.
    Time(TimestampMillisecondArray),
    /// A flag, and how many values were not understood.
    Flag(BooleanArray, u64),
}

/// The type of a kept column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Bool => "a boolean",
            Self::Time => "a time",
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary),
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64)
}

/// What a column of a type becomes; `None` when it cannot be what it is wanted for.
pub(super) fn kind(data_type: &DataType, want: Want) -> Option<Kind> {
    let any = match data_type {
        text if is_text(text) => Kind::Text,
        DataType::Boolean => Kind::Bool,
        time if is_time(time) => Kind::Time,
        number if number.is_integer() => Kind::Int,
        number if number.is_numeric() => Kind::Float,
        _ => return None,
    };
    match (want, any) {
        (Want::Id, Kind::Text | Kind::Int) | (Want::Text, Kind::Text) => Some(Kind::Text),
        (Want::Consent | Want::Block, Kind::Text | Kind::Int | Kind::Bool | Kind::Time) => Some(Kind::Bool),
        (Want::Time, Kind::Text | Kind::Time) => Some(Kind::Time),
        (Want::Any, any) => Some(any),
        _ => None,
    }
}

/// Reads a column whose type [`kind`] has accepted.
pub(super) fn values(array: &ArrayRef, want: Want) -> Result<Values, ArrowError> {
    // Bytes that are no UTF-8 become null.
    let text = |array: &ArrayRef| Ok::<_, ArrowError>(cast(array, &DataType::Utf8)?.as_string::<i32>().clone());
    Ok(match (want, kind(array.data_type(), want)) {
        (Want::Consent | Want::Block, _) => {
            let (flags, n_unreadable) = flags(array, want == Want::Block)?;
            Values::Flag(flags, n_unreadable)
        }
        (_, Some(Kind::Int)) => Values::Int(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        (_, Some(Kind::Float)) => Values::Float(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        (_, Some(Kind::Bool)) => Values::Bool(array.as_boolean().clone()),
        (_, Some(Kind::Time)) => {
            let times = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            Values::Time(times.as_primitive::<TimestampMillisecondType>().clone())
        }
        _ => Values::Text(text(array)?),
    })
}

/// Flags of booleans, numbers, text and times; null is no, a time says that it is so since then.
fn flags(array: &ArrayRef, unreadable: bool) -> Result<(BooleanArray, u64), ArrowError> {
    let mut n_unreadable = 0;
    let flags = match array.data_type() {
        DataType::Boolean => array.as_boolean().iter().map(|flag| flag.unwrap_or(false)).collect::<Vec<_>>(),
        time if is_time(time) => (0..array.len()).map(|row| array.is_valid(row)).collect(),
        number if number.is_integer() => {
            let numbers = cast(array, &DataType::Int64)?;
            numbers.as_primitive::<Int64Type>().iter().map(|number| number.is_some_and(|number| number != 0)).collect()
        }
        _ => {
            let text = cast(array, &DataType::Utf8)?;
            let text = text.as_string::<i32>();
            let mut read = |text: Option<&str>| match text.map(str::trim).map(str::to_lowercase).as_deref() {
                None | Some("") => false,
                Some("true" | "t" | "yes" | "y" | "1") => true,
                Some("false" | "f" | "no" | "n" | "0") => false,
                Some(_) => {
                    n_unreadable += 1;
                    unreadable
                }
            };
            text.iter().map(&mut read).collect()
        }
    };
    Ok((BooleanArray::from(flags), n_unreadable))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn flags_lean_to_the_safe_side() {
        let text: ArrayRef =
            Arc::new(StringArray::from(vec![Some("Yes"), Some("n"), None, Some("maybe"), Some(" 1 ")]));
        let read = |want| match values(&text, want).unwrap() {
            Values::Flag(flags, n) => (flags.iter().map(Option::unwrap).collect::<Vec<_>>(), n),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(Want::Consent), (vec![true, false, false, false, true], 1));
        assert_eq!(read(Want::Block), (vec![true, false, false, true, true], 1));
        let since: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1), None]));
        let Values::Flag(flags, 0) = values(&since, Want::Block).unwrap() else { panic!() };
        assert_eq!(flags, BooleanArray::from(vec![true, false]));
        assert_eq!(kind(&DataType::Float64, Want::Consent), None);
        assert_eq!(kind(&DataType::Float64, Want::Id), None);
    }
}
