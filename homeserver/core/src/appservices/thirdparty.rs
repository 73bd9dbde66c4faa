//! Third-party networks: what services know of them, put together.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#third-party-networks>

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::{Appservice, Appservices, query::Call};
use crate::{Error, Result};

/// Entries of one list at most.
const ENTRIES_MAX: usize = 1_000;

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Locations of a protocol, by its fields.
    Locations(&'a str),
    /// Users of a protocol, by its fields.
    Users(&'a str),
    /// The locations that an alias stands for.
    Alias,
    /// The users that a user id stands for.
    UserId,
}

impl Appservices {
    /// All protocols, by name.
    pub async fn protocols(&self) -> BTreeMap<String, Value> {
        let names: std::collections::BTreeSet<&str> =
            self.iter().flat_map(|service| &service.protocols).map(String::as_str).collect();
        let found = join_all(names.iter().map(|name| self.protocol(name))).await;
        let named = names.into_iter().zip(found);
        named.filter_map(|(name, found)| Some((name.to_owned(), found.ok()?))).collect()
    }

    /// What is known of a protocol: the description of the first service that has one, with the instances
    /// of all.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no service has it.
    pub async fn protocol(&self, name: &str) -> Result<Value> {
        let serving: Vec<_> =
            self.iter().filter(|service| service.protocols.iter().any(|p| p == name)).collect();
        let asked = serving.iter().map(|service| {
            let call = Call::get(&["thirdparty", "protocol", name]).or_at(&[
                "_matrix",
                "app",
                "unstable",
                "thirdparty",
                "protocol",
                name,
            ]);
            self.json(service, call)
        });
        let mut merged: Option<Map<String, Value>> = None;
        for (service, answer) in serving.iter().zip(join_all(asked).await) {
            let Some(Value::Object(mut protocol)) = answer.filter(is_protocol) else { continue };
            let instances = instances(service, protocol.remove("instances"));
            let merged = merged.get_or_insert_with(|| {
                protocol.insert("instances".to_owned(), Value::Array(Vec::new()));
                protocol
            });
            if let Some(all) = merged.get_mut("instances").and_then(Value::as_array_mut) {
                all.extend(instances);
                all.truncate(ENTRIES_MAX);
            }
        }
        let missing = || Error::not_found("No application service serves this protocol");
        merged.map(Value::Object).ok_or_else(missing)
    }

    /// What the services find, all of it in one list.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no service finds anything.
    pub async fn look_up(
        &self,
        lookup: Lookup<'_>,
        fields: &[(String, String)],
    ) -> Result<Vec<Value>> {
        let (kind, protocol) = match lookup {
            Lookup::Locations(protocol) => ("location", Some(protocol)),
            Lookup::Users(protocol) => ("user", Some(protocol)),
            Lookup::Alias => ("location", None),
            Lookup::UserId => ("user", None),
        };
        let serves = |service: &&std::sync::Arc<Appservice>| match protocol {
            Some(protocol) => service.protocols.iter().any(|p| p == protocol),
            None => !service.protocols.is_empty(),
        };
        let asked = self.iter().filter(serves).map(|service| {
            let mut path = vec!["thirdparty", kind];
            path.extend(protocol);
            let mut legacy = vec!["_matrix", "app", "unstable"];
            legacy.extend(&path);
            let call = Call { query: fields.to_vec(), ..Call::get(&path).or_at(&legacy) };
            self.json(service, call)
        });
        let mut all = Vec::new();
        for answer in join_all(asked).await {
            if let Some(Value::Array(found)) = answer {
                all.extend(found.into_iter().filter(|entry| is_entry(entry, kind)));
            }
        }
        all.truncate(ENTRIES_MAX);
        if all.is_empty() {
            return Err(Error::not_found("Nothing was found"));
        }
        Ok(all)
    }

    /// The JSON of a successful answer.
    async fn json(&self, service: &Appservice, call: Call) -> Option<Value> {
        match self.call(service, call).await {
            Ok(answer) if answer.is_success() => serde_json::from_slice(&answer.body).ok(),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(service = &*service.id, %error, "a look-up was not answered");
                None
            }
        }
    }
}

/// What clients rely on is there.
fn is_protocol(value: &Value) -> bool {
    let lists = ["user_fields", "location_fields"];
    value.get("icon").is_some_and(Value::is_string)
        && value.get("field_types").is_some_and(Value::is_object)
        && lists.iter().all(|list| value.get(list).is_some_and(Value::is_array))
}

fn is_entry(value: &Value, kind: &str) -> bool {
    let id = if kind == "user" { "userid" } else { "alias" };
    value.get(id).is_some_and(Value::is_string)
        && value.get("protocol").is_some_and(Value::is_string)
        && value.get("fields").is_some_and(Value::is_object)
}

/// The instances of a service, each with an id that is unique here.
fn instances(service: &Appservice, instances: Option<Value>) -> Vec<Value> {
    let Some(Value::Array(instances)) = instances else {
        return Vec::new();
    };
    let with_id = |mut instance: Value| {
        let network = instance.get("network_id")?.as_str()?.to_owned();
        let complete = instance.get("desc").is_some_and(Value::is_string)
            && instance.get("fields").is_some_and(Value::is_object);
        instance.as_object_mut()?.insert(
            "instance_id".to_owned(),
            Value::from(super::network_instance_id(&service.id, &network)),
        );
        complete.then_some(instance)
    };
    instances.into_iter().filter_map(with_id).collect()
}
