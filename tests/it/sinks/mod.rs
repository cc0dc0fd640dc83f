//! One contract for every sink: a function a promise, run on every store there is.

mod dynamodb;
pub(crate) mod mariadb;
pub(crate) mod postgres;
mod sqlite;

use std::collections::BTreeMap;

use nightshelf::{
    publish::{Expected, PublishError, Rows, RunHeader, RunSequence, Section, Sink, Tally},
    recommendations::{Arm, ListBatch, ListKind, ListRow, MemberBatch, MemberRow},
};

/// A store under test: a new connection for each publisher, and an oracle that reads as readers do.
pub(crate) trait Store {
    /// Another publisher.
    fn sink(&self) -> Box<dyn Sink>;

    /// What readers see.
    fn read(&self) -> Snapshot;

    /// Whether text may hold NUL; where not, it must be refused.
    fn holds_nul(&self) -> bool {
        true
    }

    /// What readers must see of these rows.
    fn shown(&self, data: &Data) -> Snapshot {
        shown(data)
    }
}

/// Entries in order of rank, and the source.
type SeenList = (Vec<(String, f32)>, Option<String>);

/// What readers see.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Kind, key -> entries in order of rank, and the source.
    pub(crate) lists: BTreeMap<(ListKind, String), SeenList>,
    /// Campaign, user -> the rest of the row.
    pub(crate) members: BTreeMap<(String, String), SeenMember>,
    /// Campaign -> members, of them to be written to, and held out.
    pub(crate) campaigns: BTreeMap<String, (u64, u64, u64)>,
}

/// A member as readers see him.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenMember {
    pub(crate) rank: u32,
    pub(crate) score: f32,
    pub(crate) arm: String,
    pub(crate) reason: String,
    pub(crate) items: Vec<(String, f32)>,
    pub(crate) variables: String,
}

/// The queries that a snapshot is made of, the same on every store; columns are text or numbers.
pub(crate) const LIST_QUERIES: [(ListKind, &str); 5] = [
    (
        ListKind::Recommendations,
        "SELECT user_id, rank, item_id, score, source FROM recommendations_current ORDER BY user_id, rank",
    ),
    (
        ListKind::SimilarItems,
        "SELECT item_id, rank, similar_item_id, score, NULL FROM similar_items_current ORDER BY item_id, rank",
    ),
    (ListKind::Popular, "SELECT placement, rank, item_id, score, NULL FROM popular_current ORDER BY placement, rank"),
    (
        ListKind::BoughtTogether,
        "SELECT item_id, rank, other_item_id, score, NULL FROM bought_together_current ORDER BY item_id, rank",
    ),
    (ListKind::Trending, "SELECT placement, rank, item_id, score, NULL FROM trending_current ORDER BY placement, rank"),
];
pub(crate) const MEMBER_QUERY: &str =
    "SELECT campaign, user_id, rank, score, arm, reason, items, variables FROM campaign_members_current";
pub(crate) const CAMPAIGN_QUERY: &str = "SELECT campaign, n_members, n_send, n_holdout FROM campaign_runs_current";

/// Rows of text, as a store's client gives them.
type Texts = Vec<Vec<Option<String>>>;

impl Snapshot {
    /// Asks every view.
    pub(crate) fn of(mut query: impl FnMut(&str) -> Texts) -> Self {
        let mut snapshot = Self::default();
        let text = |row: &[Option<String>], at: usize| row[at].clone().unwrap();
        for (kind, sql) in LIST_QUERIES {
            for row in query(sql) {
                let (entries, source) = snapshot.lists.entry((kind, text(&row, 0))).or_default();
                entries.push((text(&row, 2), number(&text(&row, 3))));
                assert_eq!(text(&row, 1), entries.len().to_string(), "ranks count from 1 without a gap");
                source.clone_from(&row[4]);
            }
        }
        for row in query(MEMBER_QUERY) {
            let member = SeenMember {
                rank: text(&row, 2).parse().unwrap(),
                score: number(&text(&row, 3)),
                arm: text(&row, 4),
                reason: text(&row, 5),
                items: serde_json::from_str(&text(&row, 6)).unwrap(),
                variables: text(&row, 7),
            };
            let before = snapshot.members.insert((text(&row, 0), text(&row, 1)), member);
            assert!(before.is_none(), "{row:?} is there twice");
        }
        for row in query(CAMPAIGN_QUERY) {
            let count = |at| text(&row, at).parse().unwrap();
            snapshot.campaigns.insert(text(&row, 0), (count(1), count(2), count(3)));
        }
        snapshot
    }
}

