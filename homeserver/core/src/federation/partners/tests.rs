//! Who is admitted, what is agreed, which keys are believed.

use pli_schema::records::partners::{Allowed, PinnedKey};
use pli_store::Store;
use ruma::{ServerName, UserId, serde::Base64, server_name, user_id};

use super::*;
use crate::{TestClock, audit::Audit};

fn partners(open: bool) -> (Partners, Store) {
    let store = Store::in_memory();
    let clock = Clock::Test(TestClock::new(1_000));
    (Partners::new(store.clone(), clock, Openness { enabled: true, open }), store)
}

const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const B: &str = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn admin() -> &'static UserId {
    user_id!("@admin:pli.example")
}

fn partner() -> &'static ServerName {
    server_name!("partner.example")
}

#[tokio::test]
async fn who_is_admitted_follows_the_lists_at_once() {
    let (closed, store) = partners(false);
    assert!(closed.admit(partner()).await.is_err());
    closed.put(admin(), partner(), NewPartner::default()).await.unwrap();
    closed.admit(partner()).await.unwrap();
    let suspended = NewPartner { suspended: true, ..NewPartner::default() };
    closed.put(admin(), partner(), suspended).await.unwrap();
    assert!(closed.admit(partner()).await.is_err());
    closed.remove(admin(), partner()).await.unwrap();
    assert!(matches!(closed.remove(admin(), partner()).await, Err(Error::NotFound(_))));
    let entries = Audit::new(store).newest(None, 10).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|(_, entry)| entry.action.as_str()).collect();
    let (put, remove) = ("federation.partner_put", "federation.partner_remove");
    assert_eq!(actions, [remove, put, put]);

    let (open, _) = partners(true);
    open.admit(partner()).await.unwrap();
    open.block(admin(), partner(), Some("spam".to_owned())).await.unwrap();
    assert!(open.admit(partner()).await.is_err());
    assert!(open.is_blocked(partner()).await.unwrap());
    open.unblock(admin(), partner()).await.unwrap();
    open.admit(partner()).await.unwrap();
}

#[tokio::test]
async fn a_partner_gets_what_was_agreed() {
    let (partners, _) = partners(true);
    partners.require(partner(), Use::Profiles).await.unwrap();
    let allowed = Allowed { profiles: false, ..Allowed::default() };
    let new = NewPartner { allowed, room_rules_required: true, ..NewPartner::default() };
    partners.put(admin(), partner(), new).await.unwrap();
    assert!(partners.require(partner(), Use::Profiles).await.is_err());
    partners.require(partner(), Use::Media).await.unwrap();
    assert!(partners.requires_room_rules(partner()).await.unwrap());
}

#[tokio::test]
async fn pinned_keys_only_are_believed_and_bad_ones_never() {
    let (partners, _) = partners(true);
    let (id, other): (OwnedServerSigningKeyId, OwnedServerSigningKeyId) =
        ("ed25519:a".try_into().unwrap(), "ed25519:b".try_into().unwrap());
    let key = |text: &str| -> Base64 { Base64::parse(text).unwrap() };
    assert!(!partners.believes(partner(), &id, &key(A)), "before anything was read");
    partners.ready().await.unwrap();
    assert!(partners.believes(partner(), &id, &key(A)));
    let pin = PinnedKey { key_id: "ed25519:a".to_owned(), key: format!("{A}=") };
    let new = NewPartner { pinned_keys: vec![pin], ..NewPartner::default() };
    partners.put(admin(), partner(), new).await.unwrap();
    assert!(partners.believes(partner(), &id, &key(A)));
    assert!(!partners.believes(partner(), &id, &key(B)));
    assert!(!partners.believes(partner(), &other, &key(A)));
    assert!(partners.believes(server_name!("else.example"), &other, &key(B)));
    partners.refuse_key(admin(), A, None).await.unwrap();
    assert!(!partners.believes(partner(), &id, &key(A)));
    partners.accept_key(admin(), A).await.unwrap();
    assert!(partners.believes(partner(), &id, &key(A)));
}

#[tokio::test]
async fn what_is_no_key_or_too_long_is_refused() {
    let (partners, _) = partners(true);
    let with = |key_id: &str, key: &str| NewPartner {
        pinned_keys: vec![PinnedKey { key_id: key_id.to_owned(), key: key.to_owned() }],
        ..NewPartner::default()
    };
    for bad in [
        with("ed25519:a", "short"),
        with("rsa:a", A),
        with("a", A),
        NewPartner { note: Some("x".repeat(201)), ..NewPartner::default() },
        NewPartner { organizations: vec!["A [B]".to_owned()], ..NewPartner::default() },
        NewPartner { organizations: vec![String::new()], ..NewPartner::default() },
        NewPartner { organizations: vec!["x".to_owned(); 51], ..NewPartner::default() },
    ] {
        let refused = partners.put(admin(), partner(), bad).await;
        assert!(matches!(refused, Err(Error::InvalidParam(_))), "{refused:?}");
    }
    assert!(partners.all().await.unwrap().is_empty());
}
