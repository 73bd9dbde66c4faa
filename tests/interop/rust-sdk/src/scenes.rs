//! The scenes. Each has two people of its own.

use anyhow::{Context, Result, bail, ensure};
use matrix_sdk::{
    RoomState,
    attachment::AttachmentConfig,
    encryption::verification::{
        SasVerification, Verification, VerificationRequest, VerificationRequestState,
    },
    room::{ListThreadsOptions, MessagesOptions},
    ruma::{
        OwnedRoomId,
        api::client::{
            receipt::create_receipt::v3::ReceiptType, room::create_room::v3::Request as CreateRoom,
        },
        events::{
            EmptyStateKey, InitialStateEvent,
            key::verification::VerificationMethod,
            reaction::ReactionEventContent,
            receipt::ReceiptThread,
            relation::{Annotation, Thread},
            room::{
                join_rules::{JoinRule, RoomJoinRulesEventContent},
                message::{MessageType, Relation, ReplacementMetadata, RoomMessageEventContent},
            },
        },
    },
};

use crate::person::{Person, until};

pub async fn messages_both_ways(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    let sent = alice.say(&room, "bonjour").await?;
    ensure!(bob.hear(&room, "bonjour").await?.sender == alice.id());
    bob.say(&room, "salut").await?;
    alice.hear(&room, "salut").await?;
    let raw = bob.client.get_room(&room).context("room")?.event(&sent, None).await?;
    ensure!(raw.encryption_info().is_some(), "the event was not encrypted");
    Ok(())
}

/// The texts that a device can read in the history of a room.
async fn history(person: &Person, room: &OwnedRoomId) -> Result<Vec<String>> {
    let room = person.client.get_room(room).context("room")?;
    let page = room.messages(MessagesOptions::backward()).await?;
    let body = |event: &matrix_sdk::deserialized_responses::TimelineEvent| {
        event
            .raw()
            .get_field::<serde_json::Value>("content")
            .ok()??
            .get("body")?
            .as_str()
            .map(str::to_owned)
    };
    Ok(page.chunk.iter().filter_map(body).collect())
}

async fn reads(person: &Person, room: &OwnedRoomId, text: &str) -> Result<()> {
    until(text, async || Ok(history(person, room).await?.contains(&text.to_owned()).then_some(())))
        .await
}

pub async fn recovery_key_reads_history(url: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    bob.say(&room, "avant").await?;
    alice.hear(&room, "avant").await?;
    let recovery = alice.client.encryption().recovery();
    let key = recovery.enable().wait_for_backups_to_upload().await?;
    let second = Person::login(url, alice.id().localpart()).await?;
    second.known(&room, RoomState::Joined).await?;
    second.client.encryption().recovery().recover(&key).await?;
    reads(&second, &room, "avant").await?;
    let device = second.client.encryption().get_own_device().await?.context("device")?;
    ensure!(device.is_verified_with_cross_signing(), "the second device is not signed");
    Ok(())
}

async fn sas(request: VerificationRequest, answer: VerificationRequest) -> Result<()> {
    answer.accept_with_methods(vec![VerificationMethod::SasV1]).await?;
    until("ready", async || Ok(request.is_ready().then_some(()))).await?;
    let one = request.start_sas().await?.context("no short authentication string")?;
    let other: SasVerification = until("the start", async || {
        Ok(match answer.state() {
            VerificationRequestState::Transitioned { verification: Verification::SasV1(sas) } => {
                Some(sas)
            }
            _ => None,
        })
    })
    .await?;
    other.accept().await?;
    until("the emojis", async || {
        Ok((one.can_be_presented() && other.can_be_presented()).then_some(()))
    })
    .await?;
    let names = |sas: &SasVerification| sas.emoji().map(|emojis| emojis.map(|emoji| emoji.symbol));
    ensure!(names(&one).is_some() && names(&one) == names(&other), "the emojis differ");
    one.confirm().await?;
    other.confirm().await?;
    until("the end", async || Ok((one.is_done() && other.is_done()).then_some(()))).await
}

pub async fn second_device_verified_by_emojis(
    url: &str,
    alice: &Person,
    bob: &Person,
) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    bob.say(&room, "avant").await?;
    alice.hear(&room, "avant").await?;
    alice.client.encryption().recovery().enable().wait_for_backups_to_upload().await?;
    let second = Person::login(url, alice.id().localpart()).await?;
    second.known(&room, RoomState::Joined).await?;
    let encryption = second.client.encryption();
    let identity = encryption.request_user_identity(&alice.id()).await?.context("identity")?;
    let request =
        identity.request_verification_with_methods(vec![VerificationMethod::SasV1]).await?;
    let answer = until("the request", async || {
        let asked = alice.requests.lock().unwrap().last().cloned();
        let Some((sender, flow)) = asked else { return Ok(None) };
        Ok(alice.client.encryption().get_verification_request(&sender, &flow).await)
    })
    .await?;
    sas(request, answer).await?;
    until("the secrets", async || {
        let status = encryption.cross_signing_status().await;
        Ok(status.filter(|status| status.is_complete()).map(drop))
    })
    .await?;
    until("the key backup", async || Ok(encryption.backups().are_enabled().await.then_some(())))
        .await?;
    reads(&second, &room, "avant").await
}

