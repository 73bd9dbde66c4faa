//! Two agents talk in an encrypted room, and nothing they said can be lost or read by the server.

use pli_tests::process::{files_contain, memory_contains};
use serde_json::Value;

use super::{
    cast::{PASSWORD, Person, Server, member, text},
    load::Load,
};

const SECRET: &str = "le rapport confidentiel 7c1f est prêt";
const ANSWER: &str = "bien reçu, merci 9d2e";
const FILE: &str = "contenu du fichier b3a8 réservé aux agents";

fn bodies(answers: &[Value]) -> Vec<String> {
    answers.iter().filter_map(|event| Some(event.get("body")?.as_str()?.to_owned())).collect()
}

#[test]
fn two_agents_talk_and_nothing_is_lost() {
    let (mut server, code) = Server::first_start();
    admin_allows_a_domain(&server, &code);
    let (alice, bob) = two_agents_register(&server);
    a_stranger_is_refused(&server);
    let room = they_talk(&server, &alice, &bob);
    they_verify_each_other(&server, &alice, &bob);
    the_server_knows_nothing(&server, &room);
    nothing_is_lost_when_the_server_is_killed(&mut server, &alice, &bob, &room);
    a_second_device_reads_the_history(&server, &alice, &room);
    a_call_is_started(&alice, &bob, &room);
    let process = server.process.take().expect("running");
    assert!(process.terminate().expect("ended").success(), "SIGTERM must end in order");
}

fn admin_allows_a_domain(server: &Server, code: &str) {
    let admin = Person::new(server, "admin");
    let password = admin.path("password");
    let mut args = vec!["register", "--user", "chef", "--token", code, "--no-recovery"];
    args.extend(["--password-file", text(&password)]);
    assert_eq!(member(&admin.pli(&args), "user_id"), server.user_id("chef"));
    admin.pli(&["admin", "domains", "add", "agents.example"]);
    let checked = admin.pli(&["admin", "domains", "check", "x@agents.example"]);
    assert_eq!(checked.last().and_then(|c| c.get("allowed")), Some(&Value::Bool(true)));
    let again = Person::new(server, "usurper");
    let mut args = vec!["register", "--user", "intrus", "--token", code, "--no-recovery"];
    args.extend(["--password-file", text(&password)]);
    assert!(!again.output(&args).status.success(), "the admin's code worked twice");
}

fn two_agents_register(server: &Server) -> (Person, Person) {
    let (alice, bob) = (Person::new(server, "alice"), Person::new(server, "bob"));
    let answer = alice.register(server, "alice.martin@agents.example", true);
    assert_eq!(answer["user_id"], server.user_id("alice.martin-agents.example"));
    let answer = bob.register(server, "bob.durand@agents.example", true);
    assert_eq!(answer["user_id"], server.user_id("bob.durand-agents.example"));
    (alice, bob)
}

fn a_stranger_is_refused(server: &Server) {
    let eve = Person::new(server, "eve");
    let password = eve.path("password");
    let mut args = vec!["register", "--email", "eve@agents.example.evil.example"];
    args.extend(["--password-file", text(&password), "--no-recovery"]);
    let output = eve.output(&args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("M_THREEPID_DENIED"), "{said}");
    assert!(server.mails.recipients().iter().all(|to| !to.contains("eve")), "a mail went to eve");
}

fn they_talk(server: &Server, alice: &Person, bob: &Person) -> String {
    let bob_id = server.user_id("bob.durand-agents.example");
    let room = member(&alice.pli(&["room", "create", "Équipe", "--invite", &bob_id]), "room_id");
    bob.pli(&["room", "join", &room]);
    let hearing = bob.pli_meanwhile(&["listen", &room, "--limit", "1", "--timeout", "120"]);
    // Bob may begin to listen before or after this is sent: `listen` starts at the present, so he asks
    // the history too.
    let sent = member(&alice.pli(&["send", &room, SECRET]), "event_id");
    let file = alice.path("rapport.txt");
    std::fs::write(&file, FILE).expect("a file");
    alice.pli(&["send", &room, "--file", text(&file)]);
    hearing.join().expect("bob hears something");
    let downloads = bob.path("downloads");
    let history = bob.pli(&["history", &room, "--download", text(&downloads)]);
    assert!(bodies(&history).iter().any(|body| body == SECRET), "{history:#?}");
    let got = files_contain(&downloads, FILE.as_bytes()).expect("downloads");
    assert!(got.is_some(), "the file did not arrive: {history:#?}");
    bob.pli(&["send", &room, ANSWER, "--reply-to", &sent]);
    let history = alice.pli(&["history", &room]);
    assert!(bodies(&history).iter().any(|body| body.ends_with(ANSWER)), "{history:#?}");
    room
}

