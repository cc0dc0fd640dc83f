//! Telling what happens while it happens.

use std::time::Instant;

use crate::report::Stage;

/// Whoever shows progress: a terminal, a log, nobody.
pub trait Observer: Sync {
    /// A stage begins; `total` says how much work it has, in `unit`, where that is known.
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str);
    /// How much work the stage has became known.
    fn total(&self, total: u64);
    /// So much more is done.
    fn advance(&self, n: u64);
    /// A word about the stage under way, e.g. the loss of an iteration.
    fn note(&self, text: &str);
    /// The stage is done.
    fn end(&self);
}

/// Shows nothing.
pub struct Silent;

impl Observer for Silent {
    fn begin(&self, _: &str, _: Option<u64>, _: &str) {}
    fn total(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
}

/// Runs stages one after the other and takes their times.
pub(super) struct Stages<'a> {
    pub(super) on: &'a dyn Observer,
    pub(super) done: Vec<Stage>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(on: &'a dyn Observer) -> Self {
        Self { on, done: Vec::new() }
    }

    /// Runs a stage; `work` returns its result and how many `unit`s it worked through.
    pub(super) fn run<T, E>(
        &mut self,
        name: &str,
        total: Option<u64>,
        unit: &str,
        work: impl FnOnce(&dyn Observer) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let span = tracing::info_span!("stage", name);
        let _entered = span.enter();
        self.on.begin(name, total, unit);
        let start = Instant::now();
        let result = work(self.on);
        self.on.end();
        let (value, n) = result?;
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(n, unit, seconds, "{name} done");
        self.done.push(Stage { name: name.to_owned(), seconds, rows: Some(n), unit: unit.to_owned() });
        Ok(value)
    }
}
