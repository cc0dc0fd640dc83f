//! What both kinds of server need around their connections.

use std::{future::Future, io};

use tokio::runtime::Runtime;

use crate::publish::{PublishError, RunSequence};

/// A store's name, for messages.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) name: String,
}

impl Store {
    /// Wraps an error of the server with what was attempted.
    pub(super) fn failed<E>(&self, doing: impl Into<String>) -> impl FnOnce(E) -> PublishError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let doing = doing.into();
        move |source| PublishError::Store { store: self.name.clone(), doing, source: source.into() }
    }

    pub(super) fn superseded(&self, sequence: RunSequence, by: String) -> PublishError {
        PublishError::Superseded { store: self.name.clone(), sequence, by }
    }

    /// The pointer has moved since a publish began.
    pub(super) fn moved(&self, sequence: RunSequence, moves: i64, current: Option<i64>) -> PublishError {
        let current = current.map_or_else(|| "nothing".to_owned(), |current| format!("run {current}"));
        self.superseded(sequence, format!("the pointer moved {moves} time(s) since it began and shows {current}"))
    }
}

/// A runtime of its own: the sink's callers know nothing of async.
#[derive(Debug)]
pub(super) struct Driver {
    runtime: Option<Runtime>,
}

impl Driver {
    /// One thread beside the caller's: it sends what the caller encodes.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nightshelf-sql")
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is taken by drop alone")
    }

    pub(super) fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime().block_on(work)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for nobody: a server that does not answer must not hold up the end of the program.
            runtime.shutdown_background();
        }
    }
}