/// A score as text of whatever width, as the f32 that it was.
fn number(text: &str) -> f32 {
    text.parse::<f64>().unwrap() as f32
}

/// One list to publish.
#[derive(Clone)]
pub(crate) struct List {
    kind: ListKind,
    key: String,
    entries: Vec<(String, f32)>,
    source: &'static str,
}

/// One member to publish.
#[derive(Clone)]
pub(crate) struct Member {
    campaign: String,
    user: String,
    rank: u32,
    score: f32,
    arm: Arm,
    reason: String,
    items: Vec<(String, f32)>,
    variables: String,
}

/// What a run holds.
#[derive(Clone, Default)]
pub(crate) struct Data {
    pub(crate) lists: Vec<List>,
    pub(crate) members: Vec<Member>,
}

impl Data {
    /// The same rows, a few at a time.
    pub(crate) fn pieces(&self) -> Vec<Self> {
        let lists = self.lists.chunks(3).map(|lists| Self { lists: lists.to_vec(), members: Vec::new() });
        let members = self.members.chunks(3).map(|members| Self { lists: Vec::new(), members: members.to_vec() });
        lists.chain(members).collect()
    }

    fn add(&mut self, other: &Self) {
        self.lists.extend(other.lists.iter().cloned());
        self.members.extend(other.members.iter().cloned());
    }
}

impl From<List> for Data {
    fn from(list: List) -> Self {
        Self { lists: vec![list], members: Vec::new() }
    }
}

impl From<Member> for Data {
    fn from(member: Member) -> Self {
        Self { lists: Vec::new(), members: vec![member] }
    }
}

fn list(kind: ListKind, key: &str, entries: &[(&str, f32)]) -> List {
    let source = if kind == ListKind::Recommendations { "als+popular" } else { "" };
    List {
        kind,
        key: key.into(),
        entries: entries.iter().map(|(item, score)| ((*item).into(), *score)).collect(),
        source,
    }
}

fn member(campaign: &str, user: &str, rank: u32, item: &str) -> Member {
    Member {
        campaign: campaign.into(),
        user: user.into(),
        rank,
        score: 1.0 / rank as f32,
        arm: if rank.is_multiple_of(4) { Arm::Holdout } else { Arm::Send },
        reason: format!("bought {item}\t\"twice\"\nin \\ May"),
        items: vec![(item.into(), 0.3), ("b".into(), -1e-7)],
        variables: format!("{{\"first\": \"{item}\",  \"n\":1.50}}"),
    }
}

/// A run whose every list and member tells which run it is of.
pub(crate) fn run_of(name: &str) -> Data {
    let item = format!("item of {name}");
    let users = (0..30).map(|n| list(ListKind::Recommendations, &format!("user-{n}"), &[(&item, 0.5), ("b", 0.1)]));
    let others = [
        list(ListKind::SimilarItems, "b", &[(&item, 2.0)]),
        list(ListKind::Popular, "overall", &[(&item, 3e9), ("b", 1.0)]),
        list(ListKind::BoughtTogether, "b", &[(&item, 2.5)]),
        list(ListKind::Trending, "overall", &[(&item, 0.1)]),
    ];
    let members = ["spring", "win-back"].into_iter().flat_map(|campaign| {
        let item = &item;
        (1..=10).map(move |rank| member(campaign, &format!("user-{rank}"), rank, item))
    });
    Data { lists: users.chain(others).collect(), members: members.collect() }
}

