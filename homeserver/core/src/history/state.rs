//! The state of a room for a reader.

use serde_json::value::RawValue;

use super::{History, Reader, RenderOptions, Viewer};
use crate::{Error, Result};

impl History {
    /// All state events that the reader may see.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state(&self, reader: &Reader, viewer: Viewer<'_>) -> Result<Vec<Box<RawValue>>> {
        let mut out = Vec::new();
        for event in reader.state().await? {
            out.push(self.render(&event, viewer, None, RenderOptions::STATE).await?);
        }
        Ok(out)
    }

    /// The content of one state event, or the whole event.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn state_event(
        &self,
        reader: &Reader,
        viewer: Viewer<'_>,
        (event_type, state_key): (&str, &str),
        whole: bool,
    ) -> Result<Box<RawValue>> {
        let event = reader.state_event(event_type, state_key).await?;
        let event = event.ok_or_else(|| Error::not_found("There is no such state event"))?;
        if whole {
            self.render(&event, viewer, None, RenderOptions::STATE).await
        } else {
            Ok(event.pdu()?.content.clone())
        }
    }
}
