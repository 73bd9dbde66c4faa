//! Keys of servers over TLS, told by themselves and by a notary.

use pli_core::federation::NeededKey;
use pli_tests::server::TestServer;
use ruma::{OwnedServerName, OwnedServerSigningKeyId};
use serde_json::{Value, json};

fn only_key(published: &Value) -> OwnedServerSigningKeyId {
    let keys = published["verify_keys"].as_object().unwrap();
    assert_eq!(keys.len(), 1);
    keys.keys().next().unwrap().as_str().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asks_another_for_its_keys() {
    let (asking, asked) =
        tokio::join!(TestServer::start_federating(), TestServer::start_federating());
    let published = asked.get("/_matrix/key/v2/server").await.ok();
    let server = OwnedServerName::try_from(asked.server_name.as_str()).unwrap();
    let key_id = only_key(&published);
    let needed = NeededKey { server, key_id: key_id.clone(), at_ms: None, enforce_validity: true };
    let keys = asking.state().signed.keys().keys(&[needed]).await.unwrap();
    let expected = published["verify_keys"][key_id.as_str()]["key"].as_str().unwrap();
    assert_eq!(keys[&asked.server_name][key_id.as_str()].encode(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notary_vouches_for_the_keys_of_another_server() {
    let (notary, asked) =
        tokio::join!(TestServer::start_federating(), TestServer::start_federating());
    let path = format!("/_matrix/key/v2/query/{}", asked.server_name);
    let answer = notary.get(&path).await.ok();
    let signed = answer["server_keys"][0].clone();
    assert_eq!(signed["server_name"], json!(asked.server_name));
    for signer in [&asked.server_name, &notary.server_name] {
        assert_eq!(signed["signatures"][signer].as_object().unwrap().len(), 1, "{signer}");
    }
    let unknown = notary.get("/_matrix/key/v2/query/127.0.0.1:1").await.ok();
    assert_eq!(unknown["server_keys"], json!([]));
}
