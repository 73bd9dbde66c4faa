//! Dates, texts and the worst of the steps.

use super::*;

#[test]
fn dates_of_answers_are_read() {
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
    for bad in ["", "yesterday", "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT"] {
        assert_eq!(http_date(bad), None, "{bad}");
    }
}

#[test]
fn everything_is_said_in_both_languages_and_what_is_bad_has_advice() {
    let text = || "x".to_owned();
    let findings = [
        Finding::Standing(Standing::Stranger),
        Finding::Standing(Standing::Suspended),
        Finding::Standing(Standing::Blocked),
        Finding::Standing(Standing::Disabled),
        Finding::NoWay(text()),
        Finding::NoAnswer("invalid peer certificate: Expired".to_owned()),
        Finding::NoAnswer("connection refused".to_owned()),
        Finding::Certificate { name: text(), until_ms: Some(1), left_ms: 0 },
        Finding::NoKeys(text()),
        Finding::Keys { keys: vec![(text(), text())], left_ms: 0 },
        Finding::PinsDiffer,
        Finding::BadKey(text()),
        Finding::Clocks(Some(400_000)),
        Finding::Version(None),
        Finding::RefusesRequests { status: 403, errcode: text() },
    ];
    for finding in findings {
        let step = Step { name: "x", mark: Mark::Bad, finding };
        let (fr, fr_advice) = step.words(Language::Fr);
        let (en, en_advice) = step.words(Language::En);
        assert!(!fr.is_empty() && fr != en, "{step:?}");
        assert!(fr_advice.is_some() && fr_advice != en_advice, "{step:?}");
    }
}

#[test]
fn a_report_is_as_bad_as_its_worst_step() {
    let mut report = Report::default();
    assert_eq!(report.mark(), Mark::Good);
    report.note("clock", Mark::Doubtful, Finding::Clocks(Some(40_000)));
    report.note("version", Mark::Good, Finding::Version(Some("Pli 1".to_owned())));
    assert_eq!(report.mark(), Mark::Doubtful);
    assert_eq!(report.mark().word(), "warning");
}
