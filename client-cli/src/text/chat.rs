//! What the full-screen chat says.

crate::text::bilingual! {
    /// Texts of `pli chat`.
    ChatMsg {
        Members { "Members", "Membres" }
        Encrypted { "encrypted", "chiffré" }
        NotEncrypted { "NOT ENCRYPTED", "NON CHIFFRÉ" }
        TypingOne { "{0} is typing…", "{0} écrit…" }
        TypingMany { "{0} are typing…", "{0} écrivent…" }
        Unread { "{0} unread", "non lus : {0}" }
        Below { "↓ {0} below", "↓ {0} plus bas" }
        Hint { "Enter send · PgUp/PgDn scroll · /quit /me /reply /call /members", "Entrée envoyer · PgPréc/PgSuiv défiler · /quit /me /reply /call /members" }
        Undecryptable { "🔒 cannot be decrypted yet", "🔒 pas encore déchiffrable" }
        NothingToReply { "There is no message to reply to.", "Il n'y a aucun message auquel répondre." }
        UnknownCommand { "Unknown command: {0}", "Commande inconnue : {0}" }
        SendFailed { "Not sent: {0}", "Non envoyé : {0}" }
        CallStarted { "Call: {0}", "Appel : {0}" }
        CallFailed { "The call could not be started: {0}", "L'appel n'a pas pu commencer : {0}" }
        Reconnecting { "Connection lost, trying again…", "Connexion perdue, nouvel essai…" }
        Joined { "{0} joined", "{0} a rejoint le salon" }
        Left { "{0} left", "{0} a quitté le salon" }
        Invited { "{0} invited {1}", "{0} a invité {1}" }
        File { "[file] {0}", "[fichier] {0}" }
        NeedsTerminal { "The chat needs a terminal; use `pli listen` and `pli send` in scripts.", "Le chat a besoin d'un terminal ; dans un script, utilisez `pli listen` et `pli send`." }
        Loading { "Loading…", "Chargement…" }
    }
}
