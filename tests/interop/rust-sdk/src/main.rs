//! `pli-interop-rust-sdk BASE_URL`: matrix-sdk on simplified sliding sync against a homeserver.
//!
//! One line per scene, `ok   rust: …` or `FAIL rust: …`; ends with 1 if one failed.

mod person;
mod scenes;

use std::process::ExitCode;

use anyhow::Result;
use person::Person;

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1).expect("BASE_URL");
    let run = std::process::id();
    let mut failed = 0;
    macro_rules! play {
        ($($scene:ident),+ $(,)?) => {$(
            let name = stringify!($scene);
            let play = async {
                let alice = Person::register(&url, &format!("rust-alice-{name}-{run}")).await?;
                let bob = Person::register(&url, &format!("rust-bob-{name}-{run}")).await?;
                scenes::$scene(&url, &alice, &bob).await
            };
            let done: Result<()> = match tokio::time::timeout(std::time::Duration::from_secs(120), play).await {
                Ok(done) => done,
                Err(_) => Err(anyhow::anyhow!("took 120 seconds")),
            };
            match done {
                Ok(()) => println!("ok   rust: {}", name.replace('_', " ")),
                Err(error) => {
                    failed += 1;
                    println!("FAIL rust: {}: {error:#}", name.replace('_', " "));
                }
            }
        )+};
    }
    play!(
        messages_both_ways,
        recovery_key_reads_history,
        second_device_verified_by_emojis,
        encrypted_attachment,
        reaction_edit_and_redaction,
        threads,
        receipts_and_counts,
        knocking,
        oauth_metadata,
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
