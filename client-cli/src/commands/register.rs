//! `pli register`
//!
//! User-interactive registration: the stages of the server's flow, one after the other.

use std::path::Path;
use std::time::Duration;

use matrix_sdk::authentication::SessionTokens;
use matrix_sdk::authentication::matrix::MatrixSession;
use matrix_sdk::ruma::{OwnedDeviceId, OwnedUserId};
use matrix_sdk::store::RoomLoadSettings;
use matrix_sdk::{Client, SessionMeta};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::api::{Answer, Api};
use crate::args::RegisterArgs;
use crate::commands::setup::{self, DEVICE_NAME};
use crate::connection;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::secret::{self, Source, random_string};
use crate::session::Session;
use crate::text::is_yes;
use crate::text::messages::Msg;
use url::Url;

const REGISTER: [&str; 4] = ["_matrix", "client", "v3", "register"];
const REQUEST_TOKEN: [&str; 6] = ["_matrix", "client", "v3", "register", "email", "requestToken"];
/// A server that never finishes its flow is not asked for ever.
const STAGES_MAX: usize = 12;
/// How often a person may mistype the code; the server has its own limit.
const CODE_TRIES: usize = 5;
/// How long `--code-file` is waited for: the life of a code.
const CODE_PATIENCE: Duration = Duration::from_secs(30 * 60);
const CODE_FILE_POLL: Duration = Duration::from_millis(200);

const EMAIL: &str = "m.login.email.identity";
const TOKEN: &str = "m.login.registration_token";
const TERMS: &str = "m.login.terms";
const DUMMY: &str = "m.login.dummy";

/// Creates an account, then signs this device in.
///
/// # Errors
/// A profile in use, a refused address, a wrong code, a server without a usable flow.
pub async fn run(context: &Context, args: RegisterArgs) -> Result<()> {
    setup::fresh_profile(context)?;
    let store_key = Session::new_store_key();
    let server = args.server.homeserver.as_deref();
    let client = connection::connect(server, None, &context.profile, &store_key).await?;
    let mut registration =
        Registration { context, args: &args, api: Api::of(&client, context.lang), proof: None };
    let (account, password) = match registration.run().await {
        Ok(done) => done,
        Err(error) => {
            context.profile.delete()?;
            return Err(error);
        }
    };
    let user = account.user_id.to_string();
    enter(&client, account).await?;
    let recovery =
        setup::finish_sign_in(context, &client, store_key, &password, &args.setup).await?;
    let session = Session::load(&context.profile)?;
    let mut answer = json!({
        "user_id": user, "device_id": session.device_id, "homeserver": session.homeserver,
        "profile": context.profile.name,
    });
    setup::hand_over(context, &recovery, &args.setup, &mut answer)?;
    context.answer(&answer, &context.text(Msg::RegisterDone, &[&user]))
}

/// The answer of a successful registration.
#[derive(Deserialize)]
struct Account {
    user_id: OwnedUserId,
    access_token: String,
    device_id: OwnedDeviceId,
}

async fn enter(client: &Client, account: Account) -> Result<()> {
    let session = MatrixSession {
        meta: SessionMeta { user_id: account.user_id, device_id: account.device_id },
        tokens: SessionTokens { access_token: account.access_token, refresh_token: None },
    };
    Ok(client.matrix_auth().restore_session(session, RoomLoadSettings::default()).await?)
}

/// A verified e-mail session, as the last stage names it.
#[derive(Clone)]
struct MailProof {
    sid: String,
    client_secret: String,
    /// Whether the server has confirmed it; a link is confirmed somewhere else.
    confirmed: bool,
}

/// What the server asks for.
struct Challenge {
    flows: Vec<Vec<String>>,
    completed: Vec<String>,
    params: Value,
    session: Value,
}

impl Challenge {
    fn of(body: &Value) -> Option<Self> {
        let strings = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let flows = body.get("flows")?.as_array()?.iter();
        Some(Self {
            flows: flows.map(|flow| strings(flow.get("stages").unwrap_or(&Value::Null))).collect(),
            completed: strings(body.get("completed").unwrap_or(&Value::Null)),
            params: body.get("params").cloned().unwrap_or(Value::Null),
            session: body.get("session").cloned().unwrap_or(Value::Null),
        })
    }

