//! The push rules of a user: the server's defaults with what the user changed.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-rules-api>

use std::sync::Arc;

use pli_schema::{
    Position, Topic,
    records::push::{PushRulesKey, PushRulesRecord},
};
use ruma::{
    UserId,
    events::AnyGlobalAccountDataEvent,
    push::{
        Action, AnyPushRule, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind,
        Ruleset,
    },
    serde::Raw,
};
use serde_json::{Value, json};

use super::Push;
use crate::{Error, Result};

/// Largest ruleset, in bytes of its JSON.
const RULES_MAX_BYTES: usize = 65_536;

/// Where a new rule goes among those of its kind.
#[derive(Clone, Debug, Default)]
pub struct RulePlace {
    /// Right before this rule (more important).
    pub before: Option<String>,
    /// Right after this rule (less important).
    pub after: Option<String>,
}

fn no_rule() -> Error {
    Error::not_found("There is no such push rule")
}

fn parse(user_id: &UserId, json: &str) -> Result<Ruleset> {
    let mut rules: Ruleset = serde_json::from_str(json)
        .map_err(|error| Error::bug(format!("stored push rules: {error}")))?;
    let mut defaults = default_rules(user_id);
    if !rules.postcontent.is_empty() {
        defaults.postcontent = Ruleset::server_default(user_id).postcontent;
    }
    rules.update_with_server_default(defaults);
    Ok(rules)
}

/// The server's defaults. The kind `postcontent` is of a proposal (MSC4306): its rules silence threads
/// to which the user is not subscribed, so that they are there only for users whose clients subscribe.
fn default_rules(user_id: &UserId) -> Ruleset {
    let mut rules = Ruleset::server_default(user_id);
    rules.postcontent.clear();
    rules
}

