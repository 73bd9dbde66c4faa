//! Closing an account: what the endpoint and the page of the account have in common.

use pli_core::{Error, Rooms, accounts::Accounts};
use ruma::UserId;

/// Closes the account of a user who has confirmed it, or for an admin.
///
/// # Errors
/// [`Error::NotFound`] for an account that is not open.
pub(crate) async fn close_account(
    (accounts, rooms): (&Accounts, &Rooms),
    user_id: &UserId,
    erase: bool,
    by: &UserId,
) -> Result<(), Error> {
    // Rooms first: should the server stop between the two, the person can finish it.
    match rooms.leave_all(user_id).await {
        Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
        Err(error) => tracing::warn!(%error, "a closed account could not leave a room"),
        Ok(()) => {}
    }
    accounts.deactivate(user_id, erase, by).await
}