pub(crate) fn header(name: &str) -> RunHeader {
    RunHeader { run: name.into(), content_sha256: format!("hash of {name}"), at_hand: Vec::new() }
}

fn batch(lists: &[List], kind: ListKind) -> ListBatch<'_> {
    let mut batch = ListBatch::default();
    for list in lists.iter().filter(|list| list.kind == kind) {
        batch.push(&list.key, list.entries.iter().map(|(item, score)| (item.as_str(), *score)), list.source);
    }
    batch
}

/// A batch a campaign, in the order in which they first come.
fn campaigns(members: &[Member]) -> Vec<MemberBatch<'_>> {
    let mut batches: Vec<MemberBatch<'_>> = Vec::new();
    for member in members {
        if !batches.iter().any(|batch| batch.campaign == member.campaign) {
            batches.push(MemberBatch { campaign: &member.campaign, ..Default::default() });
        }
        let batch = batches.iter_mut().find(|batch| batch.campaign == member.campaign).unwrap();
        let items: Vec<&str> = member.items.iter().map(|(item, _)| item.as_str()).collect();
        let scores: Vec<f32> = member.items.iter().map(|(_, score)| *score).collect();
        batch.push(&MemberRow {
            list: ListRow { key: &member.user, items: &items, scores: &scores, source: "" },
            rank: member.rank,
            score: member.score,
            arm: member.arm,
            reason: &member.reason,
            variables: &member.variables,
        });
    }
    batches
}

/// Hands the rows to `each`, a batch a section and campaign.
fn for_each(
    sections: &[Section],
    data: &Data,
    mut each: impl FnMut(&Rows<'_>) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    for kind in ListKind::ALL {
        let lists = batch(&data.lists, kind);
        if !lists.is_empty() {
            each(&Rows::Lists(kind.into(), &lists))?;
        }
    }
    if !sections.contains(&Section::Campaigns) {
        return Ok(());
    }
    campaigns(&data.members).iter().try_for_each(|members| each(&Rows::Members(members)))
}

/// What a store must hold of these rows, in its own terms.
pub(crate) fn expected(sink: &dyn Sink, data: &Data) -> Expected {
    let mut expected = Expected::new();
    for_each(sink.sections(), data, |rows| {
        expected.entry(rows.section()).or_default().merge(&sink.tally(rows));
        Ok(())
    })
    .unwrap();
    expected
}

/// What readers must see of these rows: an empty list shows none.
pub(crate) fn shown(data: &Data) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for list in data.lists.iter().filter(|list| !list.entries.is_empty()) {
        let source = (list.kind == ListKind::Recommendations).then(|| list.source.to_owned());
        snapshot.lists.insert((list.kind, list.key.clone()), (list.entries.clone(), source));
    }
    for member in &data.members {
        let seen = SeenMember {
            rank: member.rank,
            score: member.score,
            arm: member.arm.name().into(),
            reason: member.reason.clone(),
            items: member.items.clone(),
            variables: member.variables.clone(),
        };
        snapshot.members.insert((member.campaign.clone(), member.user.clone()), seen);
        let counts = snapshot.campaigns.entry(member.campaign.clone()).or_default();
        counts.0 += 1;
        *(if member.arm == Arm::Send { &mut counts.1 } else { &mut counts.2 }) += 1;
    }
    snapshot
}

pub(crate) fn write(sink: &mut dyn Sink, data: &Data) -> Result<(), PublishError> {
    let sections = sink.sections().to_vec();
    for_each(&sections, data, |rows| {
        let tally = sink.tally(rows);
        assert_eq!(sink.write(rows)?, tally);
        Ok(())
    })
}

