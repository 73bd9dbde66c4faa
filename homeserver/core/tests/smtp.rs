//! Mails over real SMTP exchanges: in clear, with STARTTLS, with a server that fails for a while, and
//! with one that refuses for good.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails loudly"
)]

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use pli_core::{
    Clock, Random, Store, TestClock,
    accounts::{AccountSettings, Accounts, ValidationRequest},
    mail::Mailer,
};
use pli_schema::{
    Language,
    account_settings::{MailSettings, SmtpSecurity, SmtpSettings},
    records::accounts::Purpose,
};
use ruma::server_name;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// What the sink got.
#[derive(Clone, Debug, Default)]
struct Mail {
    from: String,
    to: Vec<String>,
    data: String,
    encrypted: bool,
}

/// A mail server that keeps what it gets.
#[derive(Clone)]
struct Sink {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// What it answers to the next recipients instead of 250.
    refusals: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Sink {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            mails: Arc::default(),
            refusals: Arc::default(),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sink, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    stream.write_all(b"220 sink ready\r\n").await.unwrap();
                    let upgrade = sink.talk(&mut stream, tls.is_some(), false).await;
                    if let (true, Some(tls)) = (upgrade, tls) {
                        let stream = tls.accept(stream.into_inner()).await.unwrap();
                        sink.talk(&mut BufReader::new(stream), false, true).await;
                    }
                });
            }
        });
        sink
    }

    /// Talks until the end, or until the client wants TLS (`true`).
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        offer_tls: bool,
        encrypted: bool,
    ) -> bool {
        let mut mail = Mail { encrypted, ..Mail::default() };
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            let command = line.trim_end().to_owned();
            line.clear();
            let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" if offer_tls => "250-sink\r\n250 STARTTLS",
                "STAR" => {
                    stream.write_all(b"220 go\r\n").await.unwrap();
                    return true;
                }
                "MAIL" => {
                    mail.from = between(&command);
                    "250 ok"
                }
                "RCPT" => match self.refusals.lock().unwrap().pop_front() {
                    Some(refusal) => refusal,
                    None => {
                        mail.to.push(between(&command));
                        "250 ok"
                    }
                },
                "DATA" => {
                    stream.write_all(b"354 go\r\n").await.unwrap();
                    loop {
                        let mut line = String::new();
                        stream.read_line(&mut line).await.unwrap();
                        if line == ".\r\n" {
                            break;
                        }
                        mail.data.push_str(&line);
                    }
                    self.mails.lock().unwrap().push(std::mem::take(&mut mail));
                    mail.encrypted = encrypted;
                    "250 kept"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        }
        false
    }

    fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap())
    }
}

/// What stands between angle brackets.
fn between(command: &str) -> String {
    let (_, rest) = command.split_once('<').unwrap();
    rest.split_once('>').unwrap().0.to_owned()
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp").join(name);
    path.to_str().unwrap().to_owned()
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

struct Server {
    accounts: Accounts,
    mailer: Mailer,
    clock: TestClock,
}

fn server(settings: MailSettings) -> Server {
    let clock = TestClock::new(1_700_000_000_000);
    let time = Clock::Test(clock.clone());
    let (store, random) = (Store::in_memory(), Random::seeded(1));
    let name = server_name!("pli.example").to_owned();
    let accounts = AccountSettings::for_tests(name.clone());
    let accounts = Accounts::new(store.clone(), time.clone(), random.clone(), accounts).unwrap();
    let place = (name, "https://pli.example".to_owned(), "unused".into());
    let mailer = Mailer::new(store, time, random, &settings, place).unwrap();
    Server { accounts, mailer, clock }
}

fn to(sink: &Sink, security: SmtpSecurity) -> MailSettings {
    MailSettings {
        smtp: Some(SmtpSettings {
            host: "localhost".to_owned(),
            port: Some(sink.port),
            security,
            ca_file: Some(fixture("authority.pem")),
            ..SmtpSettings::default()
        }),
        ..MailSettings::default()
    }
}

async fn ask(server: &Server, address: &str, secret: &str) -> String {
    let request = ValidationRequest {
        purpose: Purpose::Register,
        client_secret: secret.into(),
        address: address.to_owned(),
        send_attempt: 1,
        language: Language::Fr,
    };
    server.accounts.request_validation(request).await.unwrap()
}

#[tokio::test]
async fn a_mail_goes_to_the_address_that_was_checked() {
    let sink = Sink::start(None).await;
    let server = server(to(&sink, SmtpSecurity::None));
    let sid = ask(&server, "Jean-Pierre.O'Neil+x@Agents.Example", "s1").await;
    assert_eq!(server.mailer.send_due().await.unwrap(), 1);
    let mails = sink.take();
    assert_eq!(mails[0].to, ["jean-pierre.o'neil+x@agents.example"]);
    assert_eq!(mails[0].from, "no-reply@pli.example");
    let data = mails[0].data.replace("=\r\n", "").replace("=3D", "=");
    assert!(
        data.contains("multipart/alternative") && data.contains("Auto-Submitted: auto-generated")
    );
    assert!(data.contains("To: jean-pierre.o'neil+x@agents.example\r\n"));
    let code =
        data.lines().map(str::trim).find(|l| l.len() == 6 && l.parse::<u32>().is_ok()).unwrap();
    server.accounts.submit_validation(&sid, Some(&"s1".into()), &code.into()).await.unwrap();
    assert_eq!(server.mailer.send_due().await.unwrap(), 0, "it is sent once");
}

#[tokio::test]
async fn a_mail_goes_through_tls_or_not_at_all() {
    let sink = Sink::start(Some(acceptor())).await;
    let encrypted = server(to(&sink, SmtpSecurity::Starttls));
    ask(&encrypted, "a@agents.example", "s1").await;
    assert_eq!(encrypted.mailer.send_due().await.unwrap(), 1);
    assert!(sink.take()[0].encrypted);
    // A certificate of an unknown authority.
    let mut strict = to(&sink, SmtpSecurity::Starttls);
    strict.smtp = strict.smtp.map(|smtp| SmtpSettings { ca_file: None, ..smtp });
    let strict = server(strict);
    ask(&strict, "a@agents.example", "s1").await;
    assert_eq!(strict.mailer.send_due().await.unwrap(), 0);
    // A server without TLS.
    let plain = Sink::start(None).await;
    let refusing = server(to(&plain, SmtpSecurity::Starttls));
    ask(&refusing, "a@agents.example", "s1").await;
    assert_eq!(refusing.mailer.send_due().await.unwrap(), 0);
    assert!(sink.take().is_empty() && plain.take().is_empty());
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_and_what_is_refused_is_not() {
    let sink = Sink::start(None).await;
    let server = server(to(&sink, SmtpSecurity::None));
    sink.refusals.lock().unwrap().extend(["451 later", "451 later"]);
    ask(&server, "a@agents.example", "s1").await;
    for expected in [0, 0, 1] {
        assert_eq!(server.mailer.send_due().await.unwrap(), expected);
        assert_eq!(server.mailer.send_due().await.unwrap(), 0, "not before its time");
        server.clock.advance_ms(60_000);
    }
    assert_eq!(sink.take().len(), 1);
    sink.refusals.lock().unwrap().push_back("550 no such person");
    ask(&server, "b@agents.example", "s2").await;
    for _ in 0..3 {
        assert_eq!(server.mailer.send_due().await.unwrap(), 0);
        server.clock.advance_ms(3_600_000);
    }
    assert!(sink.take().is_empty());
}
