//! How the tasks behind the queues of the store are woken.

use pli_schema::Topic;
use pli_store::Committed;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Waits for a commit that put something into a queue ([`Topic::Jobs`]), or for so many commits that one
/// of them may have. The feed only wakes: what is to be done is read from the store.
pub(crate) async fn job_comes(commits: &mut Receiver<Committed>) {
    loop {
        match commits.recv().await {
            Ok(commit) if commit.topics.contains(&Topic::Jobs) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
