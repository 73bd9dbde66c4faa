//! The numbers of state keys: one per pair of event type and state key, never two.

use pli_schema::{
    StateKeyNumber,
    records::rooms::{StateKeyKey, StateTypeKey},
};
use pli_store::Tx;

use super::Rooms;
use crate::{Error, Result, numbers::NumberKind};

/// A number that a transaction has given, to be cached when it is committed.
#[derive(Clone, Debug)]
pub(super) struct Interned {
    event_type: String,
    state_key: String,
    number: StateKeyNumber,
}

impl Interned {
    /// Whether it is the number of this pair.
    pub(super) fn is(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key == state_key
    }

    /// The number.
    pub(super) const fn number(&self) -> StateKeyNumber {
        self.number
    }
}

impl Rooms {
    /// The number of an event type in state keys; `None` if no room ever had such state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_type_number(&self, event_type: &str) -> Result<Option<u64>> {
        if let Some(number) = self.caches.state_types.get(event_type) {
            return Ok(Some(number));
        }
        let key = StateTypeKey { event_type: event_type.to_owned() };
        let Some(number) = self.store().get(&key).await? else {
            return Ok(None);
        };
        Ok(Some(self.caches.state_types.put_read(key.event_type, number, 1)))
    }

    /// The number of a state key; `None` if no room ever had such state.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state_key_number(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNumber>> {
        let Some(type_number) = self.state_type_number(event_type).await? else {
            return Ok(None);
        };
        let pair = (type_number, state_key.to_owned());
        if let Some(number) = self.caches.state_keys.get(&pair) {
            return Ok(Some(number));
        }
        let key = StateKeyKey { type_number, state_key: pair.1.clone() };
        let Some(key_number) = self.store().get(&key).await? else {
            return Ok(None);
        };
        let number = StateKeyNumber::new(type_number, key_number);
        Ok(Some(self.caches.state_keys.put_read(pair, number, 1)))
    }

    /// The number of a state key, given by this transaction if it has none. Two transactions that give
    /// one at the same time cannot both commit.
    pub(super) async fn intern_state_key(
        &self,
        tx: &Tx,
        event_type: &str,
        state_key: &str,
    ) -> Result<(StateKeyNumber, Option<Interned>)> {
        if let Some(number) = self.state_key_number(event_type, state_key).await? {
            return Ok((number, None));
        }
        let type_key = StateTypeKey { event_type: event_type.to_owned() };
        let type_number = match tx.get(&type_key).await? {
            Some(number) => number,
            None => {
                let number = self.parts.numbers.next(NumberKind::StateType).await?;
                tx.put(&type_key, &number)?;
                number
            }
        };
        let key = StateKeyKey { type_number, state_key: state_key.to_owned() };
        let key_number = match tx.get(&key).await? {
            Some(number) => number,
            None => {
                let number = self.parts.numbers.next(NumberKind::StateKey).await?;
                tx.put(&key, &number)?;
                number
            }
        };
        if type_number >> 24 != 0 || key_number >> StateKeyNumber::KEY_BITS != 0 {
            return Err(Error::bug("the numbers of state keys are used up"));
        }
        let number = StateKeyNumber::new(type_number, key_number);
        let (event_type, state_key) = (type_key.event_type, key.state_key);
        Ok((number, Some(Interned { event_type, state_key, number })))
    }

    /// Caches numbers whose transaction is committed.
    pub(super) fn keep_state_keys(&self, interned: Vec<Interned>) {
        for Interned { event_type, state_key, number } in interned {
            let type_number = number.type_number();
            self.caches.state_types.put(event_type, type_number, 1);
            self.caches.state_keys.put((type_number, state_key), number, 1);
        }
    }
}