pub(crate) fn publish(sink: &mut dyn Sink, name: &str, data: &Data) -> Result<RunSequence, PublishError> {
    let sequence = sink.begin(&header(name))?.sequence;
    write(sink, data)?;
    let expected = expected(sink, data);
    sink.verify(&expected)?;
    let committed = sink.commit()?;
    assert_eq!(committed.sequence, sequence);
    let sum = |of: fn(&Tally) -> u64| expected.values().map(of).sum::<u64>();
    assert_eq!((committed.n_lists, committed.n_entries), (sum(|tally| tally.n_lists), sum(|tally| tally.n_entries)));
    Ok(sequence)
}

fn visible_only_after_commit(store: &dyn Store) {
    let mut sink = store.sink();
    assert_eq!(store.read(), Snapshot::default());
    let lists = run_of("first");
    let sequence = sink.begin(&header("first")).unwrap().sequence;
    write(&mut *sink, &lists).unwrap();
    assert_eq!(store.read(), Snapshot::default());
    assert!(matches!(sink.commit(), Err(PublishError::OutOfOrder { .. })));
    sink.verify(&expected(&*sink, &lists)).unwrap();
    assert_eq!(store.read(), Snapshot::default());
    assert_eq!(sink.status().unwrap().unfinished, [sequence]);
    sink.commit().unwrap();
    assert_eq!(store.read(), store.shown(&lists));
    let status = sink.status().unwrap();
    assert_eq!((status.current, status.previous, status.epoch), (Some(sequence), None, 1));
    assert_eq!((status.runs[0].run.as_str(), status.runs[0].content_sha256.as_str()), ("first", "hash of first"));
    assert_eq!(status.unfinished, []);

    let second = run_of("second");
    let next = publish(&mut *sink, "second", &second).unwrap();
    assert!(next > sequence);
    assert_eq!(store.read(), store.shown(&second));
    assert_eq!(store.sink().status().unwrap().previous, Some(sequence));
}

fn steps_out_of_order_are_refused(store: &dyn Store) {
    let mut sink = store.sink();
    let out_of_order = |error: PublishError| assert!(matches!(error, PublishError::OutOfOrder { .. }), "{error}");
    out_of_order(sink.write(&Rows::Lists(Section::Popular, &ListBatch::default())).unwrap_err());
    out_of_order(sink.verify(&Expected::new()).unwrap_err());
    out_of_order(sink.commit().unwrap_err());
    sink.abort().unwrap();
    let lists = run_of("only");
    sink.begin(&header("only")).unwrap();
    out_of_order(sink.begin(&header("again")).unwrap_err());
    sink.verify(&Expected::new()).unwrap();
    write(&mut *sink, &lists).unwrap();
    out_of_order(sink.commit().unwrap_err());
    sink.verify(&expected(&*sink, &lists)).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read(), store.shown(&lists));
}

fn abort_leaves_the_old(store: &dyn Store) {
    let mut sink = store.sink();
    let old = run_of("old");
    let first = publish(&mut *sink, "old", &old).unwrap();
    let second = sink.begin(&header("aborted")).unwrap().sequence;
    write(&mut *sink, &run_of("aborted")).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.read(), store.shown(&old));
    assert_eq!(sink.status().unwrap().unfinished, []);
    let third = publish(&mut *sink, "third", &run_of("third")).unwrap();
    // A sequence is never used twice.
    assert!(first < second && second < third);
}

