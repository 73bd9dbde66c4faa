//! `pli call start`

use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::{Client, Room};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::args::{CallCommand, CallStartArgs};
use crate::commands::online;
use crate::conference::{Widget, conference_name, domain_of_well_known, link, parse_domain};
use crate::connection::server_url;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::lang::Lang;
use crate::room_ref::{display_name, find};
use crate::secret::{self, random_string};
use crate::text::messages::Msg;

const WIDGET_EVENT: &str = "im.vector.modular.widgets";
/// Characters of the widget's state key, as Element makes them.
const WIDGET_ID_CHARS: usize = 24;

/// Runs one of the call commands.
///
/// # Errors
/// No session, no such room, no conference service, a refusal.
pub async fn run(context: &Context, command: CallCommand) -> Result<()> {
    let CallCommand::Start(args) = command;
    let online = online(context).await?;
    let room = find(&online.client, &args.room).await?;
    let call = start(context, &room, &args).await?;
    let id = room.room_id().to_string();
    online.finish().await;
    let mut answer = json!({
        "room_id": id, "url": call.url, "domain": call.domain, "conference": call.conference,
        "event_id": call.event_id, "video": args.video, "widget": call.widget_id,
    });
    if let Some(refused) = &call.widget_refused {
        context.note(Msg::CallWidgetRefused, &[refused]);
        answer["widget_error"] = json!(refused);
    }
    context.answer(&answer, &call.url)
}

/// A call that has been started.
pub struct Call {
    /// The link to open.
    pub url: String,
    domain: String,
    conference: String,
    event_id: String,
    widget_id: Option<String>,
    /// Why the room does not let this person set the widget, if so.
    pub widget_refused: Option<String>,
}

/// Makes a conference name, posts the link and sets Element's widget.
///
/// # Errors
/// No conference domain, or a room that refuses the message. A refused widget is no error: the
/// link is in the room.
pub async fn start(context: &Context, room: &Room, args: &CallStartArgs) -> Result<Call> {
    let client = room.client();
    let domain = match args.domain.as_ref().filter(|domain| !domain.is_empty()) {
        Some(domain) => parse_domain(domain)
            .ok_or_else(|| CliError::Usage(Msg::UsageBadDomain, vec![domain.clone()]))?,
        None => announced_domain(&client, context.lang).await?,
    };
    let conference = conference_name(&mut secret::random());
    let url = link(&domain, &conference, args.video);
    let msg = if args.video { Msg::CallMessageVideo } else { Msg::CallMessage };
    let content = RoomMessageEventContent::text_plain(context.text(msg, &[&url]));
    let event_id = room.send(content).await?.response.event_id.to_string();
    let widget_id = random_string(WIDGET_ID_CHARS);
    let room_name = display_name(room).await;
    let widget = Widget {
        id: &widget_id,
        domain: &domain,
        name: &conference,
        title: &context.text(Msg::CallName, &[]),
        room_name: &room_name,
        creator: room.own_user_id().as_str(),
        video: args.video,
    };
    let set = room.send_state_event_raw(WIDGET_EVENT, &widget_id, widget.content()).await;
    let refused = set.err().map(|error| CliError::from(error).text(context.lang));
    let widget_id = refused.is_none().then_some(widget_id);
    Ok(Call { url, domain, conference, event_id, widget_id, widget_refused: refused })
}

/// The conference domain that the server announces: first under its name, then under its API.
async fn announced_domain(client: &Client, lang: Lang) -> Result<String> {
    let by_name = client.user_id().and_then(|user| server_url(user.server_name().as_str()).ok());
    for base in by_name.into_iter().chain([client.homeserver()]) {
        let document = Api::anonymous(client, base, lang)
            .call(Method::GET, &[".well-known", "matrix", "client"], &[], None)
            .await;
        let found = document.ok().and_then(|answer| answer.ok().ok());
        if let Some(domain) = found.as_ref().and_then(|body: &Value| domain_of_well_known(body)) {
            return Ok(domain);
        }
    }
    Err(CliError::NotFound(Msg::ErrNoCallDomain, String::new()))
}
