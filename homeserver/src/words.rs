//! What the program says to people, in French and English.

use pli_schema::{Language, language::Text};

/// The language of a locale such as `fr_FR.UTF-8`; English where there is none.
#[must_use]
pub fn language(locale: Option<&str>) -> Language {
    if locale.is_some_and(|locale| locale.to_ascii_lowercase().starts_with("fr")) {
        Language::Fr
    } else {
        Language::En
    }
}

macro_rules! words {
    ($( $(#[$doc:meta])* $name:ident: $fr:literal, $en:literal; )+) => {$(
        $(#[$doc])*
        pub const $name: Text = Text { fr: $fr, en: $en };
    )+};
}

words! {
    /// Before the address.
    LISTENING:
        "Pli écoute sur", "Pli listens on";
    /// Before the directory.
    KEPT_IN:
        "Données dans", "Data in";
    /// Before the folder of mails.
    MAIL_FOLDER:
        "Aucun serveur SMTP n'est configuré : les courriels sont écrits dans",
        "No SMTP server is configured: mails are written to";
    /// Before the commands.
    FIRST_ADMIN:
        "Ce serveur n'a pas encore d'administrateur. Essayez ces trois commandes :",
        "This server has no admin yet. Try these three commands:";
    /// After the commands.
    CODE_ONCE:
        "Le code ne sert qu'une fois ; un nouveau est donné à chaque démarrage tant qu'il n'a pas servi.",
        "The code works once; a new one is given at every start until one was used.";
    /// Before the switches.
    DANGEROUS:
        "ATTENTION, réglages réservés aux essais :",
        "WARNING, settings for test deployments only:";
    /// A second server.
    STOPPING:
        "Arrêt : les requêtes en cours se terminent.", "Stopping: requests under way are finished.";
    /// Progress of the opening of the store.
    MIGRATING:
        "Conversion des données", "Converting the data";
    /// Progress of a check.
    CHECKING:
        "Vérification", "Checking";
    /// Progress of a backup.
    BACKING_UP:
        "Sauvegarde", "Backing up";
    /// Progress of a restore.
    RESTORING:
        "Restauration", "Restoring";
    /// After numbers.
    ROWS:
        "enregistrements", "records";
    /// The result of a check.
    SOUND:
        "Tout est intact", "Everything is sound";
    /// The result of a check.
    DAMAGED:
        "Enregistrements abîmés", "Damaged records";
    /// What to do about it.
    DAMAGED_ADVICE:
        "Restaurez une sauvegarde : pli-homeserver restore FICHIER --data-dir NOUVEAU_DOSSIER",
        "Restore a backup: pli-homeserver restore FILE --data-dir NEW_DIRECTORY";
    /// The result of a backup or restore.
    DONE:
        "Terminé", "Done";
    /// After a restore without the key.
    KEY_MISSING:
        "La clé de signature n'est pas dans la sauvegarde : copiez signing.key dans",
        "The signing key is not part of the backup: copy signing.key to";
    /// Why rotate-key does nothing.
    STOP_FIRST:
        "Arrêtez d'abord le serveur : il continuerait à signer avec l'ancienne clé",
        "Stop the server first: it would go on signing with the old key";
    /// The result of rotate-key.
    KEY_ROTATED:
        "L'ancienne clé reste publiée ; le serveur signera avec",
        "The old key stays published; the server will sign with";
    /// The result of generate-key.
    KEY_WRITTEN:
        "Nouvelle clé de signature écrite dans", "New signing key written to";
}