fn rollback_goes_back_and_forth(store: &dyn Store) {
    let mut sink = store.sink();
    assert!(matches!(sink.rollback(None), Err(PublishError::NoSuchRun { .. })));
    let names = ["a", "b", "c"];
    let sequences = names.map(|name| publish(&mut *sink, name, &run_of(name)).unwrap());
    assert_eq!(sink.rollback(None).unwrap().current, Some(sequences[1]));
    assert_eq!(store.read(), store.shown(&run_of("b")));
    assert_eq!(sink.rollback(None).unwrap().current, Some(sequences[0]));
    assert!(matches!(sink.rollback(None), Err(PublishError::NoSuchRun { .. })));
    assert_eq!(store.read(), store.shown(&run_of("a")));
    let status = sink.rollback(Some(sequences[2])).unwrap();
    assert_eq!((status.current, status.previous, status.epoch), (Some(sequences[2]), Some(sequences[0]), 6));
    assert_eq!(store.read(), store.shown(&run_of("c")));
    let unknown = sink.rollback(Some(RunSequence(99))).unwrap_err();
    assert!(unknown.to_string().contains("run 99"), "{unknown}");
    sink.rollback(Some(sequences[0])).unwrap();
    let newest = publish(&mut *sink, "d", &run_of("d")).unwrap();
    assert_eq!(store.read(), store.shown(&run_of("d")));
    assert!(newest > sequences[2]);
}

fn a_run_under_way_cannot_be_rolled_to(store: &dyn Store) {
    let mut sink = store.sink();
    publish(&mut *sink, "a", &run_of("a")).unwrap();
    let mut other = store.sink();
    let loading = other.begin(&header("half")).unwrap().sequence;
    assert!(matches!(sink.rollback(Some(loading)), Err(PublishError::NoSuchRun { .. })));
    assert_eq!(store.read(), store.shown(&run_of("a")));
}

fn a_superseded_writer_changes_nothing(store: &dyn Store) {
    let (mut slow, mut fast) = (store.sink(), store.sink());
    let (old, new) = (run_of("slow"), run_of("fast"));
    slow.begin(&header("slow")).unwrap();
    write(&mut *slow, &old).unwrap();
    slow.verify(&expected(&*slow, &old)).unwrap();
    publish(&mut *fast, "fast", &new).unwrap();
    let superseded = |error: PublishError| assert!(matches!(error, PublishError::Superseded { .. }), "{error}");
    superseded(slow.commit().unwrap_err());
    superseded(write(&mut *slow, &old).unwrap_err());
    superseded(slow.verify(&expected(&*slow, &old)).unwrap_err());
    assert_eq!(store.read(), store.shown(&new));
    slow.abort().unwrap();
    assert_eq!(store.read(), store.shown(&new));
    assert_eq!(fast.status().unwrap().unfinished, []);
}

fn a_rollback_stands_against_a_writer_that_wakes_up(store: &dyn Store) {
    let mut sink = store.sink();
    publish(&mut *sink, "a", &run_of("a")).unwrap();
    publish(&mut *sink, "b", &run_of("b")).unwrap();
    let mut late = store.sink();
    let lists = run_of("late");
    late.begin(&header("late")).unwrap();
    write(&mut *late, &lists).unwrap();
    late.verify(&expected(&*late, &lists)).unwrap();
    sink.rollback(None).unwrap();
    assert!(matches!(late.commit(), Err(PublishError::Superseded { .. })));
    assert_eq!(store.read(), store.shown(&run_of("a")));
}

fn of_two_publishers_exactly_one_wins(store: &(dyn Store + Sync)) {
    for round in 0..5 {
        let barrier = std::sync::Barrier::new(2);
        let outcomes = std::thread::scope(|scope| {
            let started = [0, 1].map(|publisher| {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    let mut sink = store.sink();
                    let name = format!("{round}-{publisher}");
                    let lists = run_of(&name);
                    sink.begin(&header(&name)).unwrap();
                    barrier.wait();
                    let outcome = write(&mut *sink, &lists)
                        .and_then(|()| sink.verify(&expected(&*sink, &lists)))
                        .and_then(|()| sink.commit());
                    (name, outcome)
                })
            });
            started.map(|thread| thread.join().unwrap())
        });
        let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        for (_, outcome) in &outcomes {
            assert!(matches!(outcome, Ok(_) | Err(PublishError::Superseded { .. })), "{outcome:?}");
        }
        assert_eq!(store.read(), store.shown(&run_of(&winners[0].0)));
    }
}

