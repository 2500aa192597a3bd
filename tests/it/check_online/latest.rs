//! Looking for the latest mail of the senders: what is asked of a server, and what becomes of it when
//! the server refuses, lies or leaves in the middle.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use invoice_trackd::{
    mailbox::{
        AfterImport, Bounds, Content, Imap, ImapSettings, MailboxError, Maildir, Origin, Probe,
        Source, Want,
    },
    notice,
};

use crate::support::{
    daemon::{Notice, maildir},
    dovecot::{self, Dovecot},
    scripted_imap::{Peer, ScriptedImap, body, head},
};

const SENDER: &str = "einvoice@einvoice.nat.gov.tw";

fn bounds() -> Bounds {
    Bounds {
        command: Duration::from_millis(500),
        ..Bounds::default()
    }
}

fn gate(header: &[u8], size: u64) -> Want {
    match notice::author(header) {
        Some(from) if from.as_str() == SENDER && size <= 100_000 => Want::Whole,
        Some(from) if from.as_str() == SENDER => Want::TooLarge,
        _ => Want::Nothing,
    }
}

async fn probe(settings: ImapSettings, senders: &[&str]) -> Probe {
    let senders: Vec<String> = senders.iter().map(|&sender| sender.to_owned()).collect();
    let source = Source::Imap(Imap::new(settings));
    source.probe(&senders, &gate).await.unwrap()
}