    /// The next stage of the best flow: one with a token if one was given, else one with a mail
    /// if an address was given or offered, else whatever `pli` can do.
    fn next(&self, token: bool, email: bool) -> Option<&str> {
        let known = [EMAIL, TOKEN, TERMS, DUMMY];
        let can = |flow: &&Vec<String>| flow.iter().all(|stage| known.contains(&stage.as_str()));
        let has = |flow: &Vec<String>, stage: &str| flow.iter().any(|s| s == stage);
        let rank = |flow: &&Vec<String>| {
            let (with_token, with_mail) = (has(flow, TOKEN), has(flow, EMAIL));
            (with_token == token, with_mail == email, with_mail, usize::MAX - flow.len())
        };
        let flow = self.flows.iter().filter(can).max_by_key(rank)?;
        flow.iter().find(|stage| !self.completed.contains(stage)).map(String::as_str)
    }
}

struct Registration<'a> {
    context: &'a Context,
    args: &'a RegisterArgs,
    api: Api,
    proof: Option<MailProof>,
}

impl Registration<'_> {
    async fn run(&mut self) -> Result<(Account, Zeroizing<String>)> {
        let mut answer = self.post(&json!({})).await?;
        let mut body = None;
        for _ in 0..STAGES_MAX {
            if answer.status != 401 {
                return self.account(answer, body.as_ref());
            }
            let challenge = Challenge::of(&answer.body)
                .ok_or_else(|| CliError::Network("no registration flow".to_owned()))?;
            let wants_token = self.args.token.is_some();
            // Without an address or a token the mail is the way: that is how Pli registers.
            let wants_mail =
                self.args.email.is_some() || (!wants_token && self.args.user.is_none());
            let stage = challenge.next(wants_token, wants_mail).ok_or_else(|| {
                CliError::Usage(Msg::ErrNoRegistration, vec![format!("{:?}", challenge.flows)])
            })?;
            let mut auth = self.stage(stage, &challenge).await?;
            auth.insert("type".to_owned(), json!(stage));
            auth.insert("session".to_owned(), challenge.session.clone());
            let request = self.body(&mut body)?;
            request.insert("auth".to_owned(), Value::Object(auth));
            answer = self.post(&Value::Object(request.clone())).await?;
            self.check(&answer)?;
        }
        Err(CliError::Network("the registration does not end".to_owned()))
    }

    /// A 401 with an errcode says why the last stage failed; there is no use in going on, unless
    /// the link of the mail may still be followed.
    fn check(&self, answer: &Answer) -> Result<()> {
        let text = |key| answer.body.get(key).and_then(Value::as_str);
        let Some(errcode) = text("errcode").filter(|_| answer.status == 401) else {
            return Ok(());
        };
        let refused = CliError::refused(errcode, text("error").unwrap_or_default());
        if self.proof.as_ref().is_some_and(|proof| !proof.confirmed) {
            self.context.note(Msg::RegisterWrongCode, &[&refused.text(self.context.lang)]);
            return Ok(());
        }
        Err(refused)
    }

    fn account(
        &self,
        answer: Answer,
        body: Option<&Map<String, Value>>,
    ) -> Result<(Account, Zeroizing<String>)> {
        let account = serde_json::from_value(answer.ok()?)
            .map_err(|error| CliError::Network(error.to_string()))?;
        let password = body.and_then(|body| body.get("password")).and_then(Value::as_str);
        Ok((account, Zeroizing::new(password.unwrap_or_default().to_owned())))
    }

    async fn post(&self, body: &Value) -> Result<Answer> {
        self.api.call(Method::POST, &REGISTER, &[], Some(body)).await
    }

    /// The request without its `auth`; asks for the password the first time.
    fn body<'b>(
        &self,
        body: &'b mut Option<Map<String, Value>>,
    ) -> Result<&'b mut Map<String, Value>> {
        if body.is_none() {
            let flags = &self.args.password;
            let source = Source::from_flags(flags.password_stdin, flags.password_file.as_deref());
            let (ask, again) = (Msg::AskNewPassword, Msg::AskAgain);
            let password =
                source.read_new(&self.context.text(ask, &[]), &self.context.text(again, &[]))?;
            let device = self.args.setup.device_name.as_deref().unwrap_or(DEVICE_NAME);
            let mut map = Map::new();
            map.insert("password".to_owned(), json!(password.as_str()));
            map.insert("initial_device_display_name".to_owned(), json!(device));
            if let Some(user) = &self.args.user {
                map.insert("username".to_owned(), json!(user));
            }
            *body = Some(map);
        }
        body.as_mut().ok_or(CliError::NoInput)
    }

    /// The `auth` of one stage, without its type and session.
    async fn stage(&mut self, stage: &str, challenge: &Challenge) -> Result<Map<String, Value>> {
        let mut auth = Map::new();
        match stage {
            EMAIL => {
                let proof = self.prove_mail().await?;
                let credentials = json!({"sid": proof.sid, "client_secret": proof.client_secret});
                auth.insert("threepid_creds".to_owned(), credentials);
            }
            TOKEN => {
                let token = self.registration_token()?;
                auth.insert("token".to_owned(), json!(token.as_str()));
            }
            TERMS => self.accept_terms(&challenge.params)?,
            _ => {}
        }
        Ok(auth)
    }

    fn registration_token(&self) -> Result<Zeroizing<String>> {
        match self.args.token.as_deref() {
            Some(token) if !token.is_empty() => Ok(Zeroizing::new(token.to_owned())),
            _ => Source::Prompt.read(&self.context.text(Msg::AskToken, &[])),
        }
    }

    fn accept_terms(&self, params: &Value) -> Result<()> {
        let links = terms_links(params, self.context.lang);
        if !self.context.json {
            eprintln!("{}", self.context.text(Msg::RegisterTerms, &[]));
            for (name, url) in &links {
                eprintln!("  {name}: {url}");
            }
        }
        let accepted =
            self.args.accept_terms || is_yes(&secret::ask(&self.context.text(Msg::AskTerms, &[]))?);
        if accepted { Ok(()) } else { Err(CliError::Usage(Msg::ErrTermsDeclined, Vec::new())) }
    }

    /// Has a mail sent and its code confirmed; the second time, the first proof serves again.
    async fn prove_mail(&mut self) -> Result<MailProof> {
        if let Some(proof) = &self.proof {
            // The server did not find the address confirmed: the link was not followed yet.
            secret::ask(&self.context.text(Msg::AskLinkFollowed, &[]))?;
            return Ok(proof.clone());
        }
        let email = match &self.args.email {
            Some(email) => email.clone(),
            None => secret::ask(&self.context.text(Msg::AskEmail, &[]))?,
        };
        let client_secret = random_string(32);
        let request = json!({"client_secret": client_secret, "email": email, "send_attempt": 1});
        let answer =
            self.api.call(Method::POST, &REQUEST_TOKEN, &[], Some(&request)).await?.ok()?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        let sid = text("sid").ok_or_else(|| CliError::Network("no sid".to_owned()))?.to_owned();
        let submit_url = text("submit_url").and_then(|url| Url::parse(url).ok());
        self.context.note(Msg::RegisterMailSent, &[&email]);
        let event = json!({"event": "mail_sent", "code_wanted": submit_url.is_some()});
        self.context.event(&event)?;
        let proof = MailProof { sid, client_secret, confirmed: submit_url.is_some() };
        match submit_url {
            Some(url) => self.submit_code(url, &proof).await?,
            None => drop(secret::ask(&self.context.text(Msg::AskLinkFollowed, &[]))?),
        }
        self.proof = Some(proof.clone());
        Ok(proof)
    }

    async fn submit_code(&self, url: Url, proof: &MailProof) -> Result<()> {
        let mut refused = CliError::NoInput;
        for _ in 0..CODE_TRIES {
            let code = match &self.args.code_file {
                Some(path) => code_from_file(path).await?,
                None => secret::ask(&self.context.text(Msg::AskCode, &[]))?,
            };
            let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
            let request =
                json!({"sid": proof.sid, "client_secret": proof.client_secret, "token": code});
            let answer = self.api.post_to(url.clone(), &request).await?;
            let success = answer.body.get("success").and_then(Value::as_bool);
            match (answer.ok(), success) {
                (Ok(_), Some(true) | None) => return Ok(()),
                (Ok(_), Some(false)) => refused = CliError::refused("M_UNKNOWN", "success: false"),
                (Err(error), _) => refused = error,
            }
            self.context.note(Msg::RegisterWrongCode, &[&refused.text(self.context.lang)]);
            if self.args.code_file.is_some() {
                break;
            }
        }
        Err(refused)
    }
}