fn odd_ids_and_empty_lists_arrive(store: &dyn Store) {
    let odd = [
        "",
        " ",
        "  ",
        "\u{0}",
        "a\u{0}b",
        "'; DROP TABLE x; --",
        "\"\\/",
        "\\",
        "\\N",
        "\\.",
        "A",
        "a",
        "a ",
        "ä",
        "漢字🛒",
        "e\u{301}",
        "\u{feff}",
        "\n\t\r",
        "\u{8}\u{b}\u{c}\u{7f}",
        "1",
        "null",
        "[]",
    ];
    let fits = |id: &&str| store.holds_nul() || !id.contains('\0');
    let mut data = Data::default();
    for id in odd.into_iter().filter(fits) {
        data.lists.push(list(ListKind::Recommendations, id, &[(id, 0.1), ("x", -0.0)]));
        data.lists.push(list(ListKind::SimilarItems, id, &[(id, f32::MIN_POSITIVE)]));
        let extremes = [(id, f32::MAX), ("y", 1.0 / 3.0), ("z", f32::MIN), ("", 16_777_217.0), ("", 1e-20)];
        data.lists.push(list(ListKind::Popular, id, &extremes));
        for campaign in ["odd", id] {
            data.members.push(Member {
                score: f32::MAX,
                rank: u32::MAX / 2,
                reason: id.into(),
                items: vec![(id.into(), 0.1)],
                variables: "{}".into(),
                ..member(campaign, id, 1, "x")
            });
        }
    }
    data.lists.push(list(ListKind::Recommendations, "nobody", &[]));
    data.members.push(Member { items: Vec::new(), ..member("odd", "nothing to show", 2, "x") });
    publish(&mut *store.sink(), "odd", &data).unwrap();
    assert_eq!(store.read(), store.shown(&data));
    publish(&mut *store.sink(), "empty", &Data::default()).unwrap();
    assert_eq!(store.read(), Snapshot::default());
}

fn what_cannot_be_held_is_refused_with_its_row(store: &dyn Store) {
    if store.holds_nul() {
        return;
    }
    let old = run_of("old");
    let mut sink = store.sink();
    publish(&mut *sink, "old", &old).unwrap();
    sink.begin(&header("nul")).unwrap();
    let nul = "a\0b";
    let list_of = |key: &str, item: &str| Data {
        lists: vec![list(ListKind::Popular, "fine", &[]), list(ListKind::Popular, key, &[(item, 1.0)])],
        members: Vec::new(),
    };
    let member_of = |member| Data { lists: Vec::new(), members: vec![member] };
    let faulty = [
        (list_of(nul, "x"), "placement `a\\0b` of popular"),
        (list_of("home", nul), "placement `home` of popular"),
        (member_of(member("spring", nul, 1, "x")), "user_id `a\\0b (campaign spring)` of campaigns"),
        (member_of(Member { reason: nul.into(), ..member("spring", "u", 1, "x") }), "`u (campaign spring)`"),
        (
            member_of(Member { variables: "{\"a\":\"\\u0000\"}".into(), ..member("spring", "u", 1, "x") }),
            "the variables",
        ),
    ];
    for (data, row) in faulty {
        let error = write(&mut *sink, &data).unwrap_err();
        assert!(matches!(&error, PublishError::Unstorable { .. }) && error.to_string().contains(row), "{error}");
    }
    // Nothing of the refused batches was kept.
    sink.verify(&Expected::new()).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.read(), store.shown(&old));
}

