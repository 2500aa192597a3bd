//! Any bytes as the whole of what an IMAP server says: greeting, login, folder, searches, fetches,
//! IDLE, for three rounds of looking. No socket and no time: a clock that stands still jumps to the
//! next deadline whenever nobody can go on. The first byte says whether the server hangs up at its
//! end or falls silent; the client's tags are a1, a2, … in the order of its commands.
//!
//! `cargo +nightly fuzz run session fuzz/corpus/session fuzz/seeds/session -- -dict=fuzz/session.dict`
//!
//! Guarantee looked for: no panic that reaches the caller (async-imap's decoder may panic: the
//! session catches that); no more commands than the server has answered; nothing accepted before
//! the tagged OK of every command sent; no message that was not asked for, none twice in one
//! round, and none whose bytes the server did not send.

#![no_main]

use std::{
    collections::BTreeSet,
    panic,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use invoice_trackd::{
    mailbox::{Bounds, Content, Imap, ImapSettings, Known, Link, Origin, UidSet, Want},
    pulse::Pulse,
    tls::TlsMode,
};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What was said on the connection so far.
#[derive(Default)]
struct Said {
    by_server: Vec<u8>,
    by_client: Vec<u8>,
}

/// The server's end: hands out what it has to say, at most a line at a time.
struct Server {
    script: Vec<u8>,
    hangs_up: bool,
    said: Arc<Mutex<Said>>,
}

impl AsyncRead for Server {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut said = self.said.lock().unwrap();
        let rest = &self.script[said.by_server.len()..];
        if rest.is_empty() {
            return if self.hangs_up {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        let line = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap();
        let piece = &line[..line.len().min(buffer.remaining())];
        buffer.put_slice(piece);
        said.by_server.extend_from_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.said.lock().unwrap().by_client.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Said {
    /// Commands with their tags.
    fn commands(&self) -> Vec<(&str, &str)> {
        let lines = str::from_utf8(&self.by_client).unwrap().lines();
        lines.filter_map(|line| line.split_once(' ')).collect()
    }

    /// Every command has been answered by its tagged OK.
    fn is_answered(&self) -> bool {
        let mut oks: BTreeSet<String> = BTreeSet::new();
        // A line may begin behind a literal that does not end in a line end, so any `aN OK` counts.
        let text = String::from_utf8_lossy(&self.by_server).to_ascii_uppercase();
        let words: Vec<&str> = text.split([' ', '\r', '\n']).collect();
        oks.extend(
            words
                .windows(2)
                .filter(|pair| pair[1] == "OK")
                .map(|pair| pair[0].to_owned()),
        );
        self.commands().iter().all(|(tag, _)| {
            let tag = tag.to_ascii_uppercase();
            oks.iter().any(|ok| ok.ends_with(&tag))
        })
    }

    /// The UIDs of every `UID FETCH` so far.
    fn asked_for(&self) -> UidSet {
        let sets = self.commands().into_iter().filter_map(|(_, command)| {
            command
                .strip_prefix("UID FETCH ")?
                .split(' ')
                .next()
                .map(str::to_owned)
        });
        let runs = sets.flat_map(|set| {
            let runs = set.split(',').map(|run| {
                let (first, last) = run.split_once(':').unwrap_or((run, run));
                (first.parse().unwrap(), last.parse().unwrap())
            });
            runs.collect::<Vec<(u32, u32)>>()
        });
        UidSet::from_runs(runs)
    }

    fn sent(&self, body: &[u8]) -> bool {
        // In a quoted string some bytes are written with a backslash.
        body.is_empty()
            || body.iter().any(|byte| b"\"\\".contains(byte))
            || self
                .by_server
                .windows(body.len())
                .any(|window| window == body)
    }
}

fn imap() -> Imap {
    Imap::new(ImapSettings {
        name: "m".to_owned(),
        host: "localhost".to_owned(),
        port: 143,
        tls: TlsMode::None,
        ca_file: None,
        username: "user".to_owned(),
        credential: "secret".to_owned().into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    })
}

fn gate(header: &[u8], size: u64) -> Want {
    if header.windows(5).any(|window| window == b"lunch") {
        Want::Nothing
    } else if size > 1000 {
        Want::TooLarge
    } else {
        Want::Whole
    }
}

/// Looks three times, as the daemon does; ends with the link's first error.
async fn watch(server: Server, said: &Mutex<Said>) {
    let most_commands = server.script.len() / 5 + 2;
    let pulse = Arc::new(Pulse::new(Duration::ZERO));
    let Ok(mut link) = imap().open_over(server, &pulse).await else {
        return;
    };
    let answered = || {
        let said = said.lock().unwrap();
        assert!(said.is_answered(), "accepted without a tagged OK");
        assert!(said.commands().len() <= most_commands, "endless work");
    };
    answered();
    let mut known = Known::default();
    for _ in 0..3 {
        let Ok(missing) = link.survey(&known).await else {
            return;
        };
        answered();
        let mut came = BTreeSet::new();
        let mut suspects = BTreeSet::new();
        let mut batches = 0;
        while let Ok(Some(batch)) = next(&mut link).await {
            answered();
            batches += 1;
            let trouble = link.trouble().uids;
            suspects.extend(trouble.runs().iter().map(|(first, _)| *first));
            assert!(batches <= missing, "more batches than messages");
            let said = said.lock().unwrap();
            let asked = said.asked_for();
            for message in batch {
                let Origin::Imap { uid, .. } = message.origin else {
                    unreachable!("a message from elsewhere");
                };
                assert!(came.insert(uid), "UID {uid} came twice in one round");
                let only = UidSet::from_iter([uid]);
                assert!(
                    only.difference(&asked).is_empty(),
                    "nobody asked for UID {uid}"
                );
                if let Content::Whole(bytes) | Content::Oversized(bytes) = &message.content {
                    assert!(said.sent(bytes), "the server sent nothing like it");
                }
            }
        }
        known.uids = came.into_iter().collect();
        known.suspects = suspects.into_iter().collect();
        if link.wait(Duration::MAX).await.is_err() {
            return;
        }
    }
}

async fn next(
    link: &mut Link,
) -> Result<Option<Vec<invoice_trackd::mailbox::RawMessage>>, invoice_trackd::mailbox::MailboxError>
{
    match link.next_batch(&gate).await? {
        Some(batch) => Ok(Some(batch)),
        None => link.next_suspect(&gate).await,
    }
}

fuzz_target!(
    init: {
        // libFuzzer's hook ends the process at any panic, and the session catches the decoder's.
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            let place = what.location().map_or("", |place| place.file());
            if !["imap-proto", "async-imap", "nom-"].iter().any(|decoder| place.contains(decoder)) {
                abort(what);
            }
        }));
    },
    |bytes: &[u8]| {
        let Some((&first, script)) = bytes.split_first() else {
            return;
        };
        let said = Arc::new(Mutex::new(Said::default()));
        let server = Server {
            script: script.to_vec(),
            hangs_up: first % 2 == 0,
            said: Arc::clone(&said),
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(watch(server, &said));
    }
);
