//! Proof that a person reads the mail of an address: a code and a link, valid for half an hour.
//!
//! Purpose, address and client secret of a session never change. Answers are the same whether the
//! address has an account or not; what is to be said about that is said in the mail.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration> (`requestToken`).

use pli_schema::{
    EmailAddress, Language, Stamp, Topic,
    records::{
        accounts::{
            EmailOwnerKey, Letter, Purpose, SecretHash, ValidationByClientKey,
            ValidationByClientRecord, ValidationKey, ValidationRecord,
        },
        policy::{MailJobKey, MailJobRecord},
    },
};
use pli_store::Tx;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Accounts, Secret, TokenHash};
use crate::{
    Error, Result,
    policy::{Answer, Refusal},
};

/// How long a code and a link are good.
pub const CODE_LIFETIME_MS: u64 = 30 * 60_000;
/// How long the link with which an account is renewed is good: it comes weeks before the end.
const RENEWAL_LIFETIME_MS: u64 = 45 * 24 * 3_600_000;

/// How long code and link are good.
pub(crate) const fn lifetime_ms(purpose: Purpose) -> u64 {
    match purpose {
        Purpose::Renew => RENEWAL_LIFETIME_MS,
        Purpose::Register | Purpose::ResetPassword | Purpose::AddEmail => CODE_LIFETIME_MS,
    }
}

/// Wrong codes before a new mail is needed.
pub const TRIES: u32 = 5;
/// How long a proof that was given can be used.
pub const PROOF_LIFETIME_MS: u64 = 24 * 3_600_000;

/// A request for a mail that proves an address.
#[derive(Clone, Debug)]
pub struct ValidationRequest {
    /// What for.
    pub purpose: Purpose,
    /// The client's secret, of the grammar `[0-9a-zA-Z.=_-]{1,255}`.
    pub client_secret: Secret,
    /// The address as the person wrote it.
    pub address: String,
    /// A mail is sent when this is greater than in the requests before.
    pub send_attempt: u64,
    /// The language of answer and mail.
    pub language: Language,
}

/// The hash under which a client's secret is known.
fn secret_hash(secret: &Secret) -> SecretHash {
    TokenHash::of(secret.reveal()).0
}

/// The hash of a short code: with the session's id, so that equal codes have different hashes.
pub(crate) fn code_hash(sid: &str, code: &str) -> SecretHash {
    Sha256::new().chain_update(sid).chain_update([0]).chain_update(code).finalize().into()
}

impl Accounts {
    /// Has a mail sent that proves an address, and returns the session's id. Repeating a request sends
    /// no second mail.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for what is no address, and for another address in the same session;
    /// [`Error::ThreepidDenied`] for an address that may not be used; [`Error::LimitExceeded`].
    pub async fn request_validation(&self, request: ValidationRequest) -> Result<String> {
        let language = request.language;
        let address = EmailAddress::parse(request.address.trim())
            .map_err(|_| Error::invalid_param(Refusal::NoAddress.text(language)))?;
        if request.purpose != Purpose::ResetPassword
            && let Answer::Refuse(refusal) = self.policy.for_address(&address).await?
        {
            return Err(Error::ThreepidDenied(refusal.text(language).to_owned()));
        }
        let fresh_sid = &self.random.letters(32);
        let (request, address) = (&request, &address);
        self.spend_mail(request, address).await?;
        self.store
            .write(
                |tx| async move { self.write_validation(&tx, request, address, fresh_sid).await },
            )
            .await
    }