fn duplicate_keys_and_bad_scores_are_named(store: &dyn Store) {
    let mut sink = store.sink();
    let old = run_of("old");
    publish(&mut *sink, "old", &old).unwrap();
    let again = [
        (Section::Recommendations, "user-7", list(ListKind::Recommendations, "user-7", &[("x", 1.0)]).into()),
        (Section::Campaigns, "user-7 (campaign spring)", Data::from(member("spring", "user-7", 99, "x"))),
    ];
    let taken = sink.sections().to_vec();
    for (section, name, twice) in again.into_iter().filter(|(section, ..)| taken.contains(section)) {
        for split in [false, true] {
            sink.begin(&header("twice")).unwrap();
            let mut data = run_of("twice");
            let outcome = if split {
                // The second one comes after a verification, when the key is known to the store.
                write(&mut *sink, &data).unwrap();
                sink.verify(&expected(&*sink, &data)).unwrap();
                data.add(&twice);
                write(&mut *sink, &twice)
            } else {
                data.add(&twice);
                write(&mut *sink, &data)
            };
            let error = outcome.and_then(|()| sink.verify(&expected(&*sink, &data))).unwrap_err();
            assert!(
                matches!(&error, PublishError::DuplicateKey { section: found, key } if *found == section && key == name),
                "{error}"
            );
            sink.abort().unwrap();
        }
    }
    sink.begin(&header("scores")).unwrap();
    for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let lists = [
            list(ListKind::Popular, "empty", &[]),
            list(ListKind::Popular, "home", &[("fine", 1.0), ("wrong", score)]),
        ];
        let error = sink.write(&Rows::Lists(Section::Popular, &batch(&lists, ListKind::Popular))).unwrap_err();
        assert!(
            matches!(&error, PublishError::BadScore { key, item, .. } if key == "home" && item == "wrong"),
            "{error}"
        );
        if !taken.contains(&Section::Campaigns) {
            continue;
        }
        let members = [member("spring", "fine", 1, "x"), Member { score, ..member("spring", "wrong", 2, "x") }];
        let error = sink.write(&Rows::Members(&campaigns(&members)[0])).unwrap_err();
        assert!(matches!(&error, PublishError::BadMemberScore { user, .. } if user == "wrong"), "{error}");
    }
    // Nothing of the refused batches was kept.
    sink.verify(&Expected::new()).unwrap();
    sink.abort().unwrap();
    assert_eq!(store.read(), store.shown(&old));
}

fn what_is_missing_or_different_is_noticed(store: &dyn Store) {
    let mut sink = store.sink();
    let data = run_of("one");
    sink.begin(&header("one")).unwrap();
    let without_first = Data { lists: data.lists[1..].to_vec(), ..data.clone() };
    write(&mut *sink, &without_first).unwrap();
    let mismatch = |sink: &mut dyn Sink, data: &Data| match sink.verify(&expected(&*sink, data)) {
        Err(PublishError::Mismatch { section, what, .. }) => (section, what),
        other => panic!("{other:?}"),
    };
    assert_eq!(mismatch(&mut *sink, &data), (Section::Recommendations, "lists"));
    let mut longer = without_first.clone();
    longer.lists[0].entries.push(("more".into(), 0.0));
    assert_eq!(mismatch(&mut *sink, &longer), (Section::Recommendations, "entries"));
    let mut other = without_first.clone();
    other.lists[0].entries[0].1 = 0.75;
    assert_eq!(mismatch(&mut *sink, &other), (Section::Recommendations, "checksum"));
    let takes_members = sink.sections().contains(&Section::Campaigns);
    let changes: [fn(&mut Member); 6] = [
        |member| member.rank += 1,
        |member| member.score += 1.0,
        |member| member.arm = if member.arm == Arm::Send { Arm::Holdout } else { Arm::Send },
        |member| member.reason.push(' '),
        |member| member.variables.insert(1, ' '),
        |member| member.items[0].1 = 0.75,
    ];
    for change in changes.into_iter().filter(|_| takes_members) {
        let mut other = without_first.clone();
        change(&mut other.members[3]);
        assert_eq!(mismatch(&mut *sink, &other), (Section::Campaigns, "checksum"));
    }
    assert!(matches!(sink.commit(), Err(PublishError::OutOfOrder { .. })));
    write(&mut *sink, &Data { lists: data.lists[..1].to_vec(), members: Vec::new() }).unwrap();
    sink.verify(&expected(&*sink, &data)).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read(), store.shown(&data));
}

