//! The help of every command and argument in both languages.

mod federation;

use crate::lang::Lang;

/// A pair of texts: English, French.
type Pair = (&'static str, &'static str);

fn pick((en, fr): Pair, lang: Lang) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Fr => fr,
    }
}

/// Commands by their words without `pli`; the empty path is `pli` itself.
const COMMANDS: &[(&str, Pair)] = &[
    (
        "",
        (
            "Encrypted messages for public administrations",
            "Messagerie chiffrée des administrations",
        ),
    ),
    ("register", ("Create an account, proven by e-mail", "Créer un compte, prouvé par courriel")),
    ("login", ("Sign in on this machine", "Se connecter sur cette machine")),
    (
        "logout",
        (
            "Sign out and delete this profile's files",
            "Se déconnecter et supprimer les fichiers du profil",
        ),
    ),
    (
        "whoami",
        (
            "Say who is signed in, on which server and device",
            "Dire qui est connecté, sur quel serveur et quel appareil",
        ),
    ),
    (
        "room",
        (
            "Create, list, join, leave rooms; invite people",
            "Créer, lister, rejoindre, quitter des salons ; inviter",
        ),
    ),
    (
        "room create",
        (
            "Create a room, encrypted unless asked otherwise",
            "Créer un salon, chiffré sauf demande contraire",
        ),
    ),
    (
        "room list",
        (
            "List the joined rooms and the invitations",
            "Lister les salons rejoints et les invitations",
        ),
    ),
    (
        "room join",
        ("Join a room or accept an invitation", "Rejoindre un salon ou accepter une invitation"),
    ),
    ("room invite", ("Invite people to a room", "Inviter des personnes dans un salon")),
    (
        "room leave",
        ("Leave a room or decline an invitation", "Quitter un salon ou décliner une invitation"),
    ),
    ("room members", ("List the members of a room", "Lister les membres d'un salon")),
    (
        "send",
        ("Send a message or a file to a room", "Envoyer un message ou un fichier dans un salon"),
    ),
    (
        "listen",
        (
            "Print messages as they arrive, decrypted",
            "Afficher les messages à leur arrivée, déchiffrés",
        ),
    ),
    (
        "history",
        (
            "Print the last messages of a room, oldest first",
            "Afficher les derniers messages d'un salon, du plus ancien au plus récent",
        ),
    ),
    ("chat", ("Full-screen chat in a room", "Discussion plein écran dans un salon")),
    (
        "verify",
        (
            "Verify a person or a device by comparing emojis",
            "Vérifier une personne ou un appareil en comparant des émojis",
        ),
    ),
    (
        "recover",
        (
            "Unlock past messages on this device with the recovery key",
            "Déverrouiller les anciens messages sur cet appareil avec la clé de récupération",
        ),
    ),
    ("keys", ("Export and import room keys", "Exporter et importer les clés des salons")),
    (
        "keys export",
        (
            "Write the room keys to a file, encrypted with a passphrase",
            "Écrire les clés des salons dans un fichier chiffré par une phrase secrète",
        ),
    ),
    (
        "keys import",
        (
            "Read room keys from an exported file",
            "Lire les clés des salons depuis un fichier exporté",
        ),
    ),
    ("call", ("Start calls", "Lancer des appels")),
    (
        "call start",
        (
            "Start a call in a room and post its link",
            "Lancer un appel dans un salon et y poster le lien",
        ),
    ),
    ("admin", ("Administer a Pli server", "Administrer un serveur Pli")),
    ("admin notice", ("Notices of the server", "Les annonces du serveur")),
    (
        "admin notice send",
        ("Send a notice of the server to a user", "Envoyer à une personne une annonce du serveur"),
    ),
    ("admin reports", ("What people have reported", "Ce que les personnes ont signalé")),
    (
        "admin reports list",
        (
            "List the reports of rooms, messages and people",
            "Lister les signalements de salons, de messages et de personnes",
        ),
    ),
    ("admin reports close", ("Close a report", "Clore un signalement")),
    (
        "admin domains",
        ("The e-mail domains that may register", "Les domaines de courriel qui peuvent s'inscrire"),
    ),
    (
        "admin domains add",
        ("Allow a domain, or change its entry", "Autoriser un domaine, ou modifier son entrée"),
    ),
    ("admin domains list", ("List the domains", "Lister les domaines")),
    ("admin domains remove", ("Remove a domain from the list", "Retirer un domaine de la liste")),
    (
        "admin domains check",
        (
            "Say whether an address may register and why",
            "Dire si une adresse peut s'inscrire et pourquoi",
        ),
    ),
    ("devices", ("List the devices of the account", "Lister les appareils du compte")),
    (
        "profiles",
        ("The accounts signed in on this machine", "Les comptes connectés sur cette machine"),
    ),
    ("profiles list", ("List the profiles", "Lister les profils")),
    ("completions", ("Print completions for a shell", "Produire la complétion pour un shell")),
    ("help", ("Show the help of a command", "Afficher l'aide d'une commande")),
];

