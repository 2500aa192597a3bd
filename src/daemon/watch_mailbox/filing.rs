//! The last step with a mail: once its ranges are recorded, it is put away on its server.
//!
//! Left out on purpose: which mail, and how. Guarantee: it comes after the commit, and what a server
//! refuses to put away stays where it is; that neither stops the watching nor looks like a mailbox
//! that is down.

use tracing::{error, info};

use super::{Watch, WatchError};
use crate::{mailbox::Link, stranger::for_the_log};

impl Watch {
    /// Has the server file what the ledger says is recorded. A release by a person, in another
    /// process, is found here at the next look.
    pub(super) async fn file(&self, link: &mut Link) -> Result<(), WatchError> {
        let orders = self.orders();
        let (ledger, name) = (&orders.intake.ledger, &self.name);
        let Some(uidvalidity) = link.uidvalidity().filter(|_| link.files()) else {
            return Ok(());
        };
        let mut left = ledger.unfiled(name, uidvalidity).await?;
        while !left.is_empty() {
            let filing = self.unless_stopped(link.file(&left)).await??;
            if !filing.done.is_empty() {
                let now = self.clock.now();
                ledger.filed(name, uidvalidity, &filing.done, now).await?;
                info!(
                    mailbox.name = name,
                    messages = filing.done.len(),
                    "recorded mail filed on the server"
                );
            }
            if let Some(refusal) = filing.refusal {
                error!(
                    mailbox.name = name,
                    messages = left.len(),
                    "recorded mail was not filed, it is tried again in an hour: {}",
                    for_the_log(&refusal)
                );
                break;
            }
            left = left.difference(&filing.done);
        }
        Ok(())
    }
}
