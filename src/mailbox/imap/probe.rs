//! Going once through all that watching a folder needs, for a person who asks whether it would work.
//!
//! Left out on purpose: marking and moving anything. The shorter bounds are a person's patience, not
//! the daemon's.

use std::{sync::Arc, time::Duration};

use super::{Imap, ImapSettings, filing::Way};
use crate::{
    mailbox::{
        AfterImport, Bounds, Gate, MailboxError, News, Probe, ProbeError, probe, session::Session,
    },
    pulse::Pulse,
    tls::{self, TlsMode},
};

/// No server that works takes longer to say its next word.
const PATIENCE: Duration = Duration::from_secs(10);

impl Imap {
    pub(in crate::mailbox) async fn probe(
        &self,
        senders: &[String],
        gate: Gate<'_>,
    ) -> Result<Probe, ProbeError> {
        let settings = ImapSettings {
            bounds: hasty(self.settings.bounds),
            ..(*self.settings).clone()
        };
        // Nobody watches over a command's life but the person who gave it.
        let pulse = Arc::new(Pulse::new(Duration::ZERO));
        let mut session = match Session::open(&settings, &pulse).await {
            Ok(session) => session,
            Err(error) => return Err(named(&settings, error).await),
        };
        let capabilities = session.capabilities().await?;
        let opened = session
            .open_folder(&settings.folder, settings.access())
            .await?;
        let folder = match opened {
            Ok(folder) => folder,
            Err(answer) => {
                return Err(ProbeError::Folder {
                    folder: settings.folder.clone(),
                    answer,
                    folders: session.folders().await?,
                });
            }
        };
        let messages = session.messages().into();
        let kept = |flag: &'static str| match folder.keeps(flag) {
            true => Ok(()),
            false => Err(ProbeError::ReadOnly { flag }),
        };
        match &settings.after_import {
            None => (),
            Some(AfterImport::MarkSeen) => kept("\\Seen")?,
            Some(AfterImport::MoveTo(target)) => {
                let way = Way::announced(|capability| capabilities.has(capability));
                if way.ok_or(ProbeError::CannotMove)? == Way::Copy {
                    kept("\\Deleted")?;
                }
                let folders = session.folders().await?;
                if !folders.contains(target) {
                    return Err(ProbeError::Target {
                        folder: target.clone(),
                        folders,
                    });
                }
            }
        }
        let news = match capabilities.has("IDLE") {
            true => News::Pushed,
            false => News::Polled(self.settings.bounds.poll),
        };
        let latest =
            probe::latest(async |found| self.latest(&mut session, senders, gate, found).await);
        Ok(Probe {
            messages,
            news,
            latest: latest.await,
        })
    }
}

fn hasty(bounds: Bounds) -> Bounds {
    Bounds {
        connect: bounds.connect.min(PATIENCE),
        command: bounds.command.min(PATIENCE),
        answer: bounds.answer.min(2 * PATIENCE),
        ..bounds
    }
}

/// A server that waits for TLS says nothing to whoever waits for its greeting, which looks like a
/// firewall until it is asked the other way.
async fn named(settings: &ImapSettings, error: MailboxError) -> ProbeError {
    let ImapSettings { host, port, .. } = settings;
    let connecting = format!("connect to {host}:{port}");
    let silent = match &error {
        MailboxError::Timeout { operation, .. } | MailboxError::Closed { operation } => {
            *operation == connecting
        }
        _ => false,
    };
    if silent && settings.tls != TlsMode::Implicit && tls::answers(host, *port, PATIENCE / 2).await
    {
        return ProbeError::TlsFirst {
            host: host.clone(),
            port: *port,
        };
    }
    error.into()
}
