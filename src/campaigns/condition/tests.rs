//! Conditions against SQL's rules, one by one and at random.

use proptest::prelude::*;

use super::{
    reference::{Cell, Row, value},
    *,
};

const AS_OF: i64 = 1_790_000_000;

fn schema() -> Schema {
    let mut schema = Schema::new();
    for (name, is) in [
        ("a", ColumnType::Number),
        ("b", ColumnType::Number),
        ("s", ColumnType::Text),
        ("t", ColumnType::Text),
        ("f", ColumnType::Boolean),
        ("i", ColumnType::Instant),
        ("orders_90d", ColumnType::Number),
        ("n_Odd name^$_7d", ColumnType::Number),
    ] {
        schema.put(name, is);
    }
    schema
}

fn rows() -> Vec<Row> {
    let number = |x: Option<f64>| x.map_or(Cell::Null, Cell::Number);
    let text = |x: Option<&str>| x.map_or(Cell::Null, |x| Cell::Text(x.to_owned()));
    let mut rows = Vec::new();
    for a in [None, Some(-2.5), Some(0.0), Some(3.0)] {
        for b in [None, Some(0.0), Some(3.0)] {
            for (s, t) in
                [(None, Some("de")), (Some("DE"), Some("DE")), (Some("Größe_1%"), None), (Some(""), Some("x"))]
            {
                for f in [None, Some(true), Some(false)] {
                    let i = if a.is_none() { None } else { Some(AS_OF - 86_400 * rows.len() as i64 / 2) };
                    rows.push(Row::from([
                        ("a", number(a)),
                        ("b", number(b)),
                        ("s", text(s)),
                        ("t", text(t)),
                        ("f", f.map_or(Cell::Null, Cell::Boolean)),
                        ("i", i.map_or(Cell::Null, Cell::Instant)),
                        ("orders_90d", number(Some(rows.len() as f64))),
                        ("n_Odd name^$_7d", number(b)),
                    ]));
                }
            }
        }
    }
    rows
}

fn table(rows: &[Row]) -> UserTable {
    let mut table = UserTable::new(rows.len(), Some(AS_OF));
    for (name, is) in schema().iter() {
        let cells = || rows.iter().map(move |row| row[name].clone());
        match is {
            ColumnType::Number => {
                table.put_numbers(name, cells().map(|cell| if let Cell::Number(x) = cell { Some(x) } else { None }))
            }
            ColumnType::Text | ColumnType::Any => {
                let texts: Vec<Option<String>> =
                    cells().map(|cell| if let Cell::Text(x) = cell { Some(x) } else { None }).collect();
                table.put_texts(name, texts.iter().map(Option::as_deref))
            }
            ColumnType::Boolean => {
                table.put_booleans(name, cells().map(|cell| if let Cell::Boolean(x) = cell { Some(x) } else { None }))
            }
            ColumnType::Instant => {
                table.put_instants(name, cells().map(|cell| if let Cell::Instant(x) = cell { Some(x) } else { None }))
            }
        }
        .unwrap();
    }
    table
}