    async fn write_validation(
        &self,
        tx: &Tx,
        request: &ValidationRequest,
        address: &EmailAddress,
        fresh_sid: &str,
    ) -> Result<String> {
        let client_secret = secret_hash(&request.client_secret);
        let by_client = ValidationByClientKey { client_secret, purpose: request.purpose as u8 };
        let known = match tx.get(&by_client).await? {
            Some(found) => {
                let key = ValidationKey { sid: found.sid.clone() };
                tx.get(&key).await?.map(|record| (found.sid, record))
            }
            None => None,
        };
        if known.as_ref().is_some_and(|(_, record)| record.address != *address) {
            return Err(Error::invalid_param("This session is for another e-mail address"));
        }
        let now_ms = self.clock.now_ms();
        let (sid, mut record) = match known {
            Some((sid, record)) if !record.used => {
                if request.send_attempt <= record.send_attempt || record.validated_at_ms.is_some() {
                    return Ok(sid);
                }
                (sid, record)
            }
            _ => (fresh_sid.to_owned(), new_record(request, address, client_secret)),
        };
        record.letter = letter(tx, request.purpose, address).await?;
        record.send_attempt = request.send_attempt;
        record.language = request.language;
        record.expires_at_ms = now_ms.saturating_add(CODE_LIFETIME_MS);
        tx.put(&by_client, &ValidationByClientRecord { sid: sid.clone() })?;
        tx.put(&ValidationKey { sid: sid.clone() }, &record)?;
        let nothing_to_say = record.letter == Letter::NoAccount
            && matches!(self.policy.for_address_in(tx, address).await?, Answer::Refuse(_));
        if !nothing_to_say {
            let job = MailJobRecord { sid: sid.clone(), failures: 0, next_try_ms: now_ms };
            tx.put(&MailJobKey { at: Stamp::Commit, index: 0 }, &job)?;
            tx.wake(Topic::Jobs);
        }
        Ok(sid)
    }

    /// Counts the mails to an address. A request that sends none is free.
    async fn spend_mail(&self, request: &ValidationRequest, address: &EmailAddress) -> Result<()> {
        let client_secret = secret_hash(&request.client_secret);
        let by_client = ValidationByClientKey { client_secret, purpose: request.purpose as u8 };
        if let Some(found) = self.store.get(&by_client).await?
            && let Some(known) = self.store.get(&ValidationKey { sid: found.sid }).await?
            && (known.address != *address || request.send_attempt <= known.send_attempt)
        {
            return Ok(());
        }
        let limit = self.settings.registration.mails_per_address_per_hour;
        let subject = TokenHash::of(&format!("mail to {}", address.as_str())).0;
        self.mails.spend(subject, limit, 3_600_000)
    }

    /// Takes the code or the token of a mail. The token of the link is enough by itself; the short code
    /// needs the client's secret.
    ///
    /// # Errors
    /// [`Error::NoValidSession`] if session and secret do not belong together, [`Error::SessionExpired`]
    /// after half an hour or five wrong tries, [`Error::ThreepidAuthFailed`] for a wrong code.
    pub async fn submit_validation(
        &self,
        sid: &str,
        client_secret: Option<&Secret>,
        token: &Secret,
    ) -> Result<()> {
        let given = &Given {
            code: code_hash(sid, token.reveal().trim()),
            token: secret_hash(token),
            client_secret: client_secret.map(secret_hash),
        };
        let key = &ValidationKey { sid: sid.to_owned() };
        let right = self
            .store
            .write(|tx| async move {
                let mut record = given.session(&tx, key).await?;
                if record.expires_at_ms <= self.clock.now_ms() || record.wrong_tries >= TRIES {
                    let text = "The code is not valid any more; ask for a new mail";
                    return Err(Error::SessionExpired(text.to_owned()));
                }
                let right = given.is_right_for(&record);
                if right {
                    record.validated_at_ms.get_or_insert(self.clock.now_ms());
                    if record.purpose == Purpose::Renew && !record.used {
                        self.renew_validity(&tx, &record.address).await?;
                        record.used = true;
                    }
                } else {
                    record.wrong_tries = record.wrong_tries.saturating_add(1);
                }
                tx.put(key, &record)?;
                Ok(right)
            })
            .await?;
        if right {
            return Ok(());
        }
        Err(Error::ThreepidAuthFailed("The code is not right".to_owned()))
    }

