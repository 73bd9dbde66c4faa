//! What a check says to people.

use pli_schema::Language;

use super::{Finding, Mark, Standing};

/// A text in a language, and what to do.
pub(super) fn words(finding: &Finding, mark: Mark, language: Language) -> (String, Option<String>) {
    let pick = |fr: String, en: String| match language {
        Language::Fr => fr,
        Language::En => en,
    };
    let advice = advice(finding, mark).map(|(fr, en)| pick(fr.to_owned(), en.to_owned()));
    let (fr, en) = found(finding);
    (pick(fr, en), advice)
}

fn standing(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Partner => ("Ce serveur est un partenaire.", "This server is a partner."),
        Standing::Open => (
            "Ce serveur n'est pas un partenaire, mais la fédération est ouverte à tous.",
            "This server is no partner, but federation is open to everybody.",
        ),
        Standing::Stranger => (
            "Ce serveur n'est pas un partenaire : rien n'est échangé avec lui.",
            "This server is no partner: nothing is exchanged with it.",
        ),
        Standing::Suspended => ("Ce partenaire est suspendu.", "This partner is suspended."),
        Standing::Blocked => ("Ce serveur est bloqué.", "This server is blocked."),
        Standing::Disabled => {
            ("La fédération est arrêtée ici.", "Federation is switched off here.")
        }
    }
}

fn days(ms: u64) -> u64 {
    ms / 86_400_000
}

/// French, English.
fn found(finding: &Finding) -> (String, String) {
    let owned = |(fr, en): (&str, &str)| (fr.to_owned(), en.to_owned());
    match finding {
        Finding::Standing(it) => owned(standing(*it)),
        Finding::Delegated { host, to } => (
            format!("https://{host}/.well-known/matrix/server mène à {to}."),
            format!("https://{host}/.well-known/matrix/server leads to {to}."),
        ),
        Finding::NotDelegated { host, why } => (
            format!("https://{host}/.well-known/matrix/server ne mène nulle part ({why})."),
            format!("https://{host}/.well-known/matrix/server leads nowhere ({why})."),
        ),
        Finding::Srv { name, targets } if targets.is_empty() => {
            (format!("DNS : pas de SRV {name}."), format!("DNS: no SRV {name}."))
        }
        Finding::Srv { name, targets } => {
            let text = format!("SRV {name} → {}.", targets.join(", "));
            (format!("DNS : {text}"), format!("DNS: {text}"))
        }
        Finding::NoWay(why) => {
            (format!("Serveur introuvable : {why}."), format!("The server is not found: {why}."))
        }
        Finding::Way { endpoints, certificate } => {
            let to = endpoints.join(", ");
            (
                format!("Le serveur est joint à {to}, certificat attendu pour {certificate}."),
                format!("The server is reached at {to}, certificate expected for {certificate}."),
            )
        }
        Finding::NoAnswer(why) => {
            (format!("Pas de réponse : {why}."), format!("No answer: {why}."))
        }
        Finding::Certificate { .. } | Finding::Keys { .. } => with_time(finding),
        Finding::NoKeys(why) => (
            format!("Les clés publiées ne sont pas bonnes : {why}."),
            format!("The keys that it publishes are not good: {why}."),
        ),
        Finding::PinsDiffer => owned((
            "Une clé publiée n'est pas parmi celles qui ont été épinglées : elle n'est pas crue.",
            "A key that it publishes is not among those that were pinned: it is not believed.",
        )),
        Finding::PinsHold => owned((
            "Toutes les clés publiées sont épinglées.",
            "All keys that it publishes are pinned.",
        )),
        Finding::BadKey(id) => (
            format!("La clé {id} est sur la liste des clés compromises."),
            format!("The key {id} is on the list of bad keys."),
        ),
        Finding::Clocks(None) => owned(("Il ne donne pas l'heure.", "It does not tell the time.")),
        Finding::Clocks(Some(ms)) => (
            format!("Écart des horloges : {} s.", ms / 1_000),
            format!("Difference of the clocks: {} s.", ms / 1_000),
        ),
        Finding::Version(None) => {
            owned(("Il ne dit pas son logiciel.", "It does not say what software it is."))
        }
        Finding::Version(Some(version)) => {
            (format!("Logiciel : {version}."), format!("Software: {version}."))
        }
        Finding::TakesRequests => owned((
            "Il accepte les requêtes signées de ce serveur.",
            "It takes the signed requests of this server.",
        )),
        Finding::RefusesRequests { status, errcode } => (
            format!("Il refuse les requêtes de ce serveur ({status} {errcode})."),
            format!("It refuses the requests of this server ({status} {errcode})."),
        ),
    }
}

