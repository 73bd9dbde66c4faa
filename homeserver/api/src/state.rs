//! What handlers may ask for: the core's small structs, each extracted on its own.

use axum::extract::FromRef;
use pli_core::{Rooms, accounts::Accounts};

/// Declares [`AppState`]: one line per struct, each of which a handler takes as `State<Type>`.
macro_rules! app_state {
    ($( $(#[$doc:meta])* $field:ident: $type:ty ),+ $(,)?) => {
        /// Everything that handlers may ask for. Only the extractors see it whole; a handler names the
        /// structs it uses, such as `State(accounts): State<Accounts>`. Cheap to clone.
        #[derive(Clone)]
        pub struct AppState {
            $( $(#[$doc])* pub $field: $type, )+
        }

        $(
            impl FromRef<AppState> for $type {
                fn from_ref(state: &AppState) -> Self {
                    state.$field.clone()
                }
            }
        )+
    };
}

app_state! {
    /// Accounts, devices, sessions.
    accounts: Accounts,
    /// Rooms, their events, members, aliases.
    rooms: Rooms,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppState")
    }
}