/// Waits for a file with something in it.
async fn code_from_file(path: &Path) -> Result<String> {
    let wait = async {
        loop {
            match tokio::fs::read_to_string(path).await {
                Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(CliError::file(path, error)),
            }
            tokio::time::sleep(CODE_FILE_POLL).await;
        }
    };
    let waited = tokio::time::timeout(CODE_PATIENCE, wait).await;
    waited.unwrap_or(Err(CliError::Timeout(Msg::ErrTimeoutCode)))
}

/// Names and addresses of the policies, in the person's language where the server has it.
fn terms_links(params: &Value, lang: crate::lang::Lang) -> Vec<(String, String)> {
    let policies = params.pointer("/m.login.terms/policies").and_then(Value::as_object);
    let in_language = |policy: &Value| {
        let policy = policy.as_object()?;
        let any = policy.iter().find(|(_, value)| value.is_object()).map(|(_, value)| value);
        let text = policy.get(lang.code()).or_else(|| policy.get("en")).or(any)?;
        let part = |key: &str| text.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some((part("name"), part("url")))
    };
    policies.into_iter().flat_map(|map| map.values()).filter_map(in_language).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;

    fn challenge(flows: &[&[&str]], completed: &[&str]) -> Challenge {
        let flows: Vec<Value> = flows.iter().map(|stages| json!({"stages": stages})).collect();
        Challenge::of(&json!({"flows": flows, "completed": completed, "session": "s"})).unwrap()
    }

    #[test]
    fn the_flow_follows_what_the_person_gave() {
        let both: &[&[&str]] = &[&[EMAIL, TERMS], &[TOKEN, DUMMY]];
        assert_eq!(challenge(both, &[]).next(false, true), Some(EMAIL));
        assert_eq!(challenge(both, &[]).next(true, false), Some(TOKEN));
        assert_eq!(challenge(both, &[TOKEN]).next(true, false), Some(DUMMY));
        assert_eq!(challenge(both, &[EMAIL]).next(false, true), Some(TERMS));
        let token_and_mail: &[&[&str]] = &[&[TOKEN, EMAIL]];
        assert_eq!(challenge(token_and_mail, &[TOKEN]).next(true, false), Some(EMAIL));
    }

    #[test]
    fn an_open_server_needs_no_mail() {
        let open: &[&[&str]] = &[&[DUMMY], &[EMAIL]];
        assert_eq!(challenge(open, &[]).next(false, false), Some(DUMMY));
        assert_eq!(challenge(open, &[]).next(false, true), Some(EMAIL));
        let dummy_only: &[&[&str]] = &[&[DUMMY]];
        assert_eq!(challenge(dummy_only, &[]).next(false, true), Some(DUMMY));
    }

    #[test]
    fn a_flow_with_an_unknown_stage_is_left_out() {
        let captcha: &[&[&str]] = &[&["m.login.recaptcha", EMAIL]];
        assert_eq!(challenge(captcha, &[]).next(false, true), None);
    }

    #[test]
    fn terms_in_the_language_of_the_person() {
        let params = json!({"m.login.terms": {"policies": {"tos": {"version": "1",
            "en": {"name": "Terms", "url": "https://e"}, "fr": {"name": "CGU", "url": "https://f"}}}}});
        assert_eq!(terms_links(&params, Lang::Fr), [("CGU".to_owned(), "https://f".to_owned())]);
        assert_eq!(terms_links(&params, Lang::En), [("Terms".to_owned(), "https://e".to_owned())]);
        assert!(terms_links(&Value::Null, Lang::En).is_empty());
    }

    #[tokio::test]
    async fn a_code_file_is_read_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("code");
        std::fs::write(&path, " 123456\n").unwrap();
        assert_eq!(code_from_file(&path).await.unwrap(), "123456");
    }
}
