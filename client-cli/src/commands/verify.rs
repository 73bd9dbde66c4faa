//! `pli verify`: short authentication strings as emojis, asked for and answered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use matrix_sdk::Client;
use matrix_sdk::encryption::verification::{
    CancelInfo, EmojiShortAuthString, SasState, SasVerification, Verification, VerificationRequest,
    VerificationRequestState,
};
use matrix_sdk::ruma::api::client::sync::sync_events::v3::Response;
use matrix_sdk::ruma::events::key::verification::VerificationMethod;
use matrix_sdk::ruma::{DeviceId, OwnedRoomId, OwnedUserId, UserId};
use matrix_sdk::sync::SyncResponse;
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::commands::settle;
use crate::connection;
use crate::context::{Context, printable};
use crate::error::{CliError, Result};
use crate::event_view::EventView;
use crate::room_ref::user_id;
use crate::secret;
use crate::sync::Syncer;
use crate::text::emoji::emoji;
use crate::text::is_yes;
use crate::text::messages::Msg;

/// How long one request to the server waits for the other side.
const STEP: Duration = Duration::from_secs(2);
/// How many more requests are made at the end, for the secrets that one device gives the other.
const LAST_STEPS: usize = 8;

/// Verifies someone, or waits to be verified.
///
/// The turn is held from begin to end: the state of a verification lives in this process.
///
/// # Errors
/// A cancelled or failed verification, a time-out, nobody to verify.
pub async fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let client = connection::resume(&context.profile).await?;
    let _turn = connection::turn(&client).await?;
    let syncer = Syncer::resume(&client).await?;
    client.encryption().wait_for_e2ee_initialization_tasks().await;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut flow = Flow { context, client, syncer, deadline, yes: args.yes };
    let first = flow.step_knowing_senders(Duration::ZERO).await?;
    let request = match &args.user {
        Some(user) => flow.ask_for(&user_id(user)?, args.device.as_deref()).await?,
        None => tokio::select! {
            request = flow.wait_for_request(first) => request?,
            _ = tokio::signal::ctrl_c() => return Err(CliError::Cancelled),
        },
    };
    let other = request.other_user_id().to_string();
    // Ctrl-C is heard here, so that the other side is told.
    let verified = tokio::select! {
        verified = flow.verify(&request) => verified,
        _ = tokio::signal::ctrl_c() => Err(CliError::Cancelled),
    };
    if verified.is_err() && !request.is_done() && !request.is_cancelled() {
        // An open request would get in the way of the next one. The first failure is what counts.
        drop(request.cancel().await);
    }
    let device = verified?;
    context.answer(
        &json!({"event": "verified", "user_id": other, "device_id": device}),
        &context.text(Msg::VerifyDone, &[&format!("{other} ({device})")]),
    )
}

struct Flow<'a> {
    context: &'a Context,
    client: Client,
    syncer: Syncer,
    deadline: Instant,
    yes: bool,
}

