//! Rows on their way into a table.

use sqlx::PgConnection;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::publish::Section;

/// Text handed over at once: large enough that the hand-over costs nothing, small enough to stay in the cache.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks on their way: the encoder may be so far ahead of the network.
const CHUNKS: usize = 8;

/// A COPY under way: a task owns the connection and sends what the caller encodes meanwhile.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) section: Section,
    sender: mpsc::Sender<Message>,
    task: JoinHandle<(PgConnection, sqlx::Result<u64>)>,
}

#[derive(Debug)]
enum Message {
    Rows(Vec<u8>),
    /// Without it the rows are dropped.
    End,
}

impl Copy {
    /// Starts a COPY. Must be called within the runtime.
    pub(super) fn start(section: Section, connection: PgConnection, statement: String) -> Self {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let task = tokio::spawn(async move {
            let mut connection = connection;
            let outcome = copy(&mut connection, &statement, receiver).await;
            (connection, outcome)
        });
        Self { section, sender, task }
    }

    /// Hands rows over.
    ///
    /// Returns: whether they were taken; if not, [`end`](Self::end) says why.
    pub(super) async fn send(&self, rows: Vec<u8>) -> bool {
        self.sender.send(Message::Rows(rows)).await.is_ok()
    }

    /// Ends the COPY. `None` for the connection when the task died.
    pub(super) async fn end(self) -> (Option<PgConnection>, sqlx::Result<u64>) {
        // A task that has stopped for an error takes nothing more, and says so below.
        let _ = self.sender.send(Message::End).await;
        Self::join(self.task).await
    }

    /// Breaks the COPY off: the server drops its rows.
    pub(super) async fn break_off(self) -> Option<PgConnection> {
        drop(self.sender);
        Self::join(self.task).await.0
    }

    async fn join(task: JoinHandle<(PgConnection, sqlx::Result<u64>)>) -> (Option<PgConnection>, sqlx::Result<u64>) {
        match task.await {
            Ok((connection, outcome)) => (Some(connection), outcome),
            Err(_) => (None, Err(sqlx::Error::WorkerCrashed)),
        }
    }
}

async fn copy(
    connection: &mut PgConnection,
    statement: &str,
    mut receiver: mpsc::Receiver<Message>,
) -> sqlx::Result<u64> {
    let mut copy = connection.copy_in_raw(statement).await?;
    while let Some(message) = receiver.recv().await {
        match message {
            Message::Rows(rows) => {
                copy.send(rows).await?;
            }
            Message::End => return copy.finish().await,
        }
    }
    copy.abort("broken off").await?;
    Ok(0)
}
