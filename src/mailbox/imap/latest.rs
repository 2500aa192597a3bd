//! The newest mail of some senders, for a person who asks what it looks like.
//!
//! Left out on purpose: all other mail, and what the daemon has accounted for. The folder is opened
//! with EXAMINE and read with `BODY.PEEK`, whatever `after_import` asks of the daemon.

use super::{HEADERS_AT_ONCE, Imap};
use crate::mailbox::{
    AfterImport, BATCH_BYTES, Content, Gate, LATEST, MailboxError, Origin, RawMessage, UidSet,
    Want,
    session::{Access, Part, Session, opening},
};

/// So many headers are looked at: anybody can write an address into his display name, and the
/// server's search finds it there.
const HEADERS: usize = 1500;

impl Imap {
    /// Adds the newest [`LATEST`] messages in each folder where mail of `senders` may be: the one that
    /// is watched, and the one to which recorded mail is moved.
    pub(super) async fn latest(
        &self,
        session: &mut Session,
        senders: &[String],
        gate: Gate<'_>,
        found: &mut Vec<RawMessage>,
    ) -> Result<(), MailboxError> {
        let moved_to = match &self.settings.after_import {
            Some(AfterImport::MoveTo(folder)) => Some(folder),
            Some(AfterImport::MarkSeen) | None => None,
        };
        for folder in [Some(&self.settings.folder), moved_to]
            .into_iter()
            .flatten()
        {
            let opened = session.open_folder(folder, Access::Read).await?;
            let uidvalidity = match opened {
                Ok(opened) => opened.uidvalidity,
                Err(answer) => {
                    return Err(MailboxError::Refused {
                        operation: opening(folder),
                        answer,
                    });
                }
            };
            let mut theirs = UidSet::default();
            for sender in senders {
                theirs = theirs.union(&session.from(sender).await?);
            }
            let origin = |uid| Origin::Imap {
                mailbox: self.settings.name.clone(),
                uidvalidity,
                uid,
            };
            newest(session, &theirs, gate, origin, found).await?;
        }
        Ok(())
    }
}

/// Adds the messages with the highest UIDs among `theirs` that the gate wants whole.
async fn newest(
    session: &mut Session,
    theirs: &UidSet,
    gate: Gate<'_>,
    origin: impl Fn(u32) -> Origin,
    found: &mut Vec<RawMessage>,
) -> Result<(), MailboxError> {
    let runs = theirs.runs().iter().rev();
    let newest_first = runs.flat_map(|&(first, last)| (first..=last).rev());
    let newest_first: Vec<u32> = newest_first.take(HEADERS).collect();
    let mut wanted = Vec::new();
    for asked in newest_first.chunks(HEADERS_AT_ONCE as usize) {
        let heads = session.heads(&asked.iter().copied().collect()).await?;
        let heads = heads.into_iter().rev();
        wanted.extend(heads.filter(|(_, head)| gate(&head.header, head.size) == Want::Whole));
        if wanted.len() >= LATEST {
            wanted.truncate(LATEST);
            break;
        }
    }
    let mut wanted = wanted.into_iter().peekable();
    while wanted.peek().is_some() {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while let Some((uid, head)) = wanted
            .next_if(|(_, head)| some.is_empty() || head.size.saturating_add(bytes) <= BATCH_BYTES)
        {
            bytes = head.size.saturating_add(bytes);
            some.push((uid, head));
        }
        let uids = some.iter().map(|(uid, _)| *uid).collect();
        let mut bodies = session.bodies(&uids, Part::Whole, bytes).await?;
        for (uid, head) in some {
            // Expunged by now; or RFC822.SIZE lied, and what came is larger than anybody wants.
            let Some(body) = bodies.remove(&uid) else {
                continue;
            };
            let size = body.len() as u64;
            if gate(&head.header, size) != Want::Whole {
                continue;
            }
            found.push(RawMessage {
                origin: origin(uid),
                internal_date: head.internal_date,
                size,
                content: Content::Whole(body),
            });
        }
    }
    Ok(())
}
