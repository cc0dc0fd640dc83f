//! Imports go down only. The floors are read from the drawing in `src/lib.rs`, so the drawing cannot go stale.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The name that stands for what lies beside the stairs: it may look at the floors up to the formats', and the ones above at it.
const BESIDE: usize = usize::MAX;

/// The highest floor that is pure.
const PURE: usize = 3;

/// The floor of the formats: the highest that what lies beside the stairs may look at.
const FORMATS: usize = 5;

/// What a pure floor never mentions, and why a path to it counts: files, environment, clocks, printing, async, AWS, SQL.
const IMPURE: [&[&str]; 15] = [
    &["std", "::", "fs"],
    &["std", "::", "env"],
    &["std", "::", "net"],
    &["std", "::", "process"],
    &["std", "::", "time", "::", "Instant"],
    &["Instant", "::", "now"],
    &["SystemTime"],
    &["println", "!"],
    &["eprintln", "!"],
    &["print", "!"],
    &["eprint", "!"],
    &["tokio"],
    &["rusqlite"],
    &["jiff", "::", "Timestamp", "::", "now"],
    &["jiff", "::", "Zoned", "::", "now"],
];

/// The one pair of a floor that may meet: (who, whom).
const EXCEPTION: (&str, &str) = ("model", "interactions");

#[test]
fn imports_go_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors_drawn(&fs::read_to_string(root.join("lib.rs")).unwrap());
    assert_eq!(floors.get("ids"), Some(&0), "the drawing in src/lib.rs was not understood: {floors:?}");
    assert_eq!(floors.get("report"), Some(&FORMATS), "its second lines were not understood: {floors:?}");
    assert_eq!(floors.get("config"), Some(&BESIDE), "{floors:?}");
    let mut breaches = Vec::new();
    let mut n_files = 0;
    for file in rust_files(&root) {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        breaches.extend(breaches_of(&floors, &path, &fs::read_to_string(&file).unwrap()));
        n_files += 1;
    }
    assert!(n_files > 15, "only {n_files} files were found under src/");
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn planted_breaches_are_found() {
    let drawing = "//! ```text\n//! 7  main.rs, cli    parse\n//! 6  pipeline        order\n//! 5  events, catalog,\n//!    report          rows\n\
                   //! 4  storage         bytes\n//! 3  campaigns       pure\n//! 2  recommendations pure\n//! 1  interactions, model  pure\n//! 0  ids, linalg     pure\n\
                   //!    config, telemetry    beside the stairs\n//! ```\n";
    let floors = floors_drawn(drawing);
    assert_eq!(floors.len(), 15, "{floors:?}");
    let breaches = |path: &str, source: &str| breaches_of(&floors, path, source).len();
    // Up, sideways, and both at once in a group.
    assert_eq!(breaches("model/als.rs", "use crate::recommendations::Catalog;"), 1);
    assert_eq!(breaches("storage/mod.rs", "use crate::events::Event;"), 1);
    assert_eq!(breaches("events/mod.rs", "use crate::{ids::IdTable, catalog::{self, Read}, pipeline};"), 2);
    assert_eq!(breaches("events/mod.rs", "use {crate::report, std::fs};"), 1);
    // Not only in `use` lines, and not only from `crate`.
    assert_eq!(breaches("ids.rs", "fn f() { crate :: model :: g(); }"), 1);
    assert_eq!(breaches("ids.rs", "use super::model::Model;"), 1);
    assert_eq!(breaches("linalg/dot.rs", "mod tests { use super::super::super::model::Model; }"), 1);
    assert_eq!(breaches("linalg/deep/dot.rs", "use super::super::super::{ids, model};"), 2);
    assert_eq!(breaches("linalg/dot.rs", "pub(in crate::model) fn f() {}"), 1);
    assert_eq!(breaches("cli/mod.rs", "use nightshelf::nowhere;"), 1);
    // The stairs' neighbours.
    assert_eq!(breaches("model/mod.rs", "use crate::config::Config;"), 1);
    assert_eq!(breaches("config/mod.rs", "use crate::pipeline::Stage;"), 1);
    assert_eq!(breaches("interactions/mod.rs", "use crate::model::Model;"), 1);
    assert_eq!(breaches("nowhere/mod.rs", ""), 1);
    // Impure words on pure floors.
    for impure in [
        "use std::fs;",
        "use std::{fmt, env};",
        "use std::time::Instant;",
        "fn f() { println!(\"\") }",
        "use aws_sdk_s3::Client;",
        "async fn f() { tokio::time::sleep(d).await }",
        "use std::{io, time::{Duration, SystemTime}};",
    ] {
        assert_eq!(breaches("recommendations/rank.rs", impure), 1, "{impure}");
        assert_eq!(breaches("storage/mod.rs", impure), 0, "{impure}");
    }
    assert_eq!(breaches("campaigns/select.rs", "use std::fs; use crate::{storage, recommendations, ids};"), 2);
    assert_eq!(breaches("recommendations/rank.rs", "use crate::campaigns::Arm;"), 1);
    // What is allowed.
    assert_eq!(breaches("model/mod.rs", "use crate::{ids::ItemIdx, interactions::History};"), 0);
    assert_eq!(
        breaches("model/als/cg.rs", "use super::super::Model; mod tests { use super::super::super::Model; }"),
        0
    );
    assert_eq!(breaches("main.rs", "use nightshelf::{cli, config};"), 0);
    assert_eq!(breaches("config/mod.rs", "use crate::events::EventsConfig;"), 0);
    assert_eq!(breaches("lib.rs", "pub mod ids; pub mod model;"), 0);
    let talk = "/* crate::model */ // use crate::model;\n/// std::fs and `println!`\nconst S: &str = \"crate::model tokio\"; \
                const R: &str = r#\"std::fs \" tokio\"#; const C: char = '\"'; fn f<'a>(x: &'a str) {}";
    assert_eq!(breaches("ids.rs", talk), 0);
}

