//! What the commands say.

crate::text::bilingual! {
    /// Texts of the commands, questions and errors.
    Msg {
        UsageUnknownArgument { "Unknown argument: {0}", "Argument inconnu : {0}" }
        UsageUnknownCommand { "Unknown command: {0}", "Commande inconnue : {0}" }
        UsageMissing { "Missing: {0}", "Il manque : {0}" }
        UsageMissingCommand { "Which command?", "Quelle commande ?" }
        UsageConflict { "{0} cannot be used with {1}", "{0} ne va pas avec {1}" }
        UsageInvalidValue { "Invalid value \"{0}\" for {1}", "Valeur « {0} » invalide pour {1}" }
        UsageNotUtf8 { "An argument is not valid text.", "Un argument n'est pas un texte valide." }
        UsageOther { "The command line is not understood.", "La ligne de commande n'est pas comprise." }
        UsageSeeHelp { "See: pli help", "Voir : pli help" }
        UsageTextOrFile { "Give a text or --file, not both.", "Donnez un texte ou --file, pas les deux." }
        UsageNothingToSend { "Nothing to send: give a text, - or --file.", "Rien à envoyer : donnez un texte, - ou --file." }
        UsageBadUser { "\"{0}\" is not a user ID (@name:server).", "« {0} » n'est pas un identifiant de personne (@nom:serveur)." }
        UsageBadEvent { "\"{0}\" is not an event ID.", "« {0} » n'est pas un identifiant d'événement." }
        UsageBadServer { "\"{0}\" is not a server name or URL.", "« {0} » n'est ni un nom de serveur ni une URL." }
        UsageBadDomain { "\"{0}\" is not a host name.", "« {0} » n'est pas un nom d'hôte." }

        ErrBadProfileName { "\"{0}\" cannot be a profile name: letters, digits, - _ . only.", "« {0} » ne peut pas nommer un profil : lettres, chiffres, - _ . seulement." }
        ErrNoHome { "No place for the profiles: set PLI_HOME or HOME.", "Aucun endroit pour les profils : définissez PLI_HOME ou HOME." }
        ErrNotLoggedIn { "Nobody is signed in in this profile: pli login or pli register.", "Personne n'est connecté dans ce profil : pli login ou pli register." }
        ErrAlreadyLoggedIn { "{0} is already signed in in this profile: use --profile NAME or pli logout.", "{0} est déjà connecté dans ce profil : utilisez --profile NOM ou pli logout." }
        ErrSessionEnded { "The server has ended this session: pli logout, then pli login.", "Le serveur a mis fin à cette session : pli logout, puis pli login." }
        ErrRefused { "The server refused: {0} ({1})", "Le serveur a refusé : {0} ({1})" }
        ErrNetwork { "The server cannot be reached: {0}", "Le serveur est injoignable : {0}" }
        ErrFile { "File {0}: {1}", "Fichier {0} : {1}" }
        ErrNoInput { "An answer was needed and none came.", "Une réponse était attendue et rien n'est venu." }
        ErrSecretsDiffer { "The two entries differ.", "Les deux saisies diffèrent." }
        ErrCancelled { "Stopped.", "Arrêté." }
        ErrOther { "It did not work: {0}", "Cela n'a pas fonctionné : {0}" }
        ErrCrypto { "Encryption failed: {0}", "Le chiffrement a échoué : {0}" }
        ErrNoRoom { "No such room: {0}", "Salon introuvable : {0}" }
        ErrAmbiguousRoom { "Several rooms are called {0}: use the room ID.", "Plusieurs salons s'appellent {0} : utilisez l'identifiant." }
        ErrNoUser { "No encryption keys are known for {0}.", "Aucune clé de chiffrement connue pour {0}." }
        ErrNoDevice { "No such device: {0}", "Appareil introuvable : {0}" }
        ErrNoEvent { "No such message: {0}", "Message introuvable : {0}" }
        ErrNoCallDomain { "The server announces no conference service: give --domain.", "Le serveur n'annonce aucun service de conférence : donnez --domain." }
        ErrBackupExists { "A key backup exists already: pli recover, or pli verify with another device.", "Une sauvegarde de clés existe déjà : pli recover, ou pli verify avec un autre appareil." }
        ErrNoRecovery { "This account has no recovery key yet.", "Ce compte n'a pas encore de clé de récupération." }
        ErrBadRecoveryKey { "This recovery key is not the right one.", "Cette clé de récupération n'est pas la bonne." }
        ErrMissingSecrets { "This device does not have the account's secrets: pli recover or pli verify first.", "Cet appareil n'a pas les secrets du compte : d'abord pli recover ou pli verify." }
        ErrKeyFile { "The key file cannot be read: {0}", "Le fichier de clés est illisible : {0}" }
        ErrVerifyCancelled { "The verification was cancelled: {0}", "La vérification a été annulée : {0}" }
        ErrVerifyMismatch { "The emojis differ: somebody may be listening. Nothing was verified.", "Les émojis diffèrent : quelqu'un écoute peut-être. Rien n'a été vérifié." }
        ErrNoEmojis { "The other side cannot show emojis.", "L'autre côté ne sait pas montrer d'émojis." }
        ErrTimeoutVerify { "The verification took too long.", "La vérification a pris trop de temps." }
        ErrTimeoutAck { "Sent, but the message did not come back in time.", "Envoyé, mais le message n'est pas revenu à temps." }
        ErrTimeoutCode { "The code did not come in time.", "Le code n'est pas arrivé à temps." }
        ErrTimeoutStore { "Another pli is busy with this profile; try again.", "Un autre pli occupe ce profil ; réessayez." }
        ErrNoRegistration { "This server offers no way to register that pli knows: {0}", "Ce serveur ne propose aucune inscription que pli connaisse : {0}" }
        ErrTermsDeclined { "Without the terms there is no account.", "Sans les conditions, pas de compte." }

        AskEmail { "E-mail address:", "Adresse de courriel :" }
        AskUser { "User:", "Utilisateur :" }
        AskPassword { "Password:", "Mot de passe :" }
        AskNewPassword { "New password:", "Nouveau mot de passe :" }
        AskAgain { "Once more:", "Encore une fois :" }
        AskCode { "Code from the mail:", "Code reçu par courriel :" }
        AskLinkFollowed { "Open the link in the mail, then press Enter.", "Ouvrez le lien du courriel, puis appuyez sur Entrée." }
        AskToken { "Registration token:", "Jeton d'inscription :" }
        AskTerms { "Do you accept them? (yes/no)", "Les acceptez-vous ? (oui/non)" }
        AskRecoveryKey { "Recovery key:", "Clé de récupération :" }
        AskPassphrase { "Passphrase of the file:", "Phrase secrète du fichier :" }
        AskEmojisMatch { "Does the other side show the same, in the same order? (yes/no)", "L'autre côté montre-t-il les mêmes, dans le même ordre ? (oui/non)" }
        AskAccept { "Accept? (yes/no)", "Accepter ? (oui/non)" }

        RegisterMailSent { "A mail is on its way to {0}.", "Un courriel part vers {0}." }
        RegisterWrongCode { "The address is not confirmed yet: {0}", "L'adresse n'est pas encore confirmée : {0}" }
        RegisterTerms { "Terms of use:", "Conditions d'utilisation :" }
        RegisterDone { "The account {0} is ready.", "Le compte {0} est prêt." }
        LoginDone { "Signed in as {0} (device {1}).", "Connecté en tant que {0} (appareil {1})." }
        LogoutDone { "Signed out; the files of the profile {0} are deleted.", "Déconnecté ; les fichiers du profil {0} sont supprimés." }
        LogoutServerUnreachable { "The server was not told ({0}); remove the device from another one.", "Le serveur n'a pas été prévenu ({0}) ; retirez cet appareil depuis un autre." }
        RecoveryKeyShown { "Your recovery key, shown this once. Write it down and keep it safe: without it, lost devices mean lost messages.", "Votre clé de récupération, montrée cette seule fois. Notez-la et gardez-la en lieu sûr : sans elle, appareils perdus = messages perdus." }
        RecoveryKeyWritten { "The recovery key is in {0}. Move it to a safe place.", "La clé de récupération est dans {0}. Mettez-la en lieu sûr." }
        RecoveryExists { "This account has a recovery key: run pli recover to read past messages, or pli verify with another device.", "Ce compte a une clé de récupération : lancez pli recover pour lire les anciens messages, ou pli verify avec un autre appareil." }
        RecoveryDone { "Recovered: this device is verified and can read past messages.", "Récupéré : cet appareil est vérifié et peut lire les anciens messages." }
        RecoverySetupFailed { "Signed in, but no recovery key could be made ({0}); try pli recover --new-key.", "Connecté, mais aucune clé de récupération n'a pu être créée ({0}) ; essayez pli recover --new-key." }

        WhoamiUser { "User: {0}", "Utilisateur : {0}" }
        WhoamiDevice { "Device: {0}", "Appareil : {0}" }
        WhoamiServer { "Server: {0}", "Serveur : {0}" }
        WhoamiVerified { "This device is verified.", "Cet appareil est vérifié." }
        WhoamiUnverified { "This device is not verified: pli recover or pli verify.", "Cet appareil n'est pas vérifié : pli recover ou pli verify." }

        RoomCreated { "Room created: {0}", "Salon créé : {0}" }
        RoomJoined { "Joined: {0}", "Rejoint : {0}" }
        RoomLeft { "Left: {0}", "Quitté : {0}" }
        RoomInvitedUser { "Invited: {0}", "Invité : {0}" }
        RoomNone { "No rooms yet: pli room create.", "Aucun salon pour l'instant : pli room create." }
        RoomInvitation { "invitation", "invitation" }
        RoomEncrypted { "encrypted", "chiffré" }
        RoomNotEncrypted { "not encrypted", "non chiffré" }
        RoomMembers { "{0} members", "{0} membres" }
        RoomUnread { "{0} unread", "non lus : {0}" }
        MemberAdmin { "administrator", "administrateur" }
        MemberModerator { "moderator", "modérateur" }
        MemberInvited { "invited", "invité" }

        Sent { "Sent: {0}", "Envoyé : {0}" }
        EventFile { "[file] {0} ({1} bytes)", "[fichier] {0} ({1} octets)" }
        EventSaved { "saved in {0}", "enregistré dans {0}" }
        EventUndecryptable { "cannot be decrypted ({0})", "indéchiffrable ({0})" }
        EventRedacted { "message deleted", "message supprimé" }
        ListenReconnecting { "Connection lost ({0}), trying again…", "Connexion perdue ({0}), nouvel essai…" }

        VerifyWaiting { "Waiting for {0}…", "En attente de {0}…" }
        VerifyWaitingAny { "Waiting for a verification request… (Ctrl-C stops)", "En attente d'une demande de vérification… (Ctrl-C arrête)" }
        VerifyInvitation { "{0} invites you to a conversation; a verification takes place there.", "{0} vous invite à une conversation ; une vérification s'y déroule." }
        VerifyRequest { "{0} (device {1}) asks for a verification.", "{0} (appareil {1}) demande une vérification." }
        VerifyConfirmed { "Confirmed here; waiting for the other side…", "Confirmé ici ; en attente de l'autre côté…" }
        VerifyDone { "Verified: {0}", "Vérifié : {0}" }
        KeysExported { "{0} room keys written to {1}.", "{0} clés de salons écrites dans {1}." }
        KeysImported { "{0} new room keys out of {1}.", "{0} nouvelles clés de salons sur {1}." }

        CallMessage { "📞 Call: {0}", "📞 Appel : {0}" }
        CallMessageVideo { "🎥 Video call: {0}", "🎥 Appel vidéo : {0}" }
        CallWidgetRefused { "The link is in the room; Element's call bar was not set: {0}", "Le lien est dans le salon ; la barre d'appel d'Element n'a pas été placée : {0}" }
        CallName { "Call", "Appel" }

        DomainAdded { "Allowed: {0}", "Autorisé : {0}" }
        DomainRemoved { "Removed: {0}", "Retiré : {0}" }
        DomainDryRun { "Nothing was changed (dry run).", "Rien n'a été changé (essai à blanc)." }
        DomainImpact { "Accounts concerned: {0}; registrations under way: {1}", "Comptes concernés : {0} ; inscriptions en cours : {1}" }
        DomainNone { "No domain is on the list: nobody can register by mail.", "Aucun domaine dans la liste : personne ne peut s'inscrire par courriel." }
        DomainSub { "with sub-domains", "avec les sous-domaines" }
        DomainAllowed { "Allowed: {0}", "Autorisé : {0}" }
        DomainDenied { "Refused: {0}", "Refusé : {0}" }

        PartnerAdded { "Partner: {0}", "Partenaire : {0}" }
        PartnerRemoved { "No partner any more: {0}", "N'est plus partenaire : {0}" }
        PartnerSuspended { "Suspended: {0}", "Suspendu : {0}" }
        PartnerResumed { "No longer suspended: {0}", "N'est plus suspendu : {0}" }
        PartnerIsSuspended { "suspended", "suspendu" }
        PartnerKeys { "pinned: {0}", "épinglées : {0}" }
        PartnerPinned { "Pinned {0} {1}: compare it with the partner on another way.", "Épinglée {0} {1} : comparez-la avec le partenaire par une autre voie." }
        PartnerNoKeys { "{0} publishes no keys that can be believed: pli admin federation check {0}", "{0} ne publie pas de clés crédibles : pli admin federation check {0}" }
        PartnerDenied { "not exchanged: {0}", "non échangé : {0}" }
        PartnerRoomRules { "Pli's room rules required", "règles de salons de Pli exigées" }
        ServerBlocked { "Blocked: {0}", "Bloqué : {0}" }
        ServerUnblocked { "No longer blocked: {0}", "N'est plus bloqué : {0}" }
        KeyRefused { "Never believed: {0}", "Jamais crue : {0}" }
        KeyAccepted { "No longer on the list: {0}", "N'est plus sur la liste : {0}" }
        ListEmpty { "Nothing.", "Rien." }
        FederationOff { "The server takes no part in federation.", "Le serveur ne participe pas à la fédération." }
        FederationOpen { "The server speaks with every server that is not blocked.", "Le serveur échange avec tout serveur qui n'est pas bloqué." }
        FederationClosed { "The server speaks with these partners only:", "Le serveur n'échange qu'avec ces partenaires :" }
        CheckProblem { "there is a problem with {0}.", "il y a un problème avec {0}." }
        StatusHeard { "heard {0}", "entendu {0}" }
        StatusAnswered { "answered {0}", "a répondu {0}" }
        StatusWaiting { "waiting: {0}", "en attente : {0}" }
        StatusFailed { "failed {0}: {1}", "échec {0} : {1}" }

        ReportNone { "Nothing is reported.", "Rien n'est signalé." }
        ReportBy { "by {0}", "par {0}" }
        ReportIsClosed { "closed by {0}", "clos par {0}" }
        ReportClosed { "Report {0} is closed.", "Le signalement {0} est clos." }
        NoticeSent { "The notice is sent to {0}.", "L'annonce est envoyée à {0}." }

        DeviceThis { "this device", "cet appareil" }
        DeviceVerified { "verified", "vérifié" }
        DeviceUnverified { "not verified", "non vérifié" }
        DeviceLastSeen { "last seen {0}", "vu le {0}" }
        ProfilesNone { "No profile is signed in on this machine.", "Aucun profil connecté sur cette machine." }
        Unnamed { "(no name)", "(sans nom)" }
        HelpUnknown { "There is no command \"{0}\".", "Il n'y a pas de commande « {0} »." }
    }
}