/// The rows a condition holds of, after the reference was asked the same.
fn holding(text: &str) -> Vec<Row> {
    let rows = rows();
    let condition = Condition::parse(text, &schema()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let holds = condition.holds(&table(&rows), "campaign.x.audience").unwrap();
    let naive: Vec<bool> = rows.iter().map(|row| value(&condition.0.node, row, AS_OF) == Cell::Boolean(true)).collect();
    assert_eq!(holds, naive, "{text}");
    rows.into_iter().zip(holds).filter(|(_, holds)| *holds).map(|(row, _)| row).collect()
}

fn fault(text: &str) -> String {
    Condition::parse(text, &schema()).unwrap_err().to_string()
}

#[test]
fn unknown_is_neither_true_nor_false() {
    let n = rows().len();
    assert_eq!(holding("a = a").len(), n * 3 / 4, "NULL = NULL is unknown");
    assert_eq!(holding("NOT (a = 3)").len(), n / 2);
    assert_eq!(holding("a = 3 OR NOT (a = 3)").len(), n * 3 / 4);
    assert_eq!(holding("a IS NULL").len(), n / 4);
    assert_eq!(holding("f IS NOT TRUE").len(), n * 2 / 3);
    assert_eq!(holding("f OR TRUE").len(), n);
    assert_eq!(holding("f AND NULL").len(), 0);
    assert_eq!(holding("(f AND FALSE) IS FALSE").len(), n, "unknown and false is false");
    assert_eq!(holding("NULL").len(), 0);
    assert_eq!(holding("a NOT IN (0, NULL)").len(), 0, "whether a is not in an unknown list is unknown");
    assert_eq!(holding("a IN (0, NULL)").len(), n / 4);
    assert_eq!(holding("1 = 1").len(), n);
    assert_eq!(holding("a / b > 0 OR a / b <= 0").len(), n / 4, "by zero is unknown");
}

#[test]
fn every_part_of_the_language_is_what_the_reference_says() {
    for text in [
        "a >= -2.5 AND b < 3",
        "a BETWEEN -1 AND b",
        "a NOT BETWEEN -1 AND b",
        "s IN ('DE', 'x') OR t NOT IN ('de')",
        "s LIKE 'Gr__e%' OR t LIKE '%e'",
        "s NOT LIKE '%\\%'",
        "s LIKE '%!%' ESCAPE '!'",
        "t ILIKE 'D_'",
        "lower(s) = t OR upper(t) = s",
        "length(s) > 2",
        "abs(a) - b * 2 + 1 > -(b)",
        "floor(a) = -3 OR ceil(a) = -2",
        "round(a) = -3 OR round(a / 7, 2) = -0.36",
        "coalesce(a, b, 7) = 7",
        "coalesce(NULL, s, 'none') <> 'none'",
        "days_since(i) > 20.5",
        "i < '2026-09-01'",
        "DATE '2026-09-01' <= i",
        "i BETWEEN TIMESTAMP '2026-09-01 00:00:00' AND '2026-09-10T00:00:00Z'",
        "f = TRUE",
        "f <> (a > 0)",
        "(f IS UNKNOWN) = (a IS NULL)",
        "\"n_Odd name^$_7d\" = 3",
        "ORDERS_90D > 70",
    ] {
        let n = holding(text).len();
        assert!(n > 0 && n < rows().len(), "{text} holds of {n}");
    }
}

#[test]
fn faults_name_the_place_and_the_nearest_column() {
    assert_eq!(fault("orders_9d >= 2"), "there is no column `orders_9d`; the nearest is `orders_90d` (at column 1)");
    assert_eq!(
        fault("a > 1 AND\n  s > 2"),
        "`s` is text and `2` is a number: they cannot be compared (at line 2, column 3)"
    );
    assert_eq!(fault("a + 1"), "a condition is true or false, this is a number (at column 1)");
    assert_eq!(fault("a AND f"), "`a` is a number, true or false is wanted here (at column 1)");
    assert_eq!(fault("s = \"DE\""), "there is no column `DE`; text stands in single quotes (at column 5)");
    assert_eq!(fault("f OR lowr(s) = 'x'"), "there is no function `lowr`; the nearest is `lower` (at column 6)");
    assert_eq!(fault("i < 'soon'"), "'soon' is no instant; write '2026-11-21' or '2026-11-21 20:15:00' (at column 5)");
    assert!(fault("i > 5").starts_with("`i` is an instant and `5` is a number"));
    assert!(fault("").starts_with("it is empty"));
    assert!(fault("a = 1 b").contains("`b` is not expected here (at column 7)"), "{}", fault("a = 1 b"));
    assert!(fault("a = ").contains("Expected"), "{}", fault("a = "));
    assert!(fault("s = 'x").contains("Unterminated"), "{}", fault("s = 'x"));
    assert!(fault("a IN (SELECT 1)").contains("no queries"));
    assert!(fault("sum(a) > 1").contains("there is no function `sum`"));
    assert!(fault("abs(a, b) > 1").contains("abs takes one argument, has 2"));
    assert!(fault("users.a > 1").contains("without a table in front"));
    assert!(fault("i > i - INTERVAL '3' DAY").contains("days_since"));
    assert!(fault("a % 2 = 0").contains("the operator `%`"));
    assert!(fault("coalesce(a, s) = 1").contains("of one type"));
    assert!(fault(&format!("a = {}1", "-".repeat(3_000))).len() < 200);
    assert!(fault(&"(".repeat(5_000)).contains("nested too deeply"));
    assert!(fault(&format!("a > 0{}", " + 1".repeat(400))).contains("nested too deeply"));
    assert!(fault(&"x".repeat(10_001)).contains("10000 are allowed"));
    assert!(Expression::parse("f", &schema()).unwrap_err().to_string().contains("a number is wanted"));
}

#[test]
fn a_column_of_a_type_to_come_goes_with_everything() {
    let mut schema = schema();
    schema.put("x", ColumnType::Any);
    for text in ["x", "x = 1", "'a' < x", "x AND f", "x LIKE 'a%'", "x + 1 > days_since(x)", "coalesce(x, 1) = 'a'"] {
        Condition::parse(text, &schema).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    }
}

#[test]
fn long_rows_of_or_are_no_deep_tree() {
    let text = (0..900).map(|n| format!("a = {n}")).collect::<Vec<_>>().join(" OR ");
    assert_eq!(holding(&text).len(), rows().len() / 2);
    let list = (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(holding(&format!("a IN ({list})")).len(), rows().len() / 2);
}

#[test]
fn expressions_are_numbers_and_nothing_else() {
    let rows = rows();
    let expression = Expression::parse("a * 2 + coalesce(b, 1)", &schema()).unwrap();
    let numbers = expression.numbers(&table(&rows), "campaign.x.order_by").unwrap();
    for (row, number) in rows.iter().zip(numbers) {
        let expected = match value(&expression.0.node, row, AS_OF) {
            Cell::Number(number) => Some(number),
            _ => None,
        };
        assert_eq!(number, expected);
    }
    assert_eq!(expression.columns().iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn nobody_is_asked_of_an_empty_bucket() {
    let condition = Condition::parse("a > 1 OR 1 = 1", &schema()).unwrap();
    assert!(condition.holds(&table(&[]), "campaign.x.audience").unwrap().is_empty());
    let missing = condition.holds(&UserTable::new(2, None), "campaign.x.audience").unwrap_err();
    assert_eq!(missing.to_string(), "campaign.x.audience: the column `a` is not among those of this run's users");
}

fn number_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("NULL".to_owned()),
        (-3i8..4).prop_map(|n| n.to_string()),
        Just("length(s)".to_owned()),
        Just("round(days_since(i), 1)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("abs({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
        ]
    })
}

fn condition_text() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        3 => (number_text(), compare, number_text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (number_text(), number_text(), number_text()).prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
        1 => (number_text(), number_text(), number_text()).prop_map(|(a, b, c)| format!("{a} NOT IN ({b}, {c})")),
        1 => prop::sample::select(vec!["s = t", "s LIKE '%_%'", "t IN ('de', 'x')", "f", "NULL", "i < '2026-09-10'"])
            .prop_map(str::to_owned),
        1 => number_text().prop_map(|a| format!("{a} IS NULL")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.clone().prop_map(|a| format!("({a}) IS NOT FALSE")),
            inner.prop_map(|a| format!("({a}) IS UNKNOWN")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn polars_says_what_the_reference_says(text in condition_text()) {
        holding(&text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9 ()'\"%<>=,+*/.;-]{0,60}") {
        let _ = Condition::parse(&text, &schema());
        let _ = Expression::parse(&text, &schema());
    }
}