/// Module name to floor, from the drawing in the crate's documentation.
fn floors_drawn(lib: &str) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    let mut floor = None;
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! ")) {
        let numbered = line.split_once("  ").and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let rest = match numbered {
            Some((number, rest)) => {
                floor = Some(number);
                rest
            }
            None if floor.is_some() && line.starts_with("   ") => line,
            // The drawing ends at its closing fence.
            None => {
                floor = None;
                continue;
            }
        };
        let here = if line.contains("beside the stairs") { Some(BESIDE) } else { floor };
        // Names end where the explanation begins: after a name that no comma follows.
        for name in rest.split_inclusive([',', ' ']).map(str::trim).filter(|name| !name.is_empty()) {
            let module = name.trim_end_matches(',').trim_end_matches(".rs");
            floors.insert(module.to_owned(), here.unwrap_or(BESIDE));
            if !name.ends_with(',') {
                break;
            }
        }
    }
    floors
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every breach in one file; `path` is relative to `src/`.
fn breaches_of(floors: &BTreeMap<String, usize>, path: &str, source: &str) -> Vec<String> {
    let mut modules: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if modules.last() == Some(&"mod") {
        modules.pop();
    }
    let here = modules[0];
    if here == "lib" {
        return Vec::new();
    }
    let Some(&floor) = floors.get(here) else {
        return vec![format!("src/{path}: `{here}` is not in the drawing of floors in src/lib.rs")];
    };
    let tokens = tokens(source);
    let mut breaches = Vec::new();
    for (line, module) in modules_named(&tokens, modules.len()) {
        let allowed = match floors.get(module) {
            _ if module == here || (here, module) == EXCEPTION => true,
            // Items of the crate's root that are no modules of the drawing do not exist.
            None => false,
            Some(&BESIDE) => floor > FORMATS && floor != BESIDE,
            Some(&other) if floor == BESIDE => other <= FORMATS,
            // `main.rs` and `cli` are one floor, and the first only calls the second.
            Some(&other) => other < floor || (here, module) == ("main", "cli"),
        };
        if !allowed {
            breaches.push(format!("src/{path}:{line}: `{here}` must not know `{module}`"));
        }
    }
    if floor <= PURE {
        for (line, word) in impure_words(&tokens) {
            breaches.push(format!("src/{path}:{line}: `{here}` is pure and must not mention `{word}`"));
        }
    }
    breaches
}

