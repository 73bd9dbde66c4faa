//! Real processes of the built binaries, for scenario tests.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Generous: machines are slow when they are busy.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The directory with the binaries, built once per test run in the profile of the tests.
///
/// The running test is named as a target too: it is built already, but tests switch on features of
/// dependencies that binaries alone do not have, and without it most of the workspace would be compiled a
/// second time while the test waits.
pub static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // target/PROFILE/deps/TEST-HASH → target/PROFILE
    let executable = std::env::current_exe().unwrap_or_default();
    let directory = executable.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    let test = name(&executable).and_then(|name| Some(name.rsplit_once('-')?.0.to_owned()));
    let profile = name(&directory).filter(|name| name != "debug");
    let status = Command::new(cargo)
        .args(["build", "--workspace", "--bins", "--quiet"])
        .args(["--test", test.as_deref().unwrap_or("*")])
        .args(["--profile", profile.as_deref().unwrap_or("dev")])
        .current_dir(&top)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the binaries do not build");
    directory
});

/// A running process whose output is read line by line. It is killed with its value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a command with its standard output and error piped.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, lines) = channel();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let stdout = child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>);
        for stream in [stdout, stderr].into_iter().flatten() {
            let (sender, seen) = (sender.clone(), seen.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
                    // Nobody waits for lines any more: they are still kept in `seen`.
                    let _ = sender.send(line);
                }
            });
        }
        Ok(Self { child, lines, seen })
    }

    /// Waits for a line for which `find` gives something.
    ///
    /// # Panics
    /// If none comes in [`PATIENCE`], with all the output so far.
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = find(&line) {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {what} in the output:\n{}", self.output())
                }
            }
        }
    }

    /// Writes a line to the process's standard input.
    ///
    /// # Errors
    /// If the process has closed it.
    pub fn write_line(&mut self, line: &str) -> std::io::Result<()> {
        self.child.stdin.as_mut().map_or(Ok(()), |stdin| writeln!(stdin, "{line}"))
    }

    /// Everything it has said so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does and waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill_9(mut self) -> std::io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// If it cannot be signalled or waited for.
    pub fn terminate(mut self) -> std::io::Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.child.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(mut self) -> std::io::Result<(ExitStatus, String)> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        Ok((status, self.output()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command with `input` on its standard input.
///
/// # Errors
/// If it cannot be run.
pub fn run(command: &mut Command, input: &str) -> std::io::Result<Output> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // The command may not read what it does not need.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// Whether the writable memory of a process contains some bytes: a memory dump, searched in place.
///
/// # Errors
/// If its memory may not be read.
pub fn memory_contains(process: u32, needle: &[u8]) -> std::io::Result<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let Some((start, end)) = line.split(' ').next().and_then(|range| range.split_once('-'))
        else {
            continue;
        };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        else {
            continue;
        };
        let mut bytes = Vec::new();
        memory.seek(SeekFrom::Start(start))?;
        // Some mappings (guard pages, device memory) cannot be read.
        let _ = Read::by_ref(&mut memory).take(end.saturating_sub(start)).read_to_end(&mut bytes);
        if contains(&bytes, needle) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any file below a directory contains some bytes.
///
/// # Errors
/// If a file cannot be read.
pub fn files_contain(dir: &Path, needle: &[u8]) -> std::io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = files_contain(&path, needle)? {
                return Ok(Some(found));
            }
        } else if path.is_file() && contains(&std::fs::read(&path)?, needle) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether `bytes` contain `needle`.
#[must_use]
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(needle) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}