fn with_time(finding: &Finding) -> (String, String) {
    match finding {
        Finding::Certificate { name, until_ms: Some(_), left_ms } => (
            format!("TLS : certificat bon pour {name}, encore {} jours.", days(*left_ms)),
            format!("TLS: certificate good for {name}, for {} more days.", days(*left_ms)),
        ),
        Finding::Certificate { name, .. } => (
            format!("TLS : certificat bon pour {name}."),
            format!("TLS: certificate good for {name}."),
        ),
        Finding::Keys { keys, left_ms } => {
            let named: Vec<String> = keys.iter().map(|(id, key)| format!("{id} {key}")).collect();
            let (named, hours) = (named.join(", "), left_ms / 3_600_000);
            (
                format!("Clés signées par elles-mêmes, valables {hours} h : {named}."),
                format!("Keys signed by themselves, valid for {hours} h: {named}."),
            )
        }
        _ => (String::new(), String::new()),
    }
}

/// French, English; `None` where there is nothing to do.
fn advice(finding: &Finding, mark: Mark) -> Option<(&'static str, &'static str)> {
    if mark == Mark::Good {
        return None;
    }
    match finding {
        Finding::Standing(standing) => to_stand(*standing),
        Finding::NoWay(_) => Some((
            "Vérifiez le nom, et l'enregistrement SRV du domaine.",
            "Check the name, and the SRV record of the domain.",
        )),
        Finding::NoAnswer(why) => Some(to_answer(why)),
        Finding::Certificate { .. } => Some((
            "Demandez au partenaire de renouveler son certificat.",
            "Ask the partner to renew its certificate.",
        )),
        Finding::NoKeys(_) | Finding::Keys { .. } => Some((
            "Le partenaire doit vérifier /_matrix/key/v2/server : nom du serveur, signature, validité.",
            "The partner has to look at /_matrix/key/v2/server: server name, signature, validity.",
        )),
        Finding::PinsDiffer => Some((
            "Confirmez la nouvelle clé avec le partenaire par une autre voie, puis épinglez-la \
             (pli admin federation add … --key).",
            "Confirm the new key with the partner on another way, then pin it \
             (pli admin federation add … --key).",
        )),
        Finding::BadKey(_) => Some((
            "Le partenaire doit signer avec une nouvelle clé.",
            "The partner has to sign with a new key.",
        )),
        Finding::Clocks(_) => {
            Some(("Réglez les deux horloges avec NTP.", "Set both clocks with NTP."))
        }
        Finding::Version(_) => Some((
            "Rien d'urgent : /_matrix/federation/v1/version ne répond pas.",
            "Nothing urgent: /_matrix/federation/v1/version does not answer.",
        )),
        Finding::RefusesRequests { .. } => Some((
            "Demandez au partenaire d'ajouter ce serveur à ses partenaires, et d'accepter sa clé.",
            "Ask the partner to add this server to its partners, and to accept its key.",
        )),
        _ => None,
    }
}

fn to_stand(standing: Standing) -> Option<(&'static str, &'static str)> {
    match standing {
        Standing::Partner | Standing::Open => None,
        Standing::Stranger => {
            Some(("Ajoutez-le : pli admin federation add.", "Add it: pli admin federation add."))
        }
        Standing::Suspended => Some((
            "Levez la suspension : pli admin federation resume.",
            "End the suspension: pli admin federation resume.",
        )),
        Standing::Blocked => Some((
            "Débloquez-le : pli admin federation unblock.",
            "Unblock it: pli admin federation unblock.",
        )),
        Standing::Disabled => Some((
            "Mettez federation.enabled à true dans la configuration.",
            "Set federation.enabled to true in the configuration.",
        )),
    }
}

/// What to do about an answer that did not come, by what the TLS library and the network say.
fn to_answer(why: &str) -> (&'static str, &'static str) {
    let why = why.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&["expired"]) {
        return (
            "Le certificat est périmé : le partenaire doit le renouveler.",
            "The certificate has expired: the partner has to renew it.",
        );
    }
    if says(&["notvalidforname", "not valid for"]) {
        return (
            "Le certificat n'est pas au nom attendu : vérifiez la délégation et le certificat.",
            "The certificate is not for the expected name: look at the delegation and the certificate.",
        );
    }
    if says(&["unknownissuer", "unknown issuer", "certificate"]) {
        return (
            "L'autorité du certificat n'est pas connue : ajoutez-la par federation.extra_ca_file, ou \
             demandez un certificat d'une autorité publique.",
            "The authority of the certificate is not known: add it by federation.extra_ca_file, or ask \
             for a certificate of a public authority.",
        );
    }
    if says(&["private", "may be reached"]) {
        return (
            "L'adresse est privée : federation.allow_private_addresses l'autorise, ou le nom est faux.",
            "The address is private: federation.allow_private_addresses allows it, or the name is wrong.",
        );
    }
    (
        "Vérifiez que le port est ouvert entre les deux serveurs et que l'autre est en marche.",
        "See that the port is open between the two servers and that the other one is running.",
    )
}