fn an_audit_finds_what_is_served(store: &dyn Store) {
    let mut sink = store.sink();
    let sums =
        |found: Expected| -> Expected { found.into_iter().filter(|(_, tally)| *tally != Tally::default()).collect() };
    assert_eq!(sums(sink.audit().unwrap()), Expected::new());
    let (first, second) = (run_of("first"), run_of("second"));
    publish(&mut *sink, "first", &first).unwrap();
    assert_eq!(sums(sink.audit().unwrap()), expected(&*sink, &first));
    publish(&mut *sink, "second", &second).unwrap();
    assert_eq!(sums(sink.audit().unwrap()), expected(&*sink, &second));
    sink.rollback(None).unwrap();
    assert_eq!(sums(store.sink().audit().unwrap()), expected(&*sink, &first));
}

fn a_lost_connection_leaves_the_old_run_and_no_litter(store: &dyn Store) {
    let old = run_of("old");
    publish(&mut *store.sink(), "old", &old).unwrap();
    for verified in [false, true] {
        let mut sink = store.sink();
        let lists = run_of("lost");
        sink.begin(&header("lost")).unwrap();
        write(&mut *sink, &lists).unwrap();
        if verified {
            sink.verify(&expected(&*sink, &lists)).unwrap();
        }
        drop(sink);
        assert_eq!(store.read(), store.shown(&old));
    }
    let mut sink = store.sink();
    assert!(!sink.status().unwrap().unfinished.is_empty());
    let sequence = sink.begin(&header("next")).unwrap().sequence;
    assert_eq!(sink.status().unwrap().unfinished, [sequence]);
    sink.abort().unwrap();
    publish(&mut *sink, "new", &run_of("new")).unwrap();
    assert_eq!(store.read(), store.shown(&run_of("new")));
}

fn old_runs_go_and_the_visible_one_stays(store: &dyn Store) {
    let mut sink = store.sink();
    let sequences = ["a", "b", "c", "d"].map(|name| publish(&mut *sink, name, &run_of(name)).unwrap());
    sink.rollback(Some(sequences[1])).unwrap();
    assert_eq!(sink.drop_old(2).unwrap(), [sequences[0]]);
    assert_eq!(store.read(), store.shown(&run_of("b")));
    assert_eq!(sink.drop_old(0).unwrap(), [sequences[2], sequences[3]]);
    assert_eq!(store.read(), store.shown(&run_of("b")));
    let status = sink.status().unwrap();
    assert_eq!((status.runs.len(), status.current, status.previous), (1, Some(sequences[1]), None));
    assert!(matches!(sink.rollback(Some(sequences[3])), Err(PublishError::NoSuchRun { .. })));
    publish(&mut *sink, "e", &run_of("e")).unwrap();
    assert_eq!(store.read(), store.shown(&run_of("e")));
}

/// The whole contract on stores that `new` makes, a fresh one a promise.
pub(crate) fn keeps_the_contract<S: Store + Sync>(new: impl Fn() -> S) {
    visible_only_after_commit(&new());
    steps_out_of_order_are_refused(&new());
    abort_leaves_the_old(&new());
    rollback_goes_back_and_forth(&new());
    a_run_under_way_cannot_be_rolled_to(&new());
    a_superseded_writer_changes_nothing(&new());
    a_rollback_stands_against_a_writer_that_wakes_up(&new());
    of_two_publishers_exactly_one_wins(&new());
    odd_ids_and_empty_lists_arrive(&new());
    duplicate_keys_and_bad_scores_are_named(&new());
    what_is_missing_or_different_is_noticed(&new());
    what_cannot_be_held_is_refused_with_its_row(&new());
    an_audit_finds_what_is_served(&new());
    a_lost_connection_leaves_the_old_run_and_no_litter(&new());
    old_runs_go_and_the_visible_one_stays(&new());
}
