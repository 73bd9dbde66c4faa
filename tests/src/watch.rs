//! Looks at every answer that a test gets: it has to be what the specification says, and which
//! operations a test exercised can be written down.
//!
//! `PLI_RECORD_OPERATIONS=FILE cargo test --test api --test scenario` appends a line per test and
//! operation to the file: operation, status, test. `tests/tests/house/endpoints.rs` reads it.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;

use crate::{openapi::spec, reply::Reply};

/// What a test server and its users share to check answers. Clones share it.
#[derive(Clone, Debug)]
pub struct Watch {
    test: Arc<str>,
    odd_events: Arc<AtomicBool>,
}

static WRITTEN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

impl Watch {
    /// For the test that runs on this thread.
    #[must_use]
    pub fn of_this_test() -> Self {
        let binary = std::env::current_exe().unwrap_or_default();
        let binary = binary.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let binary = binary.rsplit_once('-').map_or(binary.clone(), |(name, _)| name.to_owned());
        let thread = std::thread::current();
        let test = format!("{binary}::{}", thread.name().unwrap_or("main"));
        Self { test: test.into(), odd_events: Arc::default() }
    }

    /// From now on the contents of events are not checked: the test sends some that break the
    /// specification on purpose.
    pub fn let_events_be_odd(&self) {
        self.odd_events.store(true, Ordering::Relaxed);
    }

    /// Checks an answer and notes the operation.
    ///
    /// # Panics
    /// If the answer is not what the specification says.
    pub fn look(&self, method: &Method, path: &str, reply: &Reply) {
        let odd = self.odd_events.load(Ordering::Relaxed);
        let violations = spec().violations(method.as_str(), path, reply, odd);
        assert!(
            violations.is_empty(),
            "{} violations of the specification:\n{}",
            violations.len(),
            violations.join("\n")
        );
        self.record(method, path, reply.status);
    }

    fn record(&self, method: &Method, path: &str, status: u16) {
        let Some(file) = std::env::var_os("PLI_RECORD_OPERATIONS") else { return };
        let path = path.split('?').next().unwrap_or_default();
        let mut lines = String::new();
        let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in spec().find(method.as_str(), path) {
            let line = format!("{}\t{status}\t{}\n", operation.id, self.test);
            if written.insert(line.clone()) {
                lines.push_str(&line);
            }
        }
        if lines.is_empty() {
            return;
        }
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        let done = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        done.unwrap_or_else(|error| panic!("PLI_RECORD_OPERATIONS: {error}"));
    }
}
