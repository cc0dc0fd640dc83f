//! `report.html`: what it says, what it leaves out, what it never lets through.

mod example;

use std::sync::OnceLock;

use jiff::civil::date;
use nightshelf::report::{
    DaySeries, EventsByDay, ExampleAction, ExampleUser, FilterStep, Histogram, InputFile, ListSource, ListSources,
    ListedItem, LossPoint, RejectedReason, ReportData, ReportError, Scores, SimilarExample, Stage, render,
};

use example::example;

/// The text a reader sees, a line an element, without style, script and drawings.
fn text_of(page: &str) -> String {
    let body = page.split("<body>").nth(1).unwrap();
    let mut out = String::new();
    let mut rest = body;
    while let Some(open) = rest.find('<') {
        out.push_str(rest[..open].trim_matches(['\n', '\r']));
        let tag_end = rest[open..].find('>').unwrap() + open + 1;
        let tag = &rest[open..tag_end];
        let skip = ["<svg", "<script"].into_iter().find(|name| tag.starts_with(name));
        if let Some(name) = skip {
            let close = format!("</{}>", &name[1..]);
            rest = &rest[rest.find(&close).unwrap() + close.len()..];
            continue;
        }
        let inline = ["<b", "</b>", "<i", "</i>", "<code", "</code>", "<span", "</span>"];
        let is_inline = inline.iter().any(|name| {
            tag.strip_prefix(name).is_some_and(|after| name.ends_with('>') || after.starts_with(['>', ' ']))
        });
        if tag.starts_with("<h1") || tag.starts_with("<h2") || tag.starts_with("<h3") {
            out.push_str(&format!("\n{} ", "#".repeat(tag.as_bytes()[2] as usize - usize::from(b'0'))));
        } else if ["</td>", "</th>"].contains(&tag) {
            out.push(' ');
        } else if tag.starts_with("<td") || tag.starts_with("<th") && !tag.starts_with("<thead") {
            out.push_str(" | ");
        } else if is_inline {
            out.push(' ');
        } else {
            out.push('\n');
        }
        rest = &rest[tag_end..];
    }
    let lines = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty() && line != "|").collect::<Vec<_>>().join("\n")
}

/// The page of [`example`], rendered once for all who only read it.
fn example_page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| render(&example()).unwrap())
}

fn small() -> ReportData {
    let mut data = ReportData::default();
    data.run.name = "small".to_owned();
    data.run.version = "0.1.0".to_owned();
    data.headline.rows_read = 1_000;
    data.headline.rows_rejected = 25;
    data.headline.n_users = 40;
    data.headline.n_items = 12;
    data.headline.n_interactions = 310;
    data.headline.lists_written = 40;
    data.headline.k = 5;
    data.headline.model = "item_item".to_owned();
    data.headline.seconds = 0.212;
    data.warnings = vec!["no catalogue: every item counts as available".to_owned()];
    data.events_by_day = Some(EventsByDay {
        dates: vec![date(2026, 11, 1), date(2026, 11, 3)],
        series: vec![DaySeries { event_type: "view".to_owned(), counts: vec![600, 375] }],
    });
    data.rejected = vec![RejectedReason {
        reason: "null_user".to_owned(),
        count: 25,
        share: 0.025,
        advice: "Map another column.".to_owned(),
    }];
    data.filters = vec![FilterStep {
        name: "bots".to_owned(),
        rule: "more than 500 events an hour".to_owned(),
        unit: "users".to_owned(),
        before: 41,
        removed: 1,
    }];
    data.list_sources = Some(ListSources {
        by_source: vec![
            ListSource { source: "popular".to_owned(), users: 2 },
            ListSource { source: "item_item".to_owned(), users: 38 },
        ],
        short_lists: 3,
        users_without_list: 0,
    });
    data.stages = vec![Stage { name: "read".to_owned(), seconds: 0.1, rows: Some(1_000), unit: "rows".to_owned() }];
    data.inputs = vec![InputFile { path: "events/a.parquet".to_owned(), bytes: 20_480, rows: Some(1_000) }];
    data.example_users = vec![ExampleUser {
        user: "17".to_owned(),
        source: "item_item".to_owned(),
        n_interactions: 3,
        actions: vec![ExampleAction {
            item: "a".to_owned(),
            event_type: "view".to_owned(),
            ..ExampleAction::default()
        }],
        recommendations: vec![listed("b", None, 0.75), listed("c", Some("Enamel mug"), 0.5)],
    }];
    data
}

fn listed(item: &str, title: Option<&str>, score: f64) -> ListedItem {
    ListedItem { item: item.to_owned(), title: title.map(str::to_owned), category: None, score }
}

#[test]
fn the_text_of_a_small_page() {
    insta::assert_snapshot!("report_small", text_of(&render(&small()).unwrap()));
}

