//! One device of somebody: a client on simplified sliding sync and what it heard.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::{
    Client, Room, RoomState, SlidingSyncList, SlidingSyncMode,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{
        OwnedRoomId, OwnedUserId, RoomId,
        api::client::{
            account::register,
            room::create_room::v3::{Request as CreateRoom, RoomPreset},
            uiaa::{AuthData, Dummy},
        },
        events::{
            AnyInitialStateEvent, EmptyStateKey, InitialStateEvent, StateEventType,
            key::verification::request::ToDeviceKeyVerificationRequestEvent,
            room::{
                encryption::RoomEncryptionEventContent,
                message::{OriginalSyncRoomMessageEvent, RoomMessageEventContent},
            },
        },
        serde::Raw,
    },
    sliding_sync::{Version, VersionBuilder},
};
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "Correct-Horse-7-Battery";

/// What the room list of Element X asks for.
const REQUIRED_STATE: [(&str, &str); 12] = [
    ("m.room.name", ""),
    ("m.room.encryption", ""),
    ("m.room.avatar", ""),
    ("m.room.canonical_alias", ""),
    ("m.room.power_levels", ""),
    ("m.room.create", ""),
    ("m.room.join_rules", ""),
    ("m.room.tombstone", ""),
    ("m.room.topic", ""),
    ("m.space.child", "*"),
    ("m.room.member", "$LAZY"),
    ("m.room.member", "$ME"),
];

pub type Heard = Vec<(OwnedRoomId, OriginalSyncRoomMessageEvent)>;

pub struct Person {
    pub client: Client,
    pub heard: Arc<Mutex<Heard>>,
    pub requests: Arc<Mutex<Vec<(OwnedUserId, String)>>>,
    sync: JoinHandle<String>,
}

impl Drop for Person {
    fn drop(&mut self) {
        self.sync.abort();
    }
}

/// Waits until `test` answers something.
pub async fn until<T>(what: &str, mut test: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..600 {
        if let Some(found) = test().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("waited in vain for {what}")
}

pub async fn client(url: &str) -> Result<Client> {
    let settings = EncryptionSettings {
        auto_enable_cross_signing: true,
        backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        auto_enable_backups: true,
    };
    Ok(Client::builder()
        .homeserver_url(url)
        .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
        .with_encryption_settings(settings)
        .build()
        .await?)
}

impl Person {
    pub async fn register(url: &str, name: &str) -> Result<Self> {
        let mut request = register::v3::Request::new();
        request.username = Some(name.to_owned());
        request.password = Some(PASSWORD.to_owned());
        request.auth = Some(AuthData::Dummy(Dummy::new()));
        request.inhibit_login = true;
        client(url).await?.send(request).await.context("register")?;
        Self::login(url, name).await
    }

    /// A further device of the person.
    pub async fn login(url: &str, name: &str) -> Result<Self> {
        let client = client(url).await?;
        let login = client.matrix_auth().login_username(name, PASSWORD);
        login.initial_device_display_name("matrix-sdk").send().await.context("login")?;
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        Self::start(client).await
    }

    async fn start(client: Client) -> Result<Self> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        client.add_event_handler(
            move |event: OriginalSyncRoomMessageEvent, room: Room| async move {
                list.lock().unwrap().push((room.room_id().to_owned(), event));
            },
        );
        let list = Arc::clone(&requests);
        client.add_event_handler(move |event: ToDeviceKeyVerificationRequestEvent| async move {
            let flow = event.content.transaction_id.to_string();
            list.lock().unwrap().push((event.sender, flow));
        });
        if !matches!(client.sliding_sync_version(), Version::Native) {
            bail!("the server does not say that it has sliding sync");
        }
        let state = REQUIRED_STATE
            .iter()
            .map(|(kind, key)| (StateEventType::from(*kind), (*key).to_owned()));
        let rooms = SlidingSyncList::builder("all_rooms")
            .sync_mode(SlidingSyncMode::new_selective().add_range(0..=19))
            .timeline_limit(20)
            .required_state(state.collect());
        let sliding = client
            .sliding_sync("room-list")?
            .add_list(rooms)
            .with_all_extensions()
            .poll_timeout(Duration::from_secs(5))
            .build()
            .await?;
        let sync = tokio::spawn(async move {
            let stream = sliding.sync();
            pin_mut!(stream);
            loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => eprintln!("note rust: sliding sync: {error}"),
                    None => return "ended".to_owned(),
                }
            }
        });
        Ok(Self { client, heard, requests, sync })
    }

    pub fn id(&self) -> OwnedUserId {
        self.client.user_id().expect("signed in").to_owned()
    }

    /// A private room of two that both have joined and know.
    pub async fn room_with(&self, other: &Person, encrypted: bool) -> Result<OwnedRoomId> {
        let mut request = CreateRoom::new();
        request.preset = Some(RoomPreset::PrivateChat);
        request.invite = vec![other.id()];
        request.name = Some("Salle".to_owned());
        if encrypted {
            let content = RoomEncryptionEventContent::with_recommended_defaults();
            let event = InitialStateEvent::new(EmptyStateKey, content);
            request.initial_state = vec![Raw::new(&event)?.cast::<AnyInitialStateEvent>()];
        }
        let room = self.client.create_room(request).await?.room_id().to_owned();
        other.known(&room, RoomState::Invited).await?;
        other.client.get_room(&room).context("the invitation")?.join().await?;
        other.known(&room, RoomState::Joined).await?;
        until("both members", async || {
            let here = self.client.get_room(&room);
            Ok(here.filter(|here| here.joined_members_count() == 2))
        })
        .await?;
        Ok(room)
    }

    pub async fn known(&self, room: &RoomId, state: RoomState) -> Result<Room> {
        until("the room", async || Ok(self.client.get_room(room).filter(|it| it.state() == state)))
            .await
    }

    pub async fn say(&self, room: &RoomId, text: &str) -> Result<matrix_sdk::ruma::OwnedEventId> {
        let room = self.client.get_room(room).context("the room")?;
        let sent = room.send(RoomMessageEventContent::text_plain(text)).await?;
        Ok(sent.response.event_id)
    }

    pub async fn hear(&self, room: &RoomId, text: &str) -> Result<OriginalSyncRoomMessageEvent> {
        until(text, async || {
            let heard = self.heard.lock().unwrap();
            let found = heard.iter().find(|(at, event)| at == room && event.content.body() == text);
            Ok(found.map(|(_, event)| event.clone()))
        })
        .await
    }
}