fn they_verify_each_other(server: &Server, alice: &Person, bob: &Person) {
    let waiting = bob.pli_meanwhile(&["verify", "--yes", "--timeout", "150"]);
    let bob_id = server.user_id("bob.durand-agents.example");
    let one = alice.pli(&["verify", &bob_id, "--yes", "--timeout", "150"]);
    let other = waiting.join().expect("bob verified");
    let emojis = |answers: &[Value]| answers.iter().find_map(|a| a.get("emojis").cloned());
    assert!(emojis(&one).is_some(), "{one:#?}");
    assert_eq!(emojis(&one), emojis(&other), "they saw other emojis");
}

fn the_server_knows_nothing(server: &Server, room: &str) {
    let process = server.process.as_ref().expect("running").id();
    let log = server.log();
    assert!(log.len() > 10_000, "the log at TRACE is suspiciously short");
    for secret in [SECRET, ANSWER, FILE, PASSWORD] {
        let found = files_contain(&server.dir.path().join("data"), secret.as_bytes());
        assert_eq!(found.expect("the data directory"), None, "`{secret}` is on the server's disk");
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
    for secret in [SECRET, ANSWER, FILE] {
        let found = memory_contains(process, secret.as_bytes()).expect("the server's memory");
        assert!(!found, "`{secret}` is in the server's memory");
    }
    let room_seen = memory_contains(process, room.as_bytes()).expect("the server's memory");
    assert!(room_seen, "the search of the memory finds nothing at all");
    assert!(!log.contains("alice.martin@agents.example"), "an address is in the log");
}

fn nothing_is_lost_when_the_server_is_killed(
    server: &mut Server,
    alice: &Person,
    bob: &Person,
    room: &str,
) {
    let load = Load::start(server);
    load.wait_until_fast_enough();
    let process = server.process.take().expect("running");
    process.kill_9().expect("killed");
    let acknowledged = load.interrupted();
    server.start();
    load.verify(server, acknowledged);
    alice.pli(&["send", room, "après la panne 41aa"]);
    let history = bob.pli(&["history", room]);
    let after = bodies(&history);
    for said in [SECRET, "après la panne 41aa"] {
        assert_eq!(after.iter().filter(|body| *body == said).count(), 1, "{after:#?}");
    }
}

fn a_second_device_reads_the_history(server: &Server, alice: &Person, room: &str) {
    let second = Person::new(server, "alice-laptop");
    let (password, key) = (second.path("password"), alice.path("recovery-key"));
    let alice_id = server.user_id("alice.martin-agents.example");
    second.pli(&["login", &alice_id, "--password-file", text(&password), "--no-recovery"]);
    second.pli(&["recover", "--recovery-key-file", text(&key)]);
    let history = second.pli(&["history", room]);
    let read = bodies(&history);
    assert!(read.iter().any(|body| body == SECRET), "{history:#?}");
}

fn a_call_is_started(alice: &Person, bob: &Person, room: &str) {
    let call = alice.pli(&["call", "start", room]);
    let url = member(&call, "url");
    assert!(url.starts_with("https://webconf.example/"), "{url}");
    assert!(url.contains("config.startAudioOnly=true"), "{url}");
    let history = bob.pli(&["history", room, "--all"]);
    let text = serde_json::to_string(&history).expect("JSON");
    assert!(bodies(&history).iter().any(|body| body.contains(&url)), "{text}");
    assert!(text.contains("im.vector.modular.widgets"), "no widget in {text}");
}