#[test]
fn trending_and_bought_together_are_shown_where_the_run_has_them() {
    let without = text_of(&render(&small()).unwrap());
    assert!(!without.contains("Trending") && !without.contains("Bought together"), "{without}");
    let mut data = small();
    data.trending = vec![listed("lamp", Some("Desk lamp"), 2.5), listed("fan", None, 1.25)];
    data.bought_together = vec![SimilarExample {
        item: "bread".to_owned(),
        title: Some("Rye bread".to_owned()),
        category: None,
        neighbours: vec![listed("butter", Some("Salted butter"), 3.0)],
    }];
    let with = text_of(&render(&data).unwrap());
    for word in ["Trending", "Desk lamp", "fan", "Bought together", "With Rye bread", "Salted butter"] {
        assert!(with.contains(word), "{word} is missing in:\n{with}");
    }
    data.trending[0].score = f64::INFINITY;
    assert!(render(&data).is_err());
}

#[test]
fn every_part_says_why_it_is_empty() {
    let text = text_of(&render(&ReportData::default()).unwrap());
    for note in [
        "The input has no timestamps",
        "No row was rejected.",
        "No filter was at work.",
        "There is no popularity of items to show.",
        "There is no activity of users to show.",
        "There is no loss to show.",
        "There are no scores to draw.",
        "Coverage of the catalogue was not measured.",
        "Sources of lists were not counted.",
        "There are no places on lists to compare.",
        "No user was picked as an example.",
        "There is no popular list.",
        "There are no similar items",
        "No stage was timed.",
        "No file was read.",
        "The config was not recorded.",
    ] {
        assert!(text.contains(note), "{note} is missing in:\n{text}");
    }
}

#[test]
fn a_model_without_loss_is_named() {
    let mut data = example();
    data.training.clear();
    data.headline.model = "popularity".to_owned();
    assert!(text_of(&render(&data).unwrap()).contains("The model popularity reports no loss."));
}

#[test]
fn words_from_outside_never_become_markup() {
    let evil = "\"><script>alert('x')</script><img src=x onerror=alert(1)>'{{ data }}</title></svg>";
    let word = || evil.to_owned();
    let mut data = small();
    data.run.name = word();
    data.run.version = word();
    data.run.content_hash = Some(word());
    data.headline.model = word();
    data.warnings = vec![word()];
    data.events_by_day.as_mut().unwrap().series[0].event_type = word();
    data.rejected[0].reason = word();
    data.rejected[0].advice = word();
    data.filters[0].name = word();
    data.filters[0].rule = word();
    data.filters[0].unit = word();
    data.list_sources.as_mut().unwrap().by_source[0].source = word();
    data.stages[0].name = word();
    data.stages[0].unit = word();
    data.inputs[0].path = word();
    let user = &mut data.example_users[0];
    (user.user, user.source) = (word(), word());
    user.actions =
        vec![ExampleAction { item: word(), title: Some(word()), category: Some(word()), event_type: word(), at: None }];
    let item = ListedItem { item: word(), title: Some(word()), category: Some(word()), score: 1.0 };
    user.recommendations = vec![item.clone()];
    data.popular = vec![item.clone()];
    data.similar =
        vec![SimilarExample { item: word(), title: Some(word()), category: Some(word()), neighbours: vec![item] }];
    data.trending.clone_from(&data.popular);
    data.bought_together.clone_from(&data.similar);
    data.config = word();

    let page = render(&data).unwrap();
    assert!(page.contains("&lt;script&gt;alert("), "the words are on the page");
    assert!(page.contains("{{ data }}"), "and are not a template");
    assert_eq!(page.matches("<script").count(), 1, "the page's own script is the only one");
    assert!(!page.contains("<img") && !page.contains("onerror=alert(1)>'"), "no element and no attribute was made");
    assert_eq!(
        page.matches("</title>").count(),
        render(&small_with_same_parts(&data)).unwrap().matches("</title>").count()
    );
}

/// The same page with harmless words, to count elements against.
fn small_with_same_parts(data: &ReportData) -> ReportData {
    let mut harmless = data.clone();
    harmless.run.name = "name".to_owned();
    harmless.events_by_day.as_mut().unwrap().series[0].event_type = "view".to_owned();
    harmless.list_sources.as_mut().unwrap().by_source[0].source = "als".to_owned();
    harmless.stages[0].name = "read".to_owned();
    harmless
}

#[test]
fn the_same_data_give_the_same_bytes() {
    assert_eq!(render(&example()).unwrap(), example_page());
}