impl Flow<'_> {
    /// Sends a request to a person, or to one device.
    async fn ask_for(
        &mut self,
        user: &UserId,
        device: Option<&str>,
    ) -> Result<VerificationRequest> {
        let encryption = self.client.encryption();
        let methods = vec![VerificationMethod::SasV1];
        // Asks the server, so that keys made a moment ago are known.
        let identity = encryption.request_user_identity(user).await?;
        let request = match device {
            Some(device) => {
                let id: &DeviceId = device.into();
                let found = encryption.get_device(user, id).await.map_err(store_error)?;
                let missing = || CliError::NotFound(Msg::ErrNoDevice, device.to_owned());
                found.ok_or_else(missing)?.request_verification_with_methods(methods).await?
            }
            None => {
                let missing = || CliError::NotFound(Msg::ErrNoUser, user.to_string());
                identity.ok_or_else(missing)?.request_verification_with_methods(methods).await?
            }
        };
        self.context.note(Msg::VerifyWaiting, &[user.as_str()]);
        self.context.event(&json!({
            "event": "requested", "user_id": user, "flow_id": request.flow_id(),
        }))?;
        Ok(request)
    }

    /// Waits for a request from someone else and accepts it.
    async fn wait_for_request(&mut self, first: SyncResponse) -> Result<VerificationRequest> {
        self.context.note(Msg::VerifyWaitingAny, &[]);
        self.context.event(&json!({"event": "waiting"}))?;
        let mut response = first;
        let mut declined = BTreeSet::new();
        loop {
            for (sender, flow_id) in requests(&response) {
                let encryption = self.client.encryption();
                let request = encryption.get_verification_request(&sender, &flow_id).await;
                if let Some(request) = request.filter(is_open) {
                    self.accept(&request).await?;
                    return Ok(request);
                }
            }
            self.join_conversations(&mut declined).await?;
            response = self.step_knowing_senders(STEP).await?;
        }
    }

    /// Joins the conversations that others have opened: people are verified in a conversation.
    async fn join_conversations(&self, declined: &mut BTreeSet<OwnedRoomId>) -> Result<()> {
        for room in self.client.invited_rooms() {
            let direct = room.is_direct().await.unwrap_or_default();
            if !direct || declined.contains(room.room_id()) {
                continue;
            }
            let Some(inviter) = room.invite_details().await?.inviter else { continue };
            let user = inviter.user_id().to_owned();
            self.context.note(Msg::VerifyInvitation, &[user.as_str()]);
            self.context.event(&json!({
                "event": "invitation", "user_id": user, "room_id": room.room_id(),
            }))?;
            if self.confirmed(Msg::AskAccept).await? {
                self.client.encryption().request_user_identity(&user).await?;
                room.join().await?;
                self.client.account().mark_as_dm(room.room_id(), &[user]).await?;
            } else {
                declined.insert(room.room_id().to_owned());
            }
        }
        Ok(())
    }

    async fn accept(&self, request: &VerificationRequest) -> Result<()> {
        let user = request.other_user_id();
        let device = match request.state() {
            VerificationRequestState::Requested { other_device_data, .. } => {
                other_device_data.device_id().to_string()
            }
            _ => String::new(),
        };
        self.context.note(Msg::VerifyRequest, &[user.as_str(), &device]);
        self.context.event(&json!({
            "event": "request", "user_id": user, "device_id": device,
            "flow_id": request.flow_id(),
        }))?;
        if !self.confirmed(Msg::AskAccept).await? {
            request.cancel().await?;
            return Err(CliError::Cancelled);
        }
        Ok(request.accept_with_methods(vec![VerificationMethod::SasV1]).await?)
    }

    /// Compares emojis with the other side; the device that was verified.
    async fn verify(&mut self, request: &VerificationRequest) -> Result<String> {
        let sas = self.agree(request).await?;
        let device = sas.other_device().device_id().to_string();
        self.compare(&sas).await?;
        self.wind_up(request.is_self_verification()).await?;
        Ok(device)
    }

    /// Waits until both sides are ready, and starts the comparison.
    async fn agree(&mut self, request: &VerificationRequest) -> Result<SasVerification> {
        loop {
            match request.state() {
                VerificationRequestState::Ready { .. } if request.we_started() => {
                    if let Some(sas) = request.start_sas().await? {
                        return Ok(sas);
                    }
                }
                VerificationRequestState::Transitioned { verification, .. } => {
                    let sas = match verification {
                        Verification::SasV1(sas) => Some(sas),
                        _ => None,
                    };
                    return sas.ok_or(CliError::Crypto(Msg::ErrNoEmojis, String::new()));
                }
                VerificationRequestState::Cancelled(info) => return Err(cancelled(&info)),
                _ => {}
            }
            self.step().await?;
        }
    }

    /// Shows the emojis, hears the person, waits for the other side.
    async fn compare(&mut self, sas: &SasVerification) -> Result<()> {
        let mut answered = false;
        loop {
            match sas.state() {
                SasState::Started { .. } if !sas.we_started() => sas.accept().await?,
                SasState::KeysExchanged { emojis, .. } if !answered => {
                    answered = true;
                    self.answer(sas, emojis).await?;
                }
                SasState::Done { .. } => return Ok(()),
                SasState::Cancelled(info) => return Err(cancelled(&info)),
                _ => {}
            }
            if !matches!(sas.state(), SasState::Done { .. }) {
                self.step().await?;
            }
        }
    }

    async fn answer(
        &self,
        sas: &SasVerification,
        emojis: Option<EmojiShortAuthString>,
    ) -> Result<()> {
        let emojis = emojis.ok_or(CliError::Crypto(Msg::ErrNoEmojis, String::new()))?;
        self.show(&emojis)?;
        if self.confirmed(Msg::AskEmojisMatch).await? {
            sas.confirm().await?;
            self.context.note(Msg::VerifyConfirmed, &[]);
            return Ok(());
        }
        sas.mismatch().await?;
        Err(CliError::Crypto(Msg::ErrVerifyMismatch, String::new()))
    }

    fn show(&self, emojis: &EmojiShortAuthString) -> Result<()> {
        let named = emojis.indices.map(|index| emoji(index, self.context.lang));
        let list: Vec<Value> =
            named.iter().map(|(symbol, name)| json!({"symbol": symbol, "name": name})).collect();
        self.context.event(&json!({"event": "emojis", "emojis": list}))?;
        if !self.context.json {
            let row: Vec<String> =
                named.iter().map(|(symbol, name)| format!("{symbol} {name}")).collect();
            eprintln!("\n    {}\n", row.join("   "));
        }
        Ok(())
    }

    /// Asks yes or no on a thread of its own, so that Ctrl-C still works; `--yes` answers.
    async fn confirmed(&self, question: Msg) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        let question = self.context.text(question, &[]);
        let asked = tokio::task::spawn_blocking(move || secret::ask(&question)).await;
        let answer = asked.map_err(|error| CliError::Other(error.to_string()))??;
        Ok(is_yes(&answer))
    }

    /// A step that first asks for the devices of those who may be asking for a verification.
    ///
    /// The SDK drops a request from a device that it has not heard of, and a new device and its
    /// request often come in the same answer.
    async fn step_knowing_senders(&mut self, timeout: Duration) -> Result<SyncResponse> {
        self.check_deadline()?;
        if self.syncer.position().is_some() {
            for sender in senders(&self.syncer.peek(timeout).await?) {
                self.client.encryption().request_user_identity(&sender).await?;
            }
        }
        self.syncer.catch_up_in_turn().await
    }

    fn check_deadline(&self) -> Result<()> {
        let late = Instant::now() > self.deadline;
        if late { Err(CliError::Timeout(Msg::ErrTimeoutVerify)) } else { Ok(()) }
    }

    async fn step(&mut self) -> Result<SyncResponse> {
        self.check_deadline()?;
        self.syncer.step(STEP).await
    }

    /// Sends the new signatures; after a verification of one's own device, hands the account's
    /// secrets over, or takes them in.
    async fn wind_up(&mut self, mine: bool) -> Result<()> {
        let had_secrets = self.has_secrets().await;
        self.syncer.step(Duration::ZERO).await?;
        let mut asked_before = false;
        for _ in 0..LAST_STEPS {
            if !mine || (!had_secrets && self.has_secrets().await) {
                break;
            }
            let asked = asks_for_secrets(&self.syncer.step(STEP).await?);
            if had_secrets && asked_before && !asked {
                break;
            }
            asked_before |= asked;
        }
        settle(&self.client).await;
        Ok(())
    }

    /// Whether this device holds the signing keys and the key of the backup.
    async fn has_secrets(&self) -> bool {
        let encryption = self.client.encryption();
        let complete = encryption.cross_signing_status().await.is_some_and(|s| s.is_complete());
        complete && encryption.backups().are_enabled().await
    }
}

