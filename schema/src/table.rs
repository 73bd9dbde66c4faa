//! The tables of the store, and the macro that declares them.

/// Declares a table: the key's fields in order, and the record.
///
/// ```
/// pli_schema::table! {
///     /// Which number a room has.
///     Meta: pub struct ExampleKey { name: String } => u64;
/// }
/// ```
#[macro_export]
macro_rules! table {
    ($(
        $(#[$doc:meta])*
        $table:ident: pub struct $name:ident { $($field:ident : $part:ty),* $(,)? } => $record:ty;
    )+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            $(
                #[doc = concat!("Part `", stringify!($field), "` of the key.")]
                pub $field: $part,
            )*
        }

        impl $crate::Key for $name {
            const TABLE: $crate::Table = $crate::Table::$table;
            type Record = $record;

            fn write(&self, w: &mut $crate::KeyWriter) {
                $( $crate::KeyPart::write(&self.$field, w); )*
                let _ = w;
            }

            fn read(r: &mut $crate::KeyReader<'_>) -> Result<Self, $crate::KeyError> {
                let _ = &r;
                Ok(Self { $( $field: $crate::KeyPart::read(r)?, )* })
            }
        }
    )+};
}

macro_rules! tables {
    ($( $(#[$doc:meta])* $name:ident = $byte:literal ),+ $(,)?) => {
        /// The tables, by their one-byte prefix. A byte is never used again for another table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Table {
            $( $(#[$doc])* $name = $byte, )+
        }

        impl Table {
            /// Every table, in the order of the bytes.
            pub const ALL: &'static [Self] = &[$( Self::$name, )+];

            /// The table of a key's first byte.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $( $byte => Some(Self::$name), )+
                    _ => None,
                }
            }

            /// The table's name, for `check` and error messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )+
                }
            }
        }
    };
}

