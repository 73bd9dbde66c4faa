//! Who takes part: the server, its admin, its agents.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    thread::JoinHandle,
    time::Duration,
};

use pli_tests::{
    process::{BINARIES, Process, run},
    smtp_sink::SmtpSink,
};
use serde_json::Value;
use tempfile::TempDir;

pub const PASSWORD: &str = "Correct-Horse-7-Battery";

/// The server with its directory, and the mail server it uses.
pub struct Server {
    pub process: Option<Process>,
    pub dir: TempDir,
    pub port: u16,
    pub runtime: tokio::runtime::Runtime,
    pub mails: SmtpSink,
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// A server on an empty directory, with the admin's code that it printed.
    pub fn first_start() -> (Self, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mails = runtime.block_on(SmtpSink::start()).expect("a mail server");
        let port = free_port();
        let config = format!(
            "server_name = \"localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             data_dir = \"data\"\ntest_deployment.no_limits = true\n\
             [mail]\nsmtp = {{ host = \"127.0.0.1\", port = {}, security = \"none\" }}\nfrom = \"Pli <pli@admin.example>\"\n\
             [calls]\njitsi_domain = \"webconf.example\"\n",
            mails.port
        );
        std::fs::write(dir.path().join("pli.toml"), config).expect("a configuration");
        let mut server = Self { process: None, dir, port, runtime, mails };
        server.start();
        let process = server.process.as_ref().expect("running");
        let code = process.wait_for("one-time admin code", |line| {
            let (_, rest) = line.split_once("--token ")?;
            rest.split_whitespace().next().map(str::to_owned)
        });
        (server, code)
    }

    /// Starts the server (again) and waits until it answers.
    pub fn start(&mut self) {
        let mut command = Command::new(BINARIES.join("pli-homeserver"));
        command
            .args(["--config", "pli.toml"])
            .env("PLI_LOG", "trace")
            .env("RUST_LOG", "trace")
            .env("LC_ALL", "en_US.UTF-8")
            .current_dir(self.dir.path());
        let process = Process::start(&mut command).expect("the server starts");
        self.process = Some(process);
        let url = self.url("/_matrix/client/versions");
        self.runtime.block_on(async {
            let deadline = std::time::Instant::now() + pli_tests::process::PATIENCE;
            while reqwest::get(&url).await.is_err() {
                assert!(std::time::Instant::now() < deadline, "the server does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything the running server has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().expect("running").output()
    }

    pub fn user_id(&self, localpart: &str) -> String {
        format!("@{localpart}:localhost:{}", self.port)
    }

    /// The code of the newest validation mail to an address.
    pub fn mailed_code(&self, address: &str) -> String {
        let mail = self.runtime.block_on(self.mails.mail_to(address, 0)).expect("a mail");
        mail.code().unwrap_or_else(|| panic!("no code in the mail:\n{}", mail.message))
    }
}

/// A person at a machine with `pli`.
#[derive(Clone)]
pub struct Person {
    home: PathBuf,
    profile: String,
    homeserver: String,
}

impl Person {
    pub fn new(server: &Server, profile: &str) -> Self {
        let home = server.dir.path().join("homes").join(profile);
        std::fs::create_dir_all(&home).expect("a home");
        std::fs::write(home.join("password"), PASSWORD).expect("a password file");
        Self { home, profile: profile.to_owned(), homeserver: server.url("") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARIES.join("pli"));
        command
            .args(["--profile", &self.profile, "--json", "--lang", "en"])
            .args(args)
            .env("PLI_HOME", &self.home)
            .env("PLI_HOMESERVER", &self.homeserver)
            .current_dir(&self.home);
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        run(&mut self.command(args), "").expect("pli runs")
    }

    /// Runs `pli`, which must succeed; the JSON lines it printed.
    pub fn pli(&self, args: &[&str]) -> Vec<Value> {
        let output = self.output(args);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{} pli {args:?}: {}\n{stdout}\n{}",
            self.profile,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Runs `pli` beside other things.
    pub fn pli_meanwhile(&self, args: &[&str]) -> JoinHandle<Vec<Value>> {
        let (person, args) =
            (self.clone(), args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        std::thread::spawn(move || person.pli(&args.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// Registers by mail; the answer of `pli register`.
    pub fn register(&self, server: &Server, address: &str, recovery: bool) -> Value {
        let (password, code) = (self.path("password"), self.path("code"));
        let key = self.path("recovery-key");
        let mut args = vec!["register", "--email", address, "--password-file"];
        args.extend([text(&password), "--code-file", text(&code)]);
        if recovery {
            args.extend(["--recovery-key-file", text(&key)]);
        } else {
            args.push("--no-recovery");
        }
        let registering = self.pli_meanwhile(&args);
        let mailed = server.mailed_code(address);
        std::fs::write(&code, mailed).expect("the code");
        registering.join().expect("registered").pop().expect("an answer")
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// The member of the last answer that has it.
pub fn member(answers: &[Value], name: &str) -> String {
    let found = answers.iter().rev().find_map(|answer| answer.get(name)?.as_str());
    found.unwrap_or_else(|| panic!("no `{name}` in {answers:#?}")).to_owned()
}