fn asks_for_secrets(response: &SyncResponse) -> bool {
    response.to_device.iter().any(|event| {
        let event_type = event.as_raw().get_field::<String>("type");
        matches!(event_type, Ok(Some(name)) if name == "m.secret.request")
    })
}

fn store_error(error: impl std::fmt::Display) -> CliError {
    CliError::Crypto(Msg::ErrCrypto, error.to_string())
}

fn cancelled(info: &CancelInfo) -> CliError {
    CliError::Crypto(Msg::ErrVerifyCancelled, printable(info.reason()))
}

fn is_open(request: &VerificationRequest) -> bool {
    !request.we_started() && !request.is_passive() && !request.is_done() && !request.is_cancelled()
}

/// Who may be asking for a verification in an answer that has not been taken in: the senders of
/// requests between devices, and of messages, which may be encrypted requests.
fn senders(news: &Response) -> BTreeSet<OwnedUserId> {
    let sender = |json: &str| {
        let event: Value = serde_json::from_str(json).ok()?;
        let asks = matches!(
            event.get("type")?.as_str()?,
            "m.key.verification.request" | "m.room.encrypted" | "m.room.message"
        );
        asks.then_some(UserId::parse(event.get("sender")?.as_str()?).ok()?)
    };
    let direct = news.to_device.events.iter().filter_map(|event| sender(event.json().get()));
    let joined = news.rooms.join.values().flat_map(|room| &room.timeline.events);
    direct.chain(joined.filter_map(|event| sender(event.json().get()))).collect()
}

