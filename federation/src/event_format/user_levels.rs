//! What a power levels event says of its users, kept with the event once it was read.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use ruma::{Int, OwnedUserId};

/// The levels of an `m.room.power_levels` event, its users apart. The authorization rules read them.
#[derive(Debug)]
pub(crate) struct UserLevels {
    /// The users.
    pub(crate) users: BTreeMap<OwnedUserId, Int>,
    /// The content without `users`, to which they are appended: `{` and members, each with its comma.
    pub(crate) head: String,
}

/// The place for them in an event. A copy of the event, whose content may be changed, begins with an
/// empty one.
#[derive(Debug, Default)]
pub(crate) struct KeptLevels(OnceLock<Option<Arc<UserLevels>>>);

impl KeptLevels {
    /// What is kept, read now if it has not been; `None` where there is nothing worth keeping.
    pub(crate) fn get_or_read(
        &self,
        read: impl FnOnce() -> Option<UserLevels>,
    ) -> Option<&Arc<UserLevels>> {
        self.0.get_or_init(|| read().map(Arc::new)).as_ref()
    }
}

impl Clone for KeptLevels {
    fn clone(&self) -> Self {
        Self::default()
    }
}