#[test]
fn a_normal_report_is_small_and_asks_for_nothing() {
    let page = example_page();
    // For looking at it: NIGHTSHELF_REPORT_HTML=report.html cargo test --test it report
    if let Some(path) = std::env::var_os("NIGHTSHELF_REPORT_HTML") {
        std::fs::write(path, page).unwrap();
    }
    assert!(page.len() < 400_000, "{} bytes", page.len());
    for request in ["http://", "https://", "url(", "@import", "<iframe", "<object"] {
        assert!(!page.contains(request), "{request}");
    }
    for attribute in [" src=", " href="] {
        for value in page.split(attribute).skip(1) {
            let value = value.trim_start_matches('"');
            assert!(value.starts_with('#') || value.starts_with("data:,"), "{attribute}{}", &value[..20]);
        }
    }
}

#[test]
fn years_of_days_and_thousands_of_files_stay_small() {
    let mut data = example();
    let start = date(2018, 1, 1);
    let dates: Vec<_> = start.series(jiff::Span::new().days(1)).take(3_000).collect();
    let series = (0..20).map(|n| DaySeries { event_type: format!("type {n}"), counts: vec![n; dates.len()] }).collect();
    data.events_by_day = Some(EventsByDay { dates, series });
    data.inputs =
        (0..5_000).map(|n| InputFile { path: format!("events/{n:05}.parquet"), bytes: 1_000, rows: None }).collect();
    let page = render(&data).unwrap();
    assert!(page.len() < 400_000, "{} bytes", page.len());
    let text = text_of(&page);
    assert!(text.contains("13 other types"), "twenty types: seven and the rest");
    assert!(text.contains("The first 200 are listed"));
}

#[test]
fn every_drawing_has_title_description_and_unique_ids() {
    let page = example_page();
    let drawings: Vec<&str> = page.split("<svg class=\"chart\"").skip(1).collect();
    assert_eq!(drawings.len(), 13, "8 charts, scores twice, days and stages narrow too, two of campaigns");
    for drawing in drawings {
        let drawing = drawing.split("</svg>").next().unwrap();
        assert!(
            drawing.contains("role=\"img\"") && drawing.contains("<title id=\"") && drawing.contains("<desc id=\"")
        );
        assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
    }
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let n_ids = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n_ids, "an id stands twice");
}

#[test]
fn elements_are_closed_in_order() {
    for page in [example_page(), &render(&small()).unwrap(), &render(&ReportData::default()).unwrap()] {
        // `//` and `<` in the script are not tags.
        let start = page.find("<script>").unwrap();
        let page = format!("{}{}", &page[..start], &page[page.find("</script>").unwrap() + 9..]);
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let name = tag.split([' ', '\n']).next().unwrap();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "in {open:?}");
            } else if !tag.ends_with('/') && !["!doctype", "meta", "link"].contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn numbers_that_are_none_are_refused_by_name() {
    let refused = |change: fn(&mut ReportData)| {
        let mut data = example();
        change(&mut data);
        render(&data).unwrap_err()
    };
    let error = refused(|data| data.training[3].loss = f64::NAN);
    assert!(
        matches!(error, ReportError::NotFinite { .. }) && error.to_string().contains("training.loss[3]"),
        "{error}"
    );
    let error = refused(|data| data.headline.seconds = f64::INFINITY);
    assert!(error.to_string().contains("headline.seconds"), "{error}");
    let error = refused(|data| data.popular[0].score = f64::NAN);
    assert!(error.to_string().contains("score"), "{error}");
    let error = refused(|data| data.scores.as_mut().unwrap().top.edges[1] = f64::NAN);
    assert!(error.to_string().contains("edges[1]"), "{error}");
    let error = refused(|data| data.events_by_day.as_mut().unwrap().series[1].counts.truncate(5));
    assert!(matches!(error, ReportError::Ragged { .. }) && error.to_string().contains("events_by_day.cart"), "{error}");
    let error = refused(|data| data.events_by_day.as_mut().unwrap().dates.swap(0, 1));
    assert!(matches!(error, ReportError::NotAscending { .. }), "{error}");
    let error = refused(|data| data.long_tail.as_mut().unwrap().points[0].users = 0);
    assert!(matches!(error, ReportError::NotPositive { .. }), "{error}");
}

#[test]
fn a_single_day_point_and_bin_are_drawn() {
    let mut data = small();
    data.events_by_day = Some(EventsByDay {
        dates: vec![date(2026, 11, 1)],
        series: vec![DaySeries { event_type: "view".to_owned(), counts: vec![9] }],
    });
    data.training = vec![LossPoint { iteration: 1, loss: -3.5 }];
    data.activity = Some(Histogram::log2([1, 1]));
    data.scores = Some(Scores::from_lists(&[0.5], &[], 20));
    let page = render(&data).unwrap();
    assert!(!page.contains("NaN"));
    for id in ["chart-days-t", "chart-loss-t", "chart-activity-t", "chart-score-top-t"] {
        assert!(page.contains(id), "{id}");
    }
    assert!(!page.contains("chart-score-kth-t"));
}