fn uids(probe: &Probe) -> Vec<u32> {
    let latest = probe.latest.as_ref().unwrap().iter();
    latest
        .map(|message| match &message.origin {
            Origin::Imap { uid, .. } => *uid,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A folder of 5 messages; then `rest`, after the folder was opened for looking.
async fn server<F>(rest: impl FnOnce(Peer) -> F + Send + 'static) -> ScriptedImap
where
    F: Future<Output = ()> + Send + 'static,
{
    ScriptedImap::start(async move |mut peer: Peer| {
        peer.open("IDLE", 5).await;
        let again = "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n";
        peer.expect("EXAMINE \"INBOX\"").await.ok(again).await;
        rest(peer).await;
    })
    .await
}

#[tokio::test]
async fn each_sender_is_searched_for_and_what_comes_is_looked_at_before_it_is_fetched() {
    let server = server(async |mut peer: Peer| {
        let asked = peer.expect("UID SEARCH").await;
        assert_eq!(asked.line, r#"UID SEARCH FROM "a\"b\\c@example.com""#);
        asked.ok("* SEARCH 3\r\n").await;
        let asked = peer.expect("UID SEARCH").await;
        assert_eq!(asked.line, format!("UID SEARCH FROM \"{SENDER}\""));
        asked.ok("* SEARCH 1 2 4 5\r\n").await;
        let asked = peer.expect("UID FETCH 1:5 (UID RFC822.SIZE").await;
        let from = |from: &str| format!("From: {from}\r\n\r\n");
        let mut heads = String::new();
        heads.push_str(&head(1, 1, 60, &from(SENDER)));
        heads.push_str(&head(
            2,
            2,
            60,
            &from("<evil@x.example> (einvoice@einvoice.nat.gov.tw)"),
        ));
        heads.push_str(&head(3, 3, 60, &from("a@example.com")));
        heads.push_str(&head(4, 4, 9_999_999, &from(SENDER)));
        heads.push_str(&head(5, 5, 60, &from(SENDER)));
        asked.ok(&heads).await;
        let asked = peer.expect("UID FETCH").await;
        assert_eq!(asked.line, "UID FETCH 1,5 (UID BODY.PEEK[])");
        let large = format!("From: {SENDER}\r\n\r\n{}", "x".repeat(100_000));
        let bodies = [body(1, 1, "From: x\r\n\r\nwhole\r\n"), body(5, 5, &large)];
        // What is larger than was said is no whole mail, and the session bears that much of it.
        asked.ok(&bodies.concat()).await;
        peer.must_leave().await;
    })
    .await;
    let probe = probe(server.settings(bounds()), &[r#"a"b\c@example.com"#, SENDER]).await;
    assert_eq!(uids(&probe), [1]);
    let latest = probe.latest.unwrap();
    assert_eq!(
        latest[0].content,
        Content::Whole(b"From: x\r\n\r\nwhole\r\n".to_vec())
    );
    assert_eq!(probe.messages, 5);
    server.finish().await;
}

/// What `rest` brings about, of a mailbox that could be watched all the same.
async fn trouble<F>(rest: impl FnOnce(Peer) -> F + Send + 'static) -> MailboxError
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = server(rest).await;
    let probe = probe(server.settings(bounds()), &[SENDER]).await;
    assert_eq!(probe.messages, 5);
    server.finish().await;
    probe.latest.unwrap_err()
}

#[tokio::test]
async fn a_refusal_in_the_middle_is_told_apart_from_a_mailbox_without_mail() {
    let found = "* SEARCH 5\r\n";
    let header = head(1, 5, 60, &format!("From: {SENDER}\r\n\r\n"));

    let error = trouble(async |mut peer: Peer| {
        let no = "TAG NO [CANNOT] no searching here\r\n";
        peer.expect("UID SEARCH").await.answer(no).await;
        peer.must_leave().await;
    });
    let error = error.await.to_string();
    assert!(error.contains("search for mail of a sender"), "{error}");
    assert!(error.contains("no searching here"), "{error}");

    let error = trouble(async |mut peer: Peer| {
        peer.expect("UID SEARCH").await.ok(found).await;
        peer.expect("UID FETCH")
            .await
            .answer("TAG BAD what\r\n")
            .await;
        peer.must_leave().await;
    });
    let error = error.await;
    assert!(matches!(error, MailboxError::Refused { .. }), "{error}");

    let first = header.clone();
    let error = trouble(async move |mut peer: Peer| {
        peer.expect("UID SEARCH").await.ok(found).await;
        peer.expect("UID FETCH").await.ok(&first).await;
        let mut asked = peer.expect("UID FETCH 5 (UID BODY.PEEK[])").await;
        asked.go_on("* 1 FETCH (UID 5 BODY[] {60}\r\nFrom: ").await;
    });
    let error = error.await;
    assert!(matches!(error, MailboxError::Closed { .. }), "{error}");

    let error = trouble(async move |mut peer: Peer| {
        peer.expect("UID SEARCH").await.ok(found).await;
        peer.expect("UID FETCH").await.ok(&header).await;
        peer.expect("UID FETCH").await;
        peer.fall_silent().await;
    });
    let error = error.await;
    assert!(matches!(error, MailboxError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_flood_of_borrowed_display_names_ends_the_looking_and_not_the_patience() {
    let server = ScriptedImap::start(async |mut peer: Peer| {
        peer.open("IDLE", 9_000).await;
        let again = "* 9000 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n";
        peer.expect("EXAMINE \"INBOX\"").await.ok(again).await;
        let all: Vec<String> = (1..=9_000).map(|uid| uid.to_string()).collect();
        let all = format!("* SEARCH {}\r\n", all.join(" "));
        peer.expect("UID SEARCH").await.ok(&all).await;
        let mut looked = 0;
        while let Some(line) = peer.line().await {
            let (tag, command) = line.split_once(' ').unwrap();
            let set = command.split(' ').nth(2).unwrap();
            let (first, last) = set.split_once(':').unwrap();
            let mut heads = String::new();
            for uid in first.parse().unwrap()..=last.parse::<u32>().unwrap() {
                let from = format!("From: \"{SENDER}\" <evil@x.example>\r\n\r\n");
                heads.push_str(&head(uid, uid, 60, &from));
                looked += 1;
            }
            peer.say(&format!("{heads}{tag} OK done\r\n")).await;
        }
        assert_eq!(looked, 1_500, "of 9000");
    })
    .await;
    let probe = probe(server.settings(bounds()), &[SENDER]).await;
    assert!(uids(&probe).is_empty());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_twenty_are_found_in_both_folders_and_stay_unseen() {
    let dovecot = Dovecot::start();
    let dated = |day: u32| format!("{day:2}-Oct-2026 09:00:00 +0800");
    for day in 1..=12 {
        dovecot.deliver_dated("ann", &dated(day), &Notice::default().eml());
    }
    dovecot.create("ann", "Archive");
    dovecot.move_all("ann", "INBOX", "Archive");
    let stranger = Notice {
        from: "\"einvoice@einvoice.nat.gov.tw\" <evil@x.example>",
        ..Notice::default()
    };
    for day in 13..=25 {
        dovecot.deliver_dated("ann", &dated(day), &Notice::default().eml());
        dovecot.deliver_dated("ann", &dated(day), &stranger.eml());
    }
    let settings = ImapSettings {
        name: "einvoice".to_owned(),
        host: "localhost".to_owned(),
        port: dovecot.imaps_port,
        tls: invoice_trackd::tls::TlsMode::Implicit,
        ca_file: Some(dovecot.ca_file()),
        username: "ann".to_owned(),
        credential: invoice_trackd::oauth::Credential::Password(dovecot::PASSWORD.into()),
        folder: "INBOX".to_owned(),
        after_import: Some(AfterImport::MoveTo("Archive".to_owned())),
        bounds: Bounds::default(),
    };
    let probe = probe(settings, &[SENDER]).await;
    let latest = probe.latest.unwrap();
    let days: Vec<String> = latest
        .iter()
        .map(|message| message.internal_date.unwrap().strftime("%d").to_string())
        .collect();
    let expected: Vec<String> = (6..=25).rev().map(|day| format!("{day:02}")).collect();
    assert_eq!(days, expected);
    for message in &latest {
        assert_eq!(message.content, Content::Whole(Notice::default().eml()));
    }
    for folder in ["INBOX", "Archive"] {
        let flags = dovecot.flags("ann", folder);
        assert!(flags.len() >= 12, "{flags:?}");
        let seen = flags.iter().any(|(_, flags)| flags.contains("\\Seen"));
        assert!(!seen, "{folder}: {flags:?}");
    }
}

#[tokio::test]
async fn the_newest_twenty_files_of_a_maildir_are_looked_at_and_one_that_cannot_be_read_stops_none()
{
    let root = tempfile::tempdir().unwrap();
    maildir(root.path());
    let newest = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_136_400);
    let put = |name: &str, mail: &[u8], age: u64| {
        let path = root.path().join(name);
        fs::write(&path, mail).unwrap();
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(newest - Duration::from_secs(age))
            .unwrap();
    };
    let stranger = Notice {
        from: "evil@x.example",
        ..Notice::default()
    };
    for age in 0..25 {
        // The names are in another order than the files' age.
        put(
            &format!("cur/{:02}.host:2,", 50 - age),
            &Notice::default().eml(),
            age,
        );
        put(&format!("new/{:02}.evil", 50 - age), &stranger.eml(), age);
    }
    // A directory opens like a file and cannot be read like one, whoever asks; it is put there once
    // the files have been listed.
    let second = root.path().join("cur/49.host:2,");
    let spoiling = |header: &[u8], size| {
        if second.is_file() {
            fs::remove_file(&second).unwrap();
            fs::create_dir(&second).unwrap();
        }
        gate(header, size)
    };
    let source = Source::Maildir(Maildir::new(
        "einvoice".to_owned(),
        root.path().to_owned(),
        Duration::from_secs(1),
        None,
    ));
    let probe = source.probe(&[], &spoiling).await.unwrap();
    let latest = probe.latest.unwrap();
    let files: Vec<&str> = latest
        .iter()
        .map(|message| match &message.origin {
            Origin::Maildir { file, .. } => file.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = (30..=50).rev().filter(|n| *n != 49);
    let expected: Vec<String> = expected.map(|n| format!("{n}.host")).collect();
    assert_eq!(files, expected);
    assert_eq!(probe.messages, 50);
}