/// A name or a mark (`::` is one), with its line.
type Token<'a> = (usize, &'a str);

/// The source without comments and the contents of literals.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let is_word =
        |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128);
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let rest = &source.as_bytes()[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\''
            && (rest.get(1) == Some(&b'\\')
                || rest.iter().skip(2).take(4).any(|&byte| byte == b'\'') && !is_lifetime(rest))
        {
            quoted(rest, b'\'')
        } else if is_word(at) {
            let length = (1..).find(|&length| !is_word(at + length)).unwrap_or(1);
            tokens.push((line, &source[at..at + length]));
            length
        } else if rest.starts_with(b"::") {
            tokens.push((line, "::"));
            2
        } else {
            if rest[0].is_ascii_punctuation() {
                tokens.push((line, &source[at..=at]));
            }
            1
        };
        line += bytes[at..at + length].iter().filter(|&&byte| byte == b'\n').count();
        at += length;
    }
    tokens
}

/// Whether `'` begins a lifetime: a name that no `'` closes.
fn is_lifetime(rest: &[u8]) -> bool {
    let name = rest[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    name > 0 && rest.get(1 + name) != Some(&b'\'')
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let after = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r"))?;
    let n_hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    if after.get(n_hashes) != Some(&b'"') {
        return None;
    }
    let start = rest.len() - after.len() + n_hashes + 1;
    let close = [b"\"".as_slice(), &b"#".repeat(n_hashes)].concat();
    let end = rest[start..].windows(close.len()).position(|window| window == close)?;
    Some(start + end + close.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The top modules of the crate that the file names, by whatever path. `depth`: how many modules down the file is.
fn modules_named<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<(usize, &'a str)> {
    let mut named = Vec::new();
    let word = |at: usize| tokens.get(at).map_or("", |token| token.1);
    // Of each open brace, whether it opened an inline module: those are one step more for `super`.
    let mut braces = Vec::new();
    for at in 0..tokens.len() {
        match word(at) {
            "{" => braces.push(at >= 2 && word(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" | "nightshelf" if word(at + 1) == "::" => named.extend(heads(tokens, at + 2)),
            "super" if at < 2 || word(at - 2) != "super" => {
                let n_steps = (0..).take_while(|step| word(at + 2 * step) == "super").count();
                let here = depth + braces.iter().filter(|inline| **inline).count();
                if n_steps >= here && word(at + 2 * n_steps - 1) == "::" {
                    named.extend(heads(tokens, at + 2 * n_steps));
                }
            }
            _ => {}
        }
    }
    named
}

/// The first names of a path or of a group of paths that starts at `at`.
fn heads<'a>(tokens: &[Token<'a>], at: usize) -> Vec<Token<'a>> {
    match tokens.get(at) {
        Some((_, "{")) => {}
        Some(&token) => return vec![token],
        None => return Vec::new(),
    }
    let (mut heads, mut depth, mut first) = (Vec::new(), 0, true);
    for &(line, word) in &tokens[at..] {
        match word {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => first = true,
            _ if depth == 1 && first => {
                heads.push((line, word));
                first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Words that a pure floor must not hold, in groups of `use std::{...}` too.
fn impure_words<'a>(tokens: &[Token<'a>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let starts = |at: usize, words: &[&str]| {
        words.iter().enumerate().all(|(step, word)| tokens.get(at + step).is_some_and(|token| token.1 == *word))
    };
    for (at, &(line, word)) in tokens.iter().enumerate() {
        if let Some(words) = IMPURE.iter().find(|words| starts(at, words)) {
            found.push((line, words.concat()));
        } else if word.starts_with("aws_") {
            found.push((line, word.to_owned()));
        } else if starts(at, &["std", "::", "{"]) {
            for (line, head) in heads(tokens, at + 2) {
                if IMPURE.contains(&["std", "::", head].as_slice()) {
                    found.push((line, format!("std::{head}")));
                }
            }
        }
    }
    found
}
