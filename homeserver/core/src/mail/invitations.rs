//! The mails that tell people of invitations.

use pli_schema::{
    Language, Text,
    records::invitations::{InviteMailKey, InviteMailRecord},
};
use pli_store::{Row, Scan};

use super::{
    letters::{Written, escape},
    queue::{FAILURES, Mailer, ROUND, pause_after},
};
use crate::{Error, Result};

const SUBJECT: Text =
    Text { fr: "Invitation à une conversation", en: "Invitation to a conversation" };
const TO_ROOM: Text = Text {
    fr: "{who} vous invite dans le salon « {room} ».",
    en: "{who} invites you to the room “{room}”.",
};
const TO_CONVERSATION: Text = Text {
    fr: "{who} vous invite à une conversation.",
    en: "{who} invites you to a conversation.",
};
const HOW: Text = Text {
    fr: "Pour répondre, créez un compte avec cette adresse, ou ajoutez-la à votre compte. L’invitation \
         vous y attend :",
    en: "To answer, create an account with this address, or add it to your account. The invitation \
         waits for you there:",
};
const IGNORE: Text = Text {
    fr: "Si vous ne connaissez pas cette personne, ignorez ce message.",
    en: "If you do not know this person, ignore this message.",
};

/// Characters of a name that stand in a mail.
const NAME_MAX: usize = 100;

/// A name that somebody has chosen, as it may stand in a mail: one short line.
fn tame(name: &str) -> String {
    let visible = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    // A name is no link, whatever mail programs make of it.
    let name = name.replace("://", " ");
    name.chars().filter(visible).take(NAME_MAX).collect()
}

/// Writes the mail of an invitation.
#[must_use]
pub fn write(record: &InviteMailRecord, server_name: &str, link: &str) -> Written {
    let language: Language = record.language;
    let who = tame(&record.inviter);
    let what = match &record.room_name {
        Some(name) => TO_ROOM.in_language(language).replace("{room}", &tame(name)),
        None => TO_CONVERSATION.in_language(language).to_owned(),
    };
    let what = what.replace("{who}", &who);
    let [how, ignore] = [HOW, IGNORE].map(|text| text.in_language(language));
    let text = format!("{what}\n\n{how}\n{link}\n\n{ignore}\n\n-- \n{server_name}\n");
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\"></head>\n<body>\n\
         <p>{}</p>\n<p>{}<br><a href=\"{href}\">{href}</a></p>\n<p>{}</p>\n<p>{}</p>\n</body>\n</html>\n",
        language.tag(),
        escape(&what),
        escape(how),
        escape(ignore),
        escape(server_name),
        href = escape(link),
    );
    let subject = format!("{} – {server_name}", SUBJECT.in_language(language));
    Written { subject, text, html }
}

impl Mailer {
    /// Sends the invitations that are due now; returns how many mails left.
    pub(super) async fn send_invitations(&self) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let rows = self.store.scan(&Scan::<InviteMailKey>::prefix(()).limit(ROUND)).await?;
        let mut sent: usize = 0;
        for row in rows.into_iter().filter(|row| row.record.next_try_ms <= now_ms) {
            let mail = write(&row.record, self.server_name.as_str(), &self.base_url);
            let (id, to) = (self.random.letters(24), &row.record.address);
            match self.transport.send(&self.from, to, mail, &id, now_ms).await {
                Ok(()) => {
                    self.put_invitation(&row, None).await?;
                    sent = sent.saturating_add(1);
                }
                Err(error) => {
                    let failures = row.record.failures.saturating_add(1);
                    tracing::warn!(%error, failures, "an invitation could not be sent");
                    let later =
                        (!error.permanent && failures < FAILURES).then(|| InviteMailRecord {
                            failures,
                            next_try_ms: now_ms.saturating_add(pause_after(failures)),
                            ..row.record.clone()
                        });
                    self.put_invitation(&row, later).await?;
                }
            }
        }
        Ok(sent)
    }

    async fn put_invitation(
        &self,
        row: &Row<InviteMailKey>,
        record: Option<InviteMailRecord>,
    ) -> Result<()> {
        let record = &record;
        self.store
            .write(|tx| async move {
                match record {
                    Some(record) => tx.put(&row.key, record)?,
                    None => tx.delete(&row.key),
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use pli_schema::EmailAddress;

    use super::*;

    #[test]
    fn names_cannot_change_the_mail() {
        let mut record = InviteMailRecord {
            address: EmailAddress::parse("bob@agents.example").unwrap(),
            language: Language::En,
            inviter: "Alice\nBcc: all <b>https://evil.example</b>\u{202e}".to_owned(),
            room_name: Some("<Budget> & co".to_owned()),
            failures: 0,
            next_try_ms: 0,
        };
        let mail = write(&record, "pli.example", "https://pli.example");
        assert!(mail.text.starts_with("AliceBcc: all <b>https evil.example</b> invites you"));
        assert!(mail.html.contains("&lt;Budget&gt; &amp; co") && !mail.html.contains("<b>"));
        record.language = Language::Fr;
        record.room_name = None;
        let french = write(&record, "pli.example", "https://pli.example");
        assert!(french.text.contains("vous invite à une conversation"));
        assert_ne!(french.subject, mail.subject);
    }
}
