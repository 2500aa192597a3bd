//! What a session learns of the server and of its folders, up to one of them being open.
//!
//! Left out on purpose: creating folders. Whoever wants mail moved says where to, and a folder that
//! appears because of a misspelt name would hide the mistake.

use async_imap::imap_proto::{Capability, MailboxDatum, NameAttribute, Response, ResponseCode};

use super::{Session, line::SMALL, syntax};
use crate::mailbox::MailboxError;

/// What a list of folders may weigh: some fifty thousand of them.
const FOLDERS: u64 = 4 << 20;

/// What the server announced; TLS and LOGIN change it.
#[derive(Debug, Clone, Default)]
pub(in crate::mailbox) struct Capabilities(Vec<String>);

impl Capabilities {
    /// Whether it announced this one, written in capitals.
    pub(in crate::mailbox) fn has(&self, capability: &str) -> bool {
        self.0.iter().any(|known| known == capability)
    }
}

/// For what a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mailbox) enum Access {
    /// EXAMINE: nothing that is done can change it.
    Read,
    /// SELECT: messages in it may be marked and moved.
    Write,
}

/// A folder that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mailbox) struct Opened {
    /// Without it no UID means anything (RFC 9051 §2.3.1.1).
    pub(in crate::mailbox) uidvalidity: u32,
    /// The flags that stay; `None` where the server does not say, which means all of them
    /// (RFC 9051 §6.3.2).
    permanent: Option<Vec<String>>,
}

impl Opened {
    /// Whether this flag can be set for good. Read-only folders answer SELECT with an empty list.
    pub(in crate::mailbox) fn keeps(&self, flag: &str) -> bool {
        self.permanent
            .as_ref()
            .is_none_or(|flags| flags.iter().any(|kept| kept.eq_ignore_ascii_case(flag)))
    }
}

impl Session {
    /// What the server announces at this moment.
    pub(in crate::mailbox) async fn capabilities(&mut self) -> Result<Capabilities, MailboxError> {
        const OPERATION: &str = "ask for capabilities";
        let mut announced = None;
        self.command(OPERATION, "CAPABILITY", SMALL, |response| {
            if let Response::Capabilities(list) = response {
                let atoms = list.iter().filter_map(|capability| match capability {
                    Capability::Atom(atom) => Some(atom.to_ascii_uppercase()),
                    Capability::Auth(mechanism) => {
                        Some(format!("AUTH={}", mechanism.to_ascii_uppercase()))
                    }
                    _ => None,
                });
                announced = Some(Capabilities(atoms.collect()));
            }
        })
        .await?;
        announced.ok_or_else(|| self.end(OPERATION, "a CAPABILITY response"))
    }

    /// Opens a folder. The inner error is the server's tagged NO or BAD, in its words.
    pub(in crate::mailbox) async fn open_folder(
        &mut self,
        folder: &str,
        access: Access,
    ) -> Result<Result<Opened, String>, MailboxError> {
        let operation = opening(folder);
        let verb = match access {
            Access::Read => "EXAMINE",
            Access::Write => "SELECT",
        };
        let command = format!("{verb} {}", syntax::folder_name(folder));
        let mut permanent = None;
        self.news.reopen();
        let answered = self
            .ask(&operation, &command, SMALL, |response| {
                let Response::Data { outcome, .. } = response else {
                    return;
                };
                if let Some(ResponseCode::PermanentFlags(flags)) = &outcome.code {
                    permanent = Some(flags.iter().map(|flag| flag.to_string()).collect());
                }
            })
            .await?;
        if let Err(answer) = answered {
            return Ok(Err(answer));
        }
        let uidvalidity = self.news.uidvalidity;
        let uidvalidity = uidvalidity.ok_or_else(|| self.end(&operation, "a UIDVALIDITY"))?;
        Ok(Ok(Opened {
            uidvalidity,
            permanent,
        }))
    }

    /// How many messages are in the open folder, as far as we were told.
    pub(in crate::mailbox) fn messages(&self) -> u32 {
        self.news.exists
    }

    /// The names of all folders that can be opened, as a person writes them, in the server's order.
    pub(in crate::mailbox) async fn folders(&mut self) -> Result<Vec<String>, MailboxError> {
        let mut folders = Vec::new();
        self.command("list the folders", "LIST \"\" \"*\"", FOLDERS, |response| {
            let Response::MailboxData(MailboxDatum::List(folder)) = response else {
                return;
            };
            // RFC 9051 §7.3.1: neither of the two can be opened.
            let closed = folder
                .name_attributes
                .iter()
                .any(|attribute| match attribute {
                    NameAttribute::NoSelect => true,
                    NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
                    _ => false,
                });
            if !closed {
                folders.push(syntax::read_folder_name(&folder.name));
            }
        })
        .await?;
        Ok(folders)
    }
}

/// How opening a folder is called in errors.
pub(in crate::mailbox) fn opening(folder: &str) -> String {
    format!("open the folder {folder}")
}
