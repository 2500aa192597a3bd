//! From a subject, a text and a file to the bytes of a mail.
//!
//! Guarantee: CRLF, 7-bit, and nothing in it that another run would write differently. The
//! headers are put together here and not by lettre's `Message`, which refuses some addresses that
//! are in use; a letter about numbers that are already recorded must not fail to be written. And
//! what cannot be seen is in neither Subject nor text, whatever the letter tells of.

use jiff::Timestamp;
use lettre::message::{
    Attachment, Mailbox, Mailboxes, MultiPart, SinglePart,
    header::{
        ContentType, Date, From, HeaderName, HeaderValue, Headers, MIME_VERSION_1_0, MessageId,
        Subject,
    },
};
use sha2::{Digest, Sha256};

use super::super::{Identity, platform_csv::PlatformCsv};
use crate::{
    ledger::{Kind, Letter},
    notice::Address,
    stranger,
};

/// A letter that has not been put into an envelope yet.
pub(super) struct Draft {
    /// What it is for.
    pub(super) kind: Kind,
    /// What it is about, in words that never change: the Message-ID comes from them.
    pub(super) about: Vec<String>,
    /// The Subject, one line.
    pub(super) subject: String,
    /// The text, LF.
    pub(super) text: String,
    /// The file that goes with it.
    pub(super) attachment: Option<PlatformCsv>,
}

impl Draft {
    /// The complete letter; `None` when there is nobody to send it to.
    pub(super) fn address(
        mut self,
        from: &Identity,
        to: &[Address],
        now: Timestamp,
    ) -> Option<Letter> {
        if to.is_empty() {
            return None;
        }
        self.subject = stranger::visible(&self.subject);
        let digest = self.digest(to);
        let message_id = format!(
            "<{digest}.{}@{}>",
            self.kind.as_str(),
            from.address.domain()
        );
        let mut headers = Headers::new();
        let name = Some(from.name.clone()).filter(|name| !name.is_empty());
        headers.set(From::from(Mailboxes::from(Mailbox::new(
            name,
            lettre_address(&from.address),
        ))));
        headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(
            HeaderName::new_from_ascii_str("To"),
            String::new(),
            folded(to),
        ));
        headers.set(Subject::from(self.subject.clone()));
        headers.set(Date::new(now.into()));
        headers.set(MessageId::from(message_id.clone()));
        // RFC 3834 §5: nobody's holiday notice answers to this.
        headers.insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
        headers.set(MIME_VERSION_1_0);

        let text = SinglePart::plain(stranger::lines(&self.text).into_owned());
        let body = match self.attachment {
            None => text.formatted(),
            Some(file) => {
                let csv = ContentType::parse("text/csv; charset=utf-8")
                    .unwrap_or(ContentType::TEXT_PLAIN);
                MultiPart::mixed()
                    .boundary(format!("invoice-trackd-{digest}"))
                    .singlepart(text)
                    .singlepart(Attachment::new(file.name).body(file.bytes, csv))
                    .formatted()
            }
        };
        let mut eml = headers.to_string().into_bytes();
        eml.extend(body);
        Some(Letter {
            kind: self.kind,
            message_id,
            recipients: to.to_vec(),
            subject: self.subject,
            eml,
        })
    }

    /// 32 hexadecimal digits for what is told to whom.
    fn digest(&self, to: &[Address]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_str());
        for part in to
            .iter()
            .map(Address::as_str)
            .chain(self.about.iter().map(String::as_str))
        {
            // A line end stands in neither, so no two lists run into the same bytes.
            hash.update("\n");
            hash.update(part);
        }
        let hex: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        hex.chars().take(32).collect()
    }
}

/// The addresses with a comma between them, each line as long as it may be and no longer: lettre
/// 0.11.23 writes them all on one. RFC 5322 §2.1.1, §2.2.3.
fn folded(addresses: &[Address]) -> String {
    const LINE: usize = 78;
    let mut text = String::new();
    let mut length = "To:".len();
    for address in addresses {
        let address = address.as_str();
        if !text.is_empty() {
            text.push(',');
            length += 1;
            if length + " ,".len() + address.len() > LINE {
                text.push_str("\r\n");
                length = 0;
            }
            text.push(' ');
        }
        text.push_str(address);
        length += 1 + address.len();
    }
    text
}

/// [`Address`] has been checked more strictly than the form below needs, but lettre's own check
/// refuses some that are in use, such as a local part of more than 64 characters.
pub(in crate::delivery) fn lettre_address(address: &Address) -> lettre::Address {
    let (local, domain) = address.as_str().rsplit_once('@').unwrap_or_default();
    lettre::Address::new_dangerous(local, domain)
}