pub async fn encrypted_attachment(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    let content: Vec<u8> = (0..60_000_u32).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
    let here = alice.client.get_room(&room).context("room")?;
    let config = AttachmentConfig::new();
    here.send_attachment("rapport.pdf", &mime::APPLICATION_PDF, content.clone(), config).await?;
    let heard = bob.hear(&room, "rapport.pdf").await?;
    let MessageType::File(file) = heard.content.msgtype else { bail!("no file: {heard:?}") };
    let there = bob.client.media().get_file(&file, false).await?.context("no content")?;
    ensure!(there == content, "another content");
    Ok(())
}

pub async fn reaction_edit_and_redaction(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    let sent = alice.say(&room, "lundi").await?;
    bob.hear(&room, "lundi").await?;
    let there = bob.client.get_room(&room).context("room")?;
    there.send(ReactionEventContent::new(Annotation::new(sent.clone(), "👍".to_owned()))).await?;
    let here = alice.client.get_room(&room).context("room")?;
    let edit = RoomMessageEventContent::text_plain("mardi");
    here.send(edit.make_replacement(ReplacementMetadata::new(sent.clone(), None))).await?;
    let edited = bob.hear(&room, "* mardi").await?;
    ensure!(matches!(edited.content.relates_to, Some(Relation::Replacement(_))), "no replacement");
    let event = there.event(&sent, None).await?;
    let unsigned: serde_json::Value = event.raw().get_field("unsigned")?.context("unsigned")?;
    ensure!(unsigned["m.relations"]["m.replace"].is_object(), "{unsigned}");
    here.redact(&sent, Some("erreur"), None).await?;
    let event = there.event(&sent, None).await?;
    let unsigned: serde_json::Value = event.raw().get_field("unsigned")?.context("unsigned")?;
    ensure!(unsigned["redacted_because"]["content"]["reason"] == "erreur", "{unsigned}");
    Ok(())
}

pub async fn threads(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, true).await?;
    let root = alice.say(&room, "ordre du jour").await?;
    bob.hear(&room, "ordre du jour").await?;
    let there = bob.client.get_room(&room).context("room")?;
    let mut content = RoomMessageEventContent::text_plain("premier point");
    content.relates_to = Some(Relation::Thread(Thread::plain(root.clone(), root.clone())));
    there.send(content).await?;
    alice.hear(&room, "premier point").await?;
    let here = alice.client.get_room(&room).context("room")?;
    let list = here.list_threads(ListThreadsOptions::default()).await?;
    ensure!(list.chunk.len() == 1 && list.chunk[0].event_id() == Some(root), "{:?}", list.chunk);
    Ok(())
}

pub async fn receipts_and_counts(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let room = alice.room_with(bob, false).await?;
    let sent = alice.say(&room, "lu ?").await?;
    bob.hear(&room, "lu ?").await?;
    let there = bob.client.get_room(&room).context("room")?;
    until("one unread", async || {
        Ok((there.unread_notification_counts().notification_count == 1).then_some(()))
    })
    .await?;
    there.send_single_receipt(ReceiptType::Read, ReceiptThread::Unthreaded, sent.clone()).await?;
    until("none unread", async || {
        Ok((there.unread_notification_counts().notification_count == 0).then_some(()))
    })
    .await?;
    let here = alice.client.get_room(&room).context("room")?;
    until("the receipt at alice", async || {
        let receipts = here.load_event_receipts(
            matrix_sdk::ruma::events::receipt::ReceiptType::Read,
            ReceiptThread::Unthreaded,
            &sent,
        );
        Ok(receipts.await?.iter().any(|(user, _)| *user == bob.id()).then_some(()))
    })
    .await
}

pub async fn knocking(_: &str, alice: &Person, bob: &Person) -> Result<()> {
    let mut request = CreateRoom::new();
    let content = RoomJoinRulesEventContent::new(JoinRule::Knock);
    request.initial_state = vec![InitialStateEvent::new(EmptyStateKey, content).to_raw_any()];
    let room = alice.client.create_room(request).await?;
    let id = room.room_id().to_owned();
    bob.client.knock(id.clone().into(), Some("puis-je ?".to_owned()), Vec::new()).await?;
    bob.known(&id, RoomState::Knocked).await?;
    room.invite_user_by_id(&bob.id()).await?;
    bob.known(&id, RoomState::Invited).await?.join().await?;
    bob.known(&id, RoomState::Joined).await.map(drop)
}

pub async fn oauth_metadata(url: &str, _: &Person, _: &Person) -> Result<()> {
    let client = crate::person::client(url).await?;
    let metadata = client.oauth().server_metadata().await?;
    ensure!(metadata.authorization_endpoint.as_str().starts_with("http"), "{metadata:?}");
    ensure!(metadata.registration_endpoint.is_some(), "no dynamic registration");
    Ok(())
}
