//! A small SMTP server that keeps what it gets: the other end of a real mail exchange in tests.

use std::sync::{Arc, Mutex};

use pli_schema::account_settings::{SmtpSecurity, SmtpSettings};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A mail that arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The envelope's recipients, as the client wrote them.
    pub recipients: Vec<String>,
    /// Headers and body, as they came (dots unstuffed).
    pub message: String,
}

impl Mail {
    /// The text of all quoted-printable or plain parts, soft line breaks joined: enough to find codes.
    #[must_use]
    pub fn text(&self) -> String {
        self.message.replace("=\r\n", "").replace("=3D", "=")
    }

    /// The first 6-digit number that stands alone: the code of a validation mail.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let text = self.text();
        let body = text.split_once("\r\n\r\n").map_or(text.as_str(), |(_, body)| body);
        body.split(|c: char| !c.is_ascii_alphanumeric())
            .find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit()))
            .map(str::to_owned)
    }
}

/// The server. It ends with its value.
#[derive(Debug)]
pub struct SmtpSink {
    /// The port on 127.0.0.1.
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    count: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpSink {
    /// What makes a server send its mails here.
    #[must_use]
    pub fn settings(&self) -> Option<SmtpSettings> {
        Some(SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: Some(self.port),
            security: SmtpSecurity::None,
            ..SmtpSettings::default()
        })
    }

    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let (sender, count) = watch::channel(0);
        let kept = mails.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, sender) = (kept.clone(), sender.clone());
                tokio::spawn(async move {
                    // A client that hangs up in the middle has sent no mail.
                    let _ = converse(stream, &kept, &sender).await;
                });
            }
        });
        Ok(Self { port, mails, count, task })
    }

    /// Waits for the newest mail to a recipient, after the first `skip` ones.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn mail_to(
        &self,
        recipient: &str,
        skip: usize,
    ) -> Result<Mail, watch::error::RecvError> {
        let mut count = self.count.clone();
        loop {
            let found = {
                let mails = self.mails.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mut to =
                    mails.iter().filter(|mail| mail.recipients.iter().any(|r| r == recipient));
                to.nth(skip).cloned()
            };
            if let Some(mail) = found {
                return Ok(mail);
            }
            count.changed().await?;
        }
    }

    /// Every recipient of every mail so far.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        let mails = self.mails.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        mails.iter().flat_map(|mail| mail.recipients.clone()).collect()
    }
}

async fn converse(
    stream: TcpStream,
    mails: &Mutex<Vec<Mail>>,
    count: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    write.write_all(b"220 sink ESMTP\r\n").await?;
    let mut recipients = Vec::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" | "HELO" => b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                recipients.push(address.to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let message = data(&mut lines).await?;
                let mail = Mail { recipients: std::mem::take(&mut recipients), message };
                mails.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(mail);
                count.send_modify(|n| *n += 1);
                b"250 kept\r\n"
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        write.write_all(answer).await?;
    }
}

async fn data(lines: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<String> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).await? == 0 || line == b".\r\n" {
            return Ok(String::from_utf8_lossy(&message).into_owned());
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