    /// For whom the session of a link is, so that the page can say it before the click.
    ///
    /// # Errors
    /// [`Error::NoValidSession`] if the token is not that of the session's newest mail.
    pub async fn validation_of_link(&self, sid: &str, token: &Secret) -> Result<ValidationRecord> {
        let record = self.store.get(&ValidationKey { sid: sid.to_owned() }).await?;
        let token = secret_hash(token);
        record.filter(|record| same(&record.token, &token)).ok_or_else(no_session)
    }

    /// The session, if its proof has been given and can be used for a purpose.
    pub(crate) async fn proof(
        &self,
        purpose: Purpose,
        sid: &str,
        client_secret: &Secret,
    ) -> Result<Option<ValidationRecord>> {
        let record = self.store.get(&ValidationKey { sid: sid.to_owned() }).await?;
        let client_secret = secret_hash(client_secret);
        Ok(record.filter(|record| {
            bool::from(record.client_secret.ct_eq(&client_secret)) && self.is_proof(record, purpose)
        }))
    }

    fn is_proof(&self, record: &ValidationRecord, purpose: Purpose) -> bool {
        let fresh = record
            .validated_at_ms
            .is_some_and(|at| at.saturating_add(PROOF_LIFETIME_MS) > self.clock.now_ms());
        fresh && !record.used && record.purpose == purpose
    }

    /// Uses a proof up, in the transaction that does what it was for. One proof does one thing.
    pub(super) async fn use_proof(
        &self,
        tx: &Tx,
        purpose: Purpose,
        sid: &str,
    ) -> Result<ValidationRecord> {
        let key = ValidationKey { sid: sid.to_owned() };
        let record = tx.get(&key).await?.filter(|record| self.is_proof(record, purpose));
        let Some(record) = record else {
            let text = "The e-mail address is not proven, or the proof has been used";
            return Err(Error::ThreepidAuthFailed(text.to_owned()));
        };
        tx.put(&key, &ValidationRecord { used: true, ..record.clone() })?;
        Ok(record)
    }
}

fn new_record(
    request: &ValidationRequest,
    address: &EmailAddress,
    client_secret: SecretHash,
) -> ValidationRecord {
    ValidationRecord {
        purpose: request.purpose,
        address: address.clone(),
        client_secret,
        language: request.language,
        letter: Letter::Code,
        send_attempt: 0,
        code: None,
        token: None,
        wrong_tries: 0,
        expires_at_ms: 0,
        validated_at_ms: None,
        used: false,
    }
}

/// What the mail must say, which the answer does not.
async fn letter(tx: &Tx, purpose: Purpose, address: &EmailAddress) -> Result<Letter> {
    let key = EmailOwnerKey { address: address.as_str().to_owned() };
    let has_account = tx.get(&key).await?.is_some();
    Ok(match (purpose, has_account) {
        (Purpose::Register | Purpose::AddEmail, true) => Letter::AccountExists,
        (Purpose::ResetPassword, false) => Letter::NoAccount,
        _ => Letter::Code,
    })
}

/// What was handed in, as hashes.
struct Given {
    code: SecretHash,
    token: SecretHash,
    client_secret: Option<SecretHash>,
}

impl Given {
    /// The session, if what was given may speak for it.
    async fn session(&self, tx: &Tx, key: &ValidationKey) -> Result<ValidationRecord> {
        let record = tx.get(key).await?.ok_or_else(no_session)?;
        let may = match &self.client_secret {
            Some(secret) => bool::from(record.client_secret.ct_eq(secret)),
            None => same(&record.token, &self.token),
        };
        if may { Ok(record) } else { Err(no_session()) }
    }

    fn is_right_for(&self, record: &ValidationRecord) -> bool {
        same(&record.code, &self.code) || same(&record.token, &self.token)
    }
}

fn same(known: &Option<SecretHash>, given: &SecretHash) -> bool {
    known.as_ref().is_some_and(|known| bool::from(known.ct_eq(given)))
}

fn no_session() -> Error {
    Error::NoValidSession("There is no such session, or it has another secret".to_owned())
}
