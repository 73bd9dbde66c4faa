//! How mails leave: over SMTP, or as files where no mail server is configured.

use std::{path::PathBuf, time::Duration};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use pli_schema::{
    EmailAddress,
    account_settings::{MailSettings, SmtpSecurity},
};

use super::letters::Written;
use crate::{Error, MilliSeconds, Result};

/// How long one step of the exchange with the mail server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The way out.
#[derive(Clone, Debug)]
pub enum Transport {
    /// An SMTP server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// A folder that gets one `.eml` file per mail.
    Folder(PathBuf),
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// Trying again is of no use.
    pub permanent: bool,
    /// What happened, without any address.
    pub text: String,
}

impl SendError {
    fn permanent(text: impl Into<String>) -> Self {
        Self { permanent: true, text: text.into() }
    }

    fn for_now(text: impl Into<String>) -> Self {
        Self { permanent: false, text: text.into() }
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no automatic answers, please.
#[derive(Clone, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Transport {
    /// The way out that the settings name.
    ///
    /// # Errors
    /// [`Error::Bug`] with what is wrong with the settings; files are read here, once.
    pub fn new(settings: &MailSettings, folder: PathBuf) -> Result<Self> {
        let Some(smtp) = &settings.smtp else {
            return Ok(Self::Folder(settings.folder.as_ref().map_or(folder, PathBuf::from)));
        };
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Error::Bug(format!("mail.smtp: {what}: {error}"))
        };
        let host = &smtp.host;
        if host.is_empty() {
            return Err(wrong("host", &"it is missing"));
        }
        let mut tls = TlsParameters::builder(host.clone());
        if let Some(file) = &smtp.ca_file {
            let pem = std::fs::read(file).map_err(|error| wrong("ca_file", &error))?;
            let authority =
                Certificate::from_pem(&pem).map_err(|error| wrong("ca_file", &error))?;
            tls = tls.add_root_certificate(authority);
        }
        let tls = |required: fn(TlsParameters) -> Tls| {
            tls.build().map(required).map_err(|error| wrong("TLS", &error))
        };
        let (tls, port) = match smtp.security {
            SmtpSecurity::Starttls => (tls(Tls::Required)?, 587),
            SmtpSecurity::Tls => (tls(Tls::Wrapper)?, 465),
            SmtpSecurity::None => (Tls::None, 25),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(smtp.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let Some(user) = &smtp.user {
            let file = smtp.password_file.as_deref().unwrap_or_default();
            let password =
                std::fs::read_to_string(file).map_err(|error| wrong("password_file", &error))?;
            let password = password.lines().next().unwrap_or_default().to_owned();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self::Smtp(transport.build()))
    }

    /// Sends a mail to an address: exactly the bytes that were checked.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(
        &self,
        from: &Mailbox,
        to: &EmailAddress,
        mail: Written,
        id: &str,
        now_ms: MilliSeconds,
    ) -> std::result::Result<(), SendError> {
        let message = compose(from, to, mail, id, now_ms)?;
        match self {
            Self::Smtp(smtp) => match smtp.send(message).await {
                Ok(_) => Ok(()),
                // The server's words may hold the address: only the code is told.
                Err(error) => {
                    let status = error.status().map_or_else(String::new, |code| code.to_string());
                    let kind = if error.is_permanent() { "refused" } else { "failed" };
                    let text = format!("the mail server {kind} {status}");
                    Err(SendError { permanent: error.is_permanent(), text })
                }
            },
            Self::Folder(folder) => {
                let write = async {
                    tokio::fs::create_dir_all(folder).await?;
                    tokio::fs::write(folder.join(format!("{id}.eml")), message.formatted()).await
                };
                write.await.map_err(|error| SendError::for_now(format!("mail folder: {error}")))
            }
        }
    }
}

fn compose(
    from: &Mailbox,
    to: &EmailAddress,
    mail: Written,
    id: &str,
    now_ms: MilliSeconds,
) -> std::result::Result<Message, SendError> {
    let address: Address =
        to.as_str().parse().map_err(|_| SendError::permanent("the address cannot be mailed"))?;
    let domain = from.email.domain().to_owned();
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, address))
        .subject(mail.subject)
        .date(std::time::UNIX_EPOCH + Duration::from_millis(now_ms))
        .message_id(Some(format!("<{id}@{domain}>")))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
        .map_err(|error| SendError::permanent(format!("the mail cannot be written: {error}")))?;
    // What is mailed is what was checked, byte for byte; anything else is not sent.
    let recipients = message.envelope().to();
    let exact = recipients.len() == 1
        && recipients.iter().all(|to_address| to_address.to_string() == to.as_str());
    if exact { Ok(message) } else { Err(SendError::permanent("the recipient was changed")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written() -> Written {
        Written { subject: "s".into(), text: "t".into(), html: "<p>t</p>".into() }
    }

    proptest! {
        #[test]
        fn the_address_mailed_is_the_address_checked(
            local in "[a-zA-Z0-9._+'=&~-]{1,20}", domain in "[a-zA-Z0-9-]{1,12}[.][a-z]{2,6}"
        ) {
            let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}")) else {
                return Ok(());
            };
            let from: Mailbox = "Pli <no-reply@pli.example>".parse().unwrap();
            let message = compose(&from, &address, written(), "id", 0).unwrap();
            prop_assert_eq!(message.envelope().to()[0].to_string(), address.as_str());
            let bytes = String::from_utf8(message.formatted()).unwrap();
            let to = bytes.lines().find(|line| line.starts_with("To: ")).unwrap();
            prop_assert_eq!(to, format!("To: {}", address.as_str()));
        }
    }
}
