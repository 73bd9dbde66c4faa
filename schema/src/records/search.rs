//! The words of messages in rooms without encryption.

use crate::{EventNumber, Position, RoomNumber, table};

table! {
    /// In which events of a room a word is, in the order of the timeline. The word is folded: lower
    /// case, without accents.
    SearchWord: pub struct SearchWordKey {
        room: RoomNumber, word: String, at: Position, index: u32,
    } => EventNumber;
    /// Up to which commit events were looked at for words.
    SearchWatermark: pub struct SearchWatermarkKey {} => Position;
}
