//! The help of `pli admin federation`: its commands, and its arguments by the names they have in
//! [`crate::args`].

use super::Pair;

/// Commands by their words.
pub(super) const COMMANDS: &[(&str, Pair)] = &[
    (
        "admin federation",
        ("The servers that this one speaks with", "Les serveurs avec lesquels celui-ci échange"),
    ),
    (
        "admin federation add",
        (
            "Add a partner, or replace what was agreed with it",
            "Ajouter un partenaire, ou remplacer ce qui était convenu",
        ),
    ),
    ("admin federation list", ("List the partners", "Lister les partenaires")),
    ("admin federation show", ("Show one partner", "Montrer un partenaire")),
    ("admin federation remove", ("Remove a partner", "Retirer un partenaire")),
    (
        "admin federation suspend",
        ("Exchange nothing with a partner for now", "Ne plus rien échanger pour l'instant"),
    ),
    ("admin federation resume", ("End a suspension", "Lever une suspension")),
    (
        "admin federation check",
        (
            "Walk the way to a server, say what is wrong and what to do",
            "Suivre le chemin vers un serveur, dire ce qui ne va pas et que faire",
        ),
    ),
    (
        "admin federation status",
        (
            "When each server was heard of last, and errors",
            "Les derniers contacts avec chaque serveur, et les erreurs",
        ),
    ),
    (
        "admin federation block",
        ("Exchange nothing with a server, partner or not", "Ne rien échanger avec un serveur"),
    ),
    ("admin federation unblock", ("Unblock a server", "Débloquer un serveur")),
    ("admin federation blocked", ("List the blocked servers", "Lister les serveurs bloqués")),
    (
        "admin federation bad-keys",
        ("Public keys that are never believed", "Les clés publiques qui ne sont jamais crues"),
    ),
    (
        "admin federation bad-keys add",
        ("Never believe a public key again", "Ne plus jamais croire une clé publique"),
    ),
    (
        "admin federation bad-keys list",
        ("List the keys that are not believed", "Lister les clés qui ne sont pas crues"),
    ),
    (
        "admin federation bad-keys remove",
        ("Take a key off the list", "Retirer une clé de la liste"),
    ),
];

/// Arguments.
pub(super) const ARGUMENTS: &[(&str, Pair)] = &[
    ("admin:server", ("The name of the server", "Le nom du serveur")),
    ("admin:key", ("The public key, in base64", "La clé publique, en base64")),
    (
        "admin:keys",
        (
            "A key that is believed, the only ones from then on: ed25519:NAME=BASE64",
            "Une clé qui est crue, seules celles-ci le seront : ed25519:NOM=BASE64",
        ),
    ),
    (
        "pin",
        (
            "Ask for the keys now and believe only these; compare them on another way",
            "Demander les clés maintenant et ne croire que celles-ci ; comparez-les autrement",
        ),
    ),
    (
        "deny",
        (
            "What is not exchanged: profiles, public-rooms, directory, media, presence, guests",
            "Ce qui n'est pas échangé : profiles, public-rooms, directory, media, presence, guests",
        ),
    ),
    (
        "room_rules",
        (
            "Its rooms must keep the rules that Pli gives rooms",
            "Ses salons doivent suivre les règles que Pli donne aux salons",
        ),
    ),
    (
        "labels",
        (
            "A label that its people may have in their names, as in: Name [Label]",
            "Un libellé permis dans les noms de ses agents, comme : Nom [Libellé]",
        ),
    ),
    ("suspended", ("Add it, but exchange nothing yet", "L'ajouter sans encore rien échanger")),
];