// Ranges, so that areas grow without collisions: 0x01 store itself, 0x10 rooms, 0x30 accounts,
// 0x50 encryption, 0x60 receipts, typing and account data, 0x70 push, media, directory, 0x80 policy, mail, audit, jobs, 0xe0 federation.
tables! {
    /// Format version, server name, last position, number blocks: what the store says of itself.
    Meta = 0x01,
    /// Blocks of numbers that were handed out.
    NumberBlock = 0x02,
    /// Nodes of state trees, by the hash of their content.
    StateNode = 0x03,
    /// The position of the newest commit.
    LastPosition = 0x04,
    /// Room ids to numbers.
    RoomById = 0x10,
    /// Rooms.
    Room = 0x11,
    /// Heads of rooms.
    RoomHead = 0x12,
    /// Event ids to numbers and places.
    EventById = 0x13,
    /// Events.
    Event = 0x14,
    /// Timelines.
    Timeline = 0x15,
    /// Event types to numbers.
    StateType = 0x16,
    /// State keys to numbers.
    StateKey = 0x17,
    /// Members by room.
    Member = 0x18,
    /// Rooms by user.
    UserRoom = 0x19,
    /// Relations by target.
    Relation = 0x1a,
    /// Transaction ids by device.
    Transaction = 0x1b,
    /// Aliases.
    Alias = 0x1c,
    /// Aliases by room.
    RoomAlias = 0x1d,
    /// The public directory.
    PublicRoom = 0x1e,
    /// Rooms with new events, by commit.
    RoomActivity = 0x1f,
    /// Annotations by target, sender and key.
    Annotation = 0x20,
    /// Words of messages by room.
    SearchWord = 0x21,
    /// How far messages were looked at for words.
    SearchWatermark = 0x22,
    /// Invitations by e-mail, by who invites.
    ThirdPartyInvite = 0x23,
    /// Invitations that wait for an address.
    ThirdPartyInviteByAddress = 0x24,
    /// Mails that tell of invitations.
    InviteMail = 0x25,
    /// Events that were taken out of their timelines and are to be deleted.
    ExpiredEvent = 0x26,
    /// Accounts.
    Account = 0x30,
    /// Profile fields.
    Profile = 0x31,
    /// Devices.
    Device = 0x32,
    /// Access tokens by hash.
    AccessToken = 0x33,
    /// Refresh tokens by hash.
    RefreshToken = 0x34,
    /// Owners of e-mail addresses.
    EmailOwner = 0x35,
    /// E-mail addresses of accounts.
    AccountEmail = 0x36,
    /// E-mail validation sessions.
    Validation = 0x37,
    /// E-mail validation sessions by the client's secret.
    ValidationByClient = 0x38,
    /// Registration tokens by hash.
    RegistrationToken = 0x39,
    /// Login tokens by hash.
    LoginToken = 0x3a,
    /// Accounts of admins.
    Admin = 0x3b,
    /// Keys of devices.
    DeviceKeys = 0x50,
    /// One-time keys in the order of upload.
    OneTimeKey = 0x51,
    /// One-time keys by id.
    OneTimeKeyById = 0x52,
    /// Fallback keys.
    FallbackKey = 0x53,
    /// What devices have in stock.
    KeyStock = 0x54,
    /// Cross-signing keys.
    CrossSigningKey = 0x55,
    /// Signatures of keys.
    KeySignature = 0x56,
    /// The stream of changed device lists.
    DeviceListChange = 0x57,
    /// The place of each user in that stream.
    DeviceListHead = 0x58,
    /// The stream of joins and leaves.
    SharingChange = 0x59,
    /// To-device inboxes.
    ToDevice = 0x5a,
    /// The newest backup of each user.
    BackupHead = 0x5b,
    /// Backups of room keys.
    BackupVersion = 0x5c,
    /// The keys in backups.
    BackupKey = 0x5d,
    /// Users whose keys another user has signed.
    SignatureChange = 0x5e,
    /// Receipts.
    Receipt = 0x60,
    /// Public receipts in the order in which they came.
    ReceiptStream = 0x61,
    /// The newest receipt of each room.
    ReceiptHead = 0x62,
    /// Account data.
    AccountData = 0x63,
    /// Changes of account data in their order.
    AccountDataStream = 0x64,
    /// Filters.
    Filter = 0x65,
    /// Private receipts in the order in which they came.
    PrivateReceiptStream = 0x66,
    /// Subscriptions to threads.
    ThreadSubscription = 0x67,
    /// Changes of subscriptions to threads in their order.
    ThreadSubscriptionStream = 0x68,
    /// Dehydrated devices.
    DehydratedDevice = 0x69,
    /// What users last said of their presence.
    Presence = 0x6a,
    /// Push rules.
    PushRules = 0x70,
    /// Pushers.
    Pusher = 0x71,
    /// Users by push key.
    PusherUser = 0x72,
    /// How far the pushing is.
    PushWatermark = 0x73,
    /// What waits to be pushed.
    PushQueue = 0x74,
    /// Files.
    Media = 0x78,
    /// Bytes of files.
    MediaBytes = 0x79,
    /// Thumbnails.
    Thumbnail = 0x7a,
    /// Files that wait for their upload.
    PendingMedia = 0x7b,
    /// Content that nobody gets.
    QuarantinedMedia = 0x7c,
    /// What users have uploaded.
    MediaUsage = 0x7d,
    /// Files by user.
    MediaOfUser = 0x7e,
    /// Previews of links.
    UrlPreview = 0x7f,
    /// Domains of the allow-list.
    Domain = 0x80,
    /// Exact addresses that override the allow-list.
    AddressRule = 0x81,
    /// The audit log.
    Audit = 0x82,
    /// Mails to send.
    MailJob = 0x83,
    /// What people have reported.
    Report = 0x90,
    /// OpenID tokens by hash.
    OpenIdToken = 0x91,
    /// Rooms for server notices by user.
    NoticeRoom = 0x92,
    /// Until when accounts are valid.
    AccountValidity = 0x93,
    /// Clients that have registered for OAuth.
    OauthClient = 0xc0,
    /// Sessions that began by OAuth, by device.
    OauthSession = 0xc1,
    /// Devices by the name of an OAuth session in its refresh tokens.
    OauthSelector = 0xc2,
    /// Accounts by their name at an OpenID Connect provider.
    UpstreamLink = 0xc3,
    /// Clients that have registered for OAuth and have no session yet, by age.
    OauthUnusedClient = 0xc4,
    /// Delayed events.
    DelayedEvent = 0xd0,
    /// Delayed events by user.
    DelayedOfUser = 0xd1,
    /// Delayed events by the time at which something is to be done about them.
    DelayedDue = 0xd2,
    /// Delayed events by the request that scheduled them.
    DelayedTransaction = 0xd3,
    /// Events that stick.
    StickyEvent = 0xd4,
    /// How far application services were told of the log.
    AppserviceProgress = 0xd8,
    /// Parts of transactions that application services have not taken yet.
    AppservicePart = 0xd9,
    /// Room directories of third-party networks.
    NetworkRoom = 0xda,
    /// What authorizes what, among state events.
    EventAuth = 0xe0,
    /// Events without a place in a timeline, by id.
    OutlierById = 0xe1,
    /// Redactions that came before what they redact.
    WaitingRedaction = 0xe2,
    /// Events that others name as previous and that are not here.
    NamedBefore = 0xe3,
    /// The keys of other servers.
    ServerKeys = 0xe4,
    /// Events of other servers that this server sends on to the others in the room.
    SentForOthers = 0xea,
    /// What is told of rooms from which there is no state, by who is invited.
    InviteState = 0xeb,
    /// Events of other servers that wait for what is missing before them.
    WaitingEvent = 0xe8,
    /// Gaps in timelines.
    TimelineGap = 0xe9,
    /// Servers with which this one has an agreement.
    Partner = 0xf2,
    /// Servers with which nothing is exchanged.
    BlockedServer = 0xf3,
    /// Public keys that are never believed.
    RefusedKey = 0xf4,
    /// Files of other servers.
    RemoteMedia = 0xf5,
    /// Events that wait to be sent, by server.
    SendQueue = 0xec,
    /// Servers to which this one sends.
    Destination = 0xed,
    /// Rooms of which a server missed events.
    SendBehind = 0xee,
    /// Messages to devices of other servers.
    ToDeviceOut = 0xf0,
    /// Users whose devices a server is to be told of.
    DeviceListOut = 0xf1,
    /// How far the sending is.
    SendWatermark = 0xf6,
    /// Devices of local users as others were told of them.
    ToldDevice = 0xf7,
    /// The streams of local users' devices.
    ToldUser = 0xf8,
    /// Users of other servers.
    RemoteUser = 0xf9,
    /// Devices of users of other servers.
    RemoteDevice = 0xfa,
    /// Messages to devices that came from other servers.
    ReceivedToDevice = 0xfb,
}
