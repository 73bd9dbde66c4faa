//! `POST /_matrix/client/v3/user_directory/search`
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use axum::extract::State;
use pli_core::{UserDirectory, user_directory::FoundUser};
use ruma::api::client::user_directory::search_users::v3::{Request, Response, User as Found};

use crate::{Result, Routes, Ruma, User};

fn as_ruma(found: FoundUser) -> Found {
    let mut user = Found::new(found.user_id);
    user.display_name = found.profile.display_name;
    user.avatar_url = found.profile.avatar_url.map(Into::into);
    user
}

async fn search(
    State(directory): State<UserDirectory>,
    user: User,
    Ruma(request): Ruma<Request>,
) -> Result<Ruma<Response>> {
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(usize::MAX);
    let page = directory.search(user.user_id(), &request.search_term, limit).await?;
    Ok(Ruma(Response::new(page.users.into_iter().map(as_ruma).collect(), page.limited)))
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.ruma(search)
}
