//! The endpoints of the client-server API, one file per module of the specification.
//!
//! # How to add an endpoint
//! 1. The file is named as `ruma-client-api` names the module (`message`, `membership`, …). It begins
//!    with a line per endpoint and the link to the specification:
//!    ```text
//!    //! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
//!    //!
//!    //! Spec: <https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room>
//!    ```
//! 2. A handler is thin: parse (`Ruma`) → who is it (`User`, `UserOrGuest`, `Admin`, `Anyone`) → one
//!    call into the core → answer. The request is the last argument; identity comes before it, so that
//!    a stranger is refused before the body is read. `?` turns `pli_core::Error` into the answer.
//!    ```ignore
//!    use ruma::api::client::message::send_message_event::v3;
//!
//!    async fn send_message_event(
//!        State(rooms): State<Rooms>,
//!        user: User,
//!        Ruma(request): Ruma<v3::Request>,
//!    ) -> Result<Ruma<v3::Response>> {
//!        let event_id = rooms.send(user.user_id(), …).await?;
//!        Ok(Ruma(v3::Response::new(event_id)))
//!    }
//!    ```
//! 3. The file ends with its routes; method and all paths come from the request type:
//!    ```ignore
//!    pub fn routes(routes: Routes) -> Routes {
//!        routes.ruma(send_message_event).body_limit(64 * 1024).ruma(other)
//!    }
//!    ```
//!    (`body_limit` is for the next endpoint only; the default is 1 MiB. `Routes::at::<Request, …>`
//!    takes a handler that reads the body itself, `Routes::path` one without a type of ruma.)
//! 4. Below, one line in `endpoints!`, in alphabetical order.
//! 5. A feature that clients look for in `/versions` is one line in `discovery/unstable_features.rs`.
//! 6. A struct of the core that handlers take as `State<Type>` is one line in `crate::state`.

use crate::Routes;

/// Declares the modules and folds their routes.
macro_rules! endpoints {
    ($( $(#[$doc:meta])* $module:ident ),* $(,)?) => {
        $( $(#[$doc])* pub mod $module; )*

        /// The routes of the client-server API.
        #[must_use]
        pub fn routes(routes: Routes) -> Routes {
            $( let routes = $module::routes(routes); )*
            routes
        }
    };
}

endpoints! {
    account,
    account_validity,
    admin,
    alias,
    auth_fallback,
    auth_metadata,
    appservice,
    backup,
    backup_keys,
    config,
    context,
    create_room,
    cross_signing,
    delayed_events,
    dehydrated_device,
    device,
    directory,
    discovery,
    email,
    events,
    filter,
    initial_sync,
    keys,
    media,
    media_preview,
    media_upload,
    members,
    membership,
    message_send,
    messages,
    mutual_rooms,
    openid,
    presence,
    profile,
    push,
    push_rule,
    read_marker,
    receipt,
    redact,
    register,
    relations,
    room_summary,
    reporting,
    rtc,
    rendezvous,
    search,
    session,
    sso,
    state_read,
    state_send,
    sliding_sync,
    sync,
    tag,
    thirdparty,
    thread_subscription,
    threads,
    threepid,
    to_device,
    typing,
    upgrade,
    user_directory,
    voip,
}