/// Arguments by their name; `command:name` where the same name means something else.
const ARGUMENTS: &[(&str, Pair)] = &[
    (
        "profile",
        (
            "Account of this machine to use (default: default; PLI_PROFILE)",
            "Compte de cette machine à utiliser (défaut : default ; PLI_PROFILE)",
        ),
    ),
    ("json", ("Answer in JSON, for scripts", "Répondre en JSON, pour les scripts")),
    (
        "lang",
        (
            "Language: fr or en (default: the locale)",
            "Langue : fr ou en (défaut : celle du système)",
        ),
    ),
    ("help", ("Show this help", "Afficher cette aide")),
    ("version", ("Show the version", "Afficher la version")),
    (
        "homeserver",
        (
            "Server name or URL (default: http://localhost:8008; PLI_HOMESERVER)",
            "Nom ou URL du serveur (défaut : http://localhost:8008 ; PLI_HOMESERVER)",
        ),
    ),
    ("email", ("E-mail address of the new account", "Adresse de courriel du nouveau compte")),
    (
        "register:user",
        (
            "User name, on servers where one chooses it",
            "Nom d'utilisateur, sur les serveurs où il se choisit",
        ),
    ),
    (
        "password_stdin",
        ("Read the password from standard input", "Lire le mot de passe sur l'entrée standard"),
    ),
    (
        "password_file",
        (
            "Read the password from the first line of a file",
            "Lire le mot de passe sur la première ligne d'un fichier",
        ),
    ),
    (
        "code_file",
        (
            "Wait for this file and read the code of the mail from it",
            "Attendre ce fichier et y lire le code reçu par courriel",
        ),
    ),
    (
        "token",
        (
            "Use a registration token; asked for when no value is given",
            "Utiliser un jeton d'inscription ; demandé si aucune valeur n'est donnée",
        ),
    ),
    (
        "accept_terms",
        (
            "Accept the terms of use without a question",
            "Accepter les conditions d'utilisation sans question",
        ),
    ),
    (
        "device_name",
        (
            "Name of this device, as others see it",
            "Nom de cet appareil, tel que les autres le voient",
        ),
    ),
    (
        "login:recovery_key_file",
        (
            "Write a new recovery key to this file (mode 0600) instead of showing it",
            "Écrire une nouvelle clé de récupération dans ce fichier (mode 0600) au lieu de l'afficher",
        ),
    ),
    (
        "register:recovery_key_file",
        (
            "Write the recovery key to this file (mode 0600) instead of showing it",
            "Écrire la clé de récupération dans ce fichier (mode 0600) au lieu de l'afficher",
        ),
    ),
    (
        "no_recovery",
        (
            "Make no recovery key (lost device = lost messages)",
            "Ne pas créer de clé de récupération (appareil perdu = messages perdus)",
        ),
    ),
    (
        "login:user",
        (
            "User ID, user name or e-mail address",
            "Identifiant Matrix, nom d'utilisateur ou adresse de courriel",
        ),
    ),
    ("name", ("Name of the room", "Nom du salon")),
    ("topic", ("Topic of the room", "Sujet du salon")),
    (
        "alias",
        (
            "Public address: NAME becomes #NAME:server",
            "Adresse publique : NOM devient #NOM:serveur",
        ),
    ),
    (
        "public",
        (
            "Anyone on the server may find and join it",
            "Tout le monde sur le serveur peut le trouver et le rejoindre",
        ),
    ),
    ("direct", ("A conversation with this person", "Une conversation avec cette personne")),
    ("invite", ("Invite this person (may be repeated)", "Inviter cette personne (répétable)")),
    ("unencrypted", ("Do not encrypt the room", "Ne pas chiffrer le salon")),
    (
        "room",
        (
            "Room ID, alias, name, or a person's user ID",
            "Identifiant, adresse ou nom du salon, ou identifiant d'une personne",
        ),
    ),
    ("users", ("User IDs", "Identifiants des personnes")),
    (
        "forget",
        (
            "Forget the room too: it leaves the list",
            "Oublier aussi le salon : il disparaît de la liste",
        ),
    ),
    ("text", ("The message; - reads standard input", "Le message ; - lit l'entrée standard")),
    ("file", ("Send this file", "Envoyer ce fichier")),
    ("keys:file", ("The key file", "Le fichier de clés")),
    ("html", ("The text is HTML", "Le texte est du HTML")),
    ("notice", ("Send as a notice, as programs do", "Envoyer comme une notification de programme")),
    ("reply_to", ("Reply to this event", "Répondre à cet événement")),
    (
        "txn_id",
        (
            "Transaction ID: the same one sends the message once",
            "Identifiant de transaction : le même n'envoie le message qu'une fois",
        ),
    ),
    (
        "wait_ack",
        (
            "Wait until the message has come back from the server",
            "Attendre que le message soit revenu du serveur",
        ),
    ),
    ("rooms", ("Only these rooms", "Seulement ces salons")),
    (
        "since_start",
        (
            "Begin with what came since the last time (the first time: since the sign-in)",
            "Commencer par ce qui est arrivé depuis la dernière fois (la première fois : depuis la connexion)",
        ),
    ),
    ("listen:limit", ("Stop after N events", "S'arrêter après N événements")),
    ("history:limit", ("How many messages (default: 50)", "Combien de messages (défaut : 50)")),
    ("listen:timeout", ("Stop after so many seconds", "S'arrêter après ce nombre de secondes")),
    (
        "verify:timeout",
        (
            "Give up after so many seconds (default: 300)",
            "Abandonner après ce nombre de secondes (défaut : 300)",
        ),
    ),
    (
        "download",
        (
            "Save the files of messages in this folder",
            "Enregistrer les fichiers des messages dans ce dossier",
        ),
    ),
    (
        "all",
        (
            "Show state events too, not only messages",
            "Montrer aussi les événements d'état, pas seulement les messages",
        ),
    ),
    (
        "verify:user",
        (
            "Whom to verify (yourself: your other devices); nobody: wait for a request",
            "Qui vérifier (vous-même : vos autres appareils) ; personne : attendre une demande",
        ),
    ),
    ("device", ("One device of that person", "Un appareil de cette personne")),
    (
        "yes",
        (
            "Confirm without comparing: only for tests and scripts",
            "Confirmer sans comparer : seulement pour les tests et les scripts",
        ),
    ),
    (
        "recovery_key_stdin",
        (
            "Read the recovery key from standard input",
            "Lire la clé de récupération sur l'entrée standard",
        ),
    ),
    (
        "recover:recovery_key_file",
        (
            "Read the recovery key from a file; with --new-key: write it there",
            "Lire la clé de récupération dans un fichier ; avec --new-key : l'y écrire",
        ),
    ),
    (
        "new_key",
        (
            "Make a new recovery key on a device that has the secrets",
            "Créer une nouvelle clé de récupération depuis un appareil qui a les secrets",
        ),
    ),
    (
        "passphrase_stdin",
        ("Read the passphrase from standard input", "Lire la phrase secrète sur l'entrée standard"),
    ),
    (
        "passphrase_file",
        (
            "Read the passphrase from the first line of a file",
            "Lire la phrase secrète sur la première ligne d'un fichier",
        ),
    ),
    (
        "video",
        (
            "Start with cameras on (default: audio only)",
            "Commencer avec les caméras (défaut : audio seulement)",
        ),
    ),
    (
        "call:domain",
        (
            "Conference server (default: the one the server announces; PLI_CALL_DOMAIN)",
            "Serveur de conférence (défaut : celui que le serveur annonce ; PLI_CALL_DOMAIN)",
        ),
    ),
    ("admin:all", ("The closed ones too", "Les signalements clos aussi")),
    ("admin:number", ("The number of the report", "Le numéro du signalement")),
    ("admin:text", ("The text", "Le texte")),
    ("admin:user", ("The user ID", "L'identifiant de la personne")),
    ("admin:domain", ("The e-mail domain", "Le domaine de courriel")),
    ("sub_domains", ("Its sub-domains too", "Ses sous-domaines aussi")),
    (
        "organisation",
        (
            "Label of the organisation, shown in display names",
            "Nom de l'organisation, montré dans les noms affichés",
        ),
    ),
    (
        "kind",
        (
            "agent, guest or blocked (default: agent)",
            "agent, guest (invité) ou blocked (bloqué) (défaut : agent)",
        ),
    ),
    ("note", ("Why, for the other administrators", "Pourquoi, pour les autres administrateurs")),
    ("dry_run", ("Only say what would change", "Dire seulement ce qui changerait")),
    ("address", ("The e-mail address", "L'adresse de courriel")),
    ("shell", ("bash, zsh, fish, elvish or powershell", "bash, zsh, fish, elvish ou powershell")),
    ("words", ("The command", "La commande")),
];

/// Headings of a help page: usage, commands, arguments and options.
pub fn headings(lang: Lang) -> [&'static str; 4] {
    match lang {
        Lang::En => ["Usage:", "Commands:", "Arguments:", "Options:"],
        Lang::Fr => ["Utilisation :", "Commandes :", "Arguments :", "Options :"],
    }
}

/// What a command does, by its words joined with spaces.
pub fn command(path: &str, lang: Lang) -> Option<&'static str> {
    let mut all = COMMANDS.iter().chain(federation::COMMANDS);
    all.find(|(key, _)| *key == path).map(|(_, pair)| pick(*pair, lang))
}

/// What an argument of a command is; the first word of the command decides between homonyms.
pub fn argument(path: &str, id: &str, lang: Lang) -> Option<&'static str> {
    let verb = path.split(' ').next().unwrap_or_default();
    let own = format!("{verb}:{id}");
    let find = |key: &str| {
        let mut all = ARGUMENTS.iter().chain(federation::ARGUMENTS);
        all.find(|(k, _)| *k == key).map(|(_, pair)| pick(*pair, lang))
    };
    find(&own).or_else(|| find(id))
}