/// Sender and flow of every verification request in an answer: between devices and in rooms.
///
/// A request in a room that is already done or cancelled is left out.
fn requests(response: &SyncResponse) -> Vec<(OwnedUserId, String)> {
    let direct = response.to_device.iter().filter_map(|event| {
        let event: Value = serde_json::from_str(event.as_raw().json().get()).ok()?;
        let flow_id = event.pointer("/content/transaction_id")?.as_str()?.to_owned();
        (event.get("type")? == "m.key.verification.request").then_some(())?;
        Some((UserId::parse(event.get("sender")?.as_str()?).ok()?, flow_id))
    });
    let joined = response.rooms.joined.values().flat_map(|update| &update.timeline.events);
    let views: Vec<EventView> = joined.filter_map(EventView::of).collect();
    direct.chain(requests_in_rooms(&views)).collect()
}

fn requests_in_rooms(views: &[EventView]) -> Vec<(OwnedUserId, String)> {
    let over: Vec<&str> = views
        .iter()
        .filter(|view| {
            matches!(
                view.event_type.as_str(),
                "m.key.verification.done" | "m.key.verification.cancel"
            )
        })
        .filter_map(|view| view.content.pointer("/m.relates_to/event_id")?.as_str())
        .collect();
    views
        .iter()
        .filter(|view| view.field("msgtype") == Some("m.key.verification.request"))
        .filter(|view| !over.contains(&view.event_id.as_str()))
        .filter_map(|view| Some((UserId::parse(&view.sender).ok()?, view.event_id.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(event_id: &str, event_type: &str, content: Value) -> EventView {
        EventView {
            event_id: event_id.to_owned(),
            sender: "@a:b".to_owned(),
            timestamp_ms: 0,
            event_type: event_type.to_owned(),
            state_key: None,
            content,
            encrypted: true,
            verified: None,
            undecryptable: None,
        }
    }

    #[test]
    fn finished_requests_are_not_answered_again() {
        let request = json!({"msgtype": "m.key.verification.request"});
        let done = json!({"m.relates_to": {"rel_type": "m.reference", "event_id": "$1"}});
        let views = [
            view("$1", "m.room.message", request.clone()),
            view("$2", "m.key.verification.done", done),
            view("$3", "m.room.message", request),
        ];
        let open = requests_in_rooms(&views);
        assert_eq!(open.iter().map(|(_, flow)| flow.as_str()).collect::<Vec<_>>(), ["$3"]);
    }
}