impl Push {
    /// All rules of a user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rules(&self, user_id: &UserId) -> Result<Arc<Ruleset>> {
        let stored = self.store().get_stored(&PushRulesKey { user_id: user_id.to_owned() }).await?;
        let position = stored.as_ref().map(|stored| stored.position);
        if let Some((at, rules)) = self.caches.rulesets.lock().get(user_id)
            && *at == position
        {
            return Ok(Arc::clone(rules));
        }
        let rules = Arc::new(match stored {
            Some(stored) => parse(user_id, &stored.record.json)?,
            None => default_rules(user_id),
        });
        self.caches.rulesets.lock().put(user_id.to_owned(), (position, Arc::clone(&rules)));
        Ok(rules)
    }

    /// All rules of a user as JSON: each of the five kinds is there, as in every example of the
    /// specification; clients take the list of a kind without looking whether it is absent.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rules_json(&self, user_id: &UserId) -> Result<Value> {
        let mut rules = serde_json::to_value(&*self.rules(user_id).await?)
            .map_err(|error| Error::bug(format!("push rules: {error}")))?;
        if let Some(kinds) = rules.as_object_mut() {
            for kind in ["override", "content", "room", "sender", "underride"] {
                kinds.entry(kind).or_insert_with(|| json!([]));
            }
        }
        Ok(rules)
    }

    /// The rules of a user as the account data `m.push_rules`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rules_event(&self, user_id: &UserId) -> Result<Raw<AnyGlobalAccountDataEvent>> {
        let global = self.rules_json(user_id).await?;
        let event = json!({ "type": "m.push_rules", "content": { "global": global } });
        let json = serde_json::value::to_raw_value(&event)
            .map_err(|error| Error::bug(format!("push rules: {error}")))?;
        Ok(Raw::from_json(json))
    }

    /// The commit that last changed a user's rules; [`Position::ZERO`] if none did.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rules_changed_at(&self, user_id: &UserId) -> Result<Position> {
        let stored = self.store().get_stored(&PushRulesKey { user_id: user_id.to_owned() }).await?;
        Ok(stored.map_or(Position::ZERO, |stored| stored.position))
    }

    /// A rule.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn rule(
        &self,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<AnyPushRule> {
        let rules = self.rules(user_id).await?;
        let rule = rules.get(kind, rule_id).map(|rule| rule.to_owned());
        rule.ok_or_else(no_rule)
    }

    /// Adds or replaces a rule of the user's own.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for a reserved or malformed id, or a place next to a rule that is not
    /// there or is the server's; [`Error::TooLarge`].
    pub async fn put_rule(
        &self,
        user_id: &UserId,
        rule: &NewPushRule,
        place: &RulePlace,
    ) -> Result<()> {
        let (before, after) = (place.before.as_deref(), place.after.as_deref());
        self.change(user_id, |rules| insert(rules, rule, before, after)).await
    }

    /// Removes a rule of the user's own.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidParam`] for a rule of the server.
    pub async fn delete_rule(&self, user_id: &UserId, kind: RuleKind, rule_id: &str) -> Result<()> {
        self.change(user_id, |rules| {
            rules.remove(kind.clone(), rule_id).map_err(|error| match error {
                RemovePushRuleError::ServerDefault => {
                    Error::invalid_param("A rule of the server cannot be deleted")
                }
                _ => no_rule(),
            })
        })
        .await
    }

    /// Switches a rule on or off.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn enable_rule(
        &self,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: &str,
        enabled: bool,
    ) -> Result<()> {
        self.change(user_id, |rules| {
            rules.set_enabled(kind.clone(), rule_id, enabled).map_err(|_| no_rule())
        })
        .await
    }

    /// Replaces the actions of a rule.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::TooLarge`].
    pub async fn set_rule_actions(
        &self,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: &str,
        actions: &[Action],
    ) -> Result<()> {
        self.change(user_id, |rules| {
            rules.set_actions(kind.clone(), rule_id, actions.to_vec()).map_err(|_| no_rule())
        })
        .await
    }

    /// Gives the user the rules for subscriptions to threads (MSC4306), unless they are there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn use_thread_rules(&self, user_id: &UserId) -> Result<()> {
        if !self.rules(user_id).await?.postcontent.is_empty() {
            return Ok(());
        }
        self.change(user_id, |rules| {
            rules.postcontent = Ruleset::server_default(user_id).postcontent;
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        user_id: &UserId,
        change: impl Fn(&mut Ruleset) -> Result<()>,
    ) -> Result<()> {
        let key = &PushRulesKey { user_id: user_id.to_owned() };
        let change = &change;
        self.store()
            .write(|tx| async move {
                let mut rules = match tx.get(key).await? {
                    Some(record) => parse(&key.user_id, &record.json)?,
                    None => default_rules(&key.user_id),
                };
                change(&mut rules)?;
                let json = serde_json::to_string(&rules)
                    .map_err(|error| Error::bug(format!("push rules: {error}")))?;
                if json.len() > RULES_MAX_BYTES {
                    return Err(Error::too_large("There are too many push rules"));
                }
                tx.put(key, &PushRulesRecord { json })?;
                tx.wake(Topic::User(key.user_id.clone()));
                Ok(())
            })
            .await
    }
}

fn insert(
    rules: &mut Ruleset,
    rule: &NewPushRule,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<()> {
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    if matches!(rule, NewPushRule::PostContent(_)) {
        return Err(Error::invalid_param("There is no such kind of push rule"));
    }
    if rule_id.is_empty() || rule_id.len() > 1_024 {
        return Err(Error::invalid_param("The id of a push rule has 1 to 1024 bytes"));
    }
    if [before, after].contains(&Some(&rule_id)) {
        return Err(Error::invalid_param("A rule cannot be placed at itself"));
    }
    // A rule that moves is taken out first: the places of the others are those without it.
    let mut enabled = None;
    if (before.is_some() || after.is_some()) && !rule_id.starts_with('.') {
        enabled = rules.get(kind.clone(), &rule_id).map(|rule| rule.enabled());
        if enabled.is_some() {
            rules.remove(kind.clone(), &rule_id).map_err(|_| no_rule())?;
        }
    }
    rules.insert(rule.clone(), after, before).map_err(|error| {
        Error::invalid_param(match error {
            InsertPushRuleError::UnknownRuleId => "The rule to be placed at is not there",
            InsertPushRuleError::BeforeHigherThanAfter => "`before` is before `after`",
            InsertPushRuleError::RelativeToServerDefaultRule => {
                "A rule cannot be placed at a rule of the server"
            }
            InsertPushRuleError::ServerDefaultRuleId => "Ids with a dot are the server's",
            _ => "The id of the push rule is malformed",
        })
    })?;
    if let Some(enabled) = enabled {
        rules.set_enabled(kind, &rule_id, enabled).map_err(|_| no_rule())?;
    }
    Ok(())
}
