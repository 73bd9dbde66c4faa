//! Verifying any row, for `check`: key and record of every table.

use crate::{Key, Record, Table, records};

macro_rules! verified_tables {
    ($( $module:ident: $($key:ident),+ $(,)? ;)+) => {
        /// Verifies a row: its key decodes as one of its table and encodes to the same bytes, its
        /// record decodes.
        ///
        /// # Errors
        /// A text that says what does not fit, without content of the row.
        pub fn verify_row(table: Table, key: &[u8], record: &[u8]) -> Result<(), String> {
            $($(
                if table == <records::$module::$key as Key>::TABLE {
                    return verify::<records::$module::$key>(key, record);
                }
            )+)+
            Err(format!("rows of table {} cannot be verified by this version", table.name()))
        }

        #[cfg(test)]
        const VERIFIED: &[Table] = &[$($( <records::$module::$key as Key>::TABLE, )+)+];
    };
}

// Every table is here; a test holds that.
verified_tables! {
    accounts: AccountKey, ProfileKey, DeviceKey, AccessTokenKey, RefreshTokenKey, EmailOwnerKey, AccountEmailKey, ValidationKey, ValidationByClientKey, RegistrationTokenKey, LoginTokenKey, AdminKey;
    administration: ReportKey, OpenIdTokenKey, NoticeRoomKey, AccountValidityKey;
    appservices: AppserviceProgressKey, AppservicePartKey, NetworkRoomKey;
    delayed: DelayedEventKey, DelayedOfUserKey, DelayedDueKey, DelayedTransactionKey, StickyEventKey;
    encryption: DeviceKeysKey, OneTimeKeyKey, OneTimeKeyByIdKey, FallbackKeyKey, KeyStockKey, CrossSigningKeyKey, KeySignatureKey, DeviceListChangeKey, DeviceListHeadKey, SignatureChangeKey, SharingChangeKey, ToDeviceKey, BackupHeadKey, BackupVersionKey, BackupKeyKey;
    federation: EventAuthKey, InviteStateKey, NamedBeforeKey, OutlierByIdKey, SentForOthersKey, ServerKeysKey, WaitingRedactionKey;
    inbound: WaitingEventKey, TimelineGapKey;
    invitations: ThirdPartyInviteKey, ThirdPartyInviteByAddressKey, InviteMailKey;
    media: MediaKey, MediaBytesKey, ThumbnailKey, PendingMediaKey, QuarantineKey, MediaUsageKey, MediaOfUserKey, UrlPreviewKey;
    meta: FormatKey, NumberBlockKey, LastPositionKey, StateNodeKey;
    oauth: OauthClientKey, OauthSessionKey, OauthSelectorKey, UpstreamLinkKey, OauthUnusedClientKey;
    partners: BlockedServerKey, PartnerKey, RefusedKeyKey, RemoteMediaKey;
    policy: DomainKey, AddressRuleKey, AuditKey, MailJobKey;
    push: PushRulesKey, PusherKey, PusherUserKey, PushWatermarkKey, PushQueueKey;
    rooms: RoomByIdKey, RoomKey, RoomHeadKey, EventByIdKey, EventKey, TimelineKey, StateTypeKey, StateKeyKey, MemberKey, UserRoomKey, RelationKey, TransactionKey, AliasKey, RoomAliasKey, PublicRoomKey, RoomActivityKey, AnnotationKey, ExpiredEventKey;
    search: SearchWordKey, SearchWatermarkKey;
    sending: SendQueueKey, DestinationKey, SendBehindKey, ToDeviceOutKey, DeviceListOutKey, SendWatermarkKey, ToldDeviceKey, ToldUserKey, RemoteUserKey, RemoteDeviceKey, ReceivedToDeviceKey;
    sync: ReceiptKey, ReceiptStreamKey, PrivateReceiptStreamKey, ReceiptHeadKey, AccountDataKey, AccountDataStreamKey, FilterKey, ThreadSubscriptionKey, ThreadSubscriptionStreamKey, DehydratedDeviceKey, PresenceKey;
}

fn verify<K: Key>(key: &[u8], record: &[u8]) -> Result<(), String> {
    let decoded = K::decode(key).map_err(|error| error.to_string())?;
    if decoded.encode().bytes != key {
        return Err("the key is not in its one form".to_owned());
    }
    K::Record::decode(record).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_verified_by_one_key() {
        for table in Table::ALL {
            let keys = VERIFIED.iter().filter(|verified| *verified == table).count();
            assert_eq!(keys, 1, "add the key of table {} to verify.rs", table.name());
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let number = records::meta::NumberBlockKey { kind: 1 }.encode().bytes;
        let record = 7_u64.encode().unwrap();
        assert_eq!(verify_row(Table::NumberBlock, &number, &record), Ok(()));
        assert!(verify_row(Table::NumberBlock, &number, &[9, 9]).is_err());
        assert!(verify_row(Table::NumberBlock, &number[..1], &record).is_err());
        assert!(verify_row(Table::StateNode, &number, &record).is_err());
    }
}
