//! The mailbox room against a real Dovecot: what the scripted server cannot prove.

use std::{path::PathBuf, time::Duration};

use invoice_trackd::{
    mailbox::{
        Bounds, Content, Imap, ImapSettings, Known, Link, MailboxError, Origin, RawMessage, Source,
        UidSet, Want,
    },
    tls::TlsMode,
};
use jiff::civil::date;
use tokio::time::timeout;

use crate::support::{
    daemon::unwatched,
    dovecot::{Dovecot, PASSWORD},
};

/// For what takes a moment; on a machine busy with other tests, several.
const DEADLINE: Duration = Duration::from_secs(20);

fn settings(dovecot: &Dovecot, user: &str) -> ImapSettings {
    ImapSettings {
        name: "einvoice".to_owned(),
        host: "localhost".to_owned(),
        port: dovecot.imaps_port,
        tls: TlsMode::Implicit,
        ca_file: Some(dovecot.ca_file()),
        username: user.to_owned(),
        credential: PASSWORD.into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    }
}

async fn open(settings: ImapSettings) -> Result<Link, MailboxError> {
    Source::Imap(Imap::new(settings)).open(&unwatched()).await
}

fn mail(subject: &str) -> Vec<u8> {
    format!("From: a@example.com\r\nSubject: {subject}\r\n\r\nGood day.\r\n").into_bytes()
}

fn known(uids: impl IntoIterator<Item = u32>) -> Known {
    Known {
        uids: UidSet::from_iter(uids),
        ..Known::default()
    }
}

/// Everything that the survey finds missing, all of it whole.
async fn fetch(link: &mut Link, known: &Known) -> Vec<RawMessage> {
    let missing = link.survey(known).await.unwrap();
    let mut all = Vec::new();
    while let Some(batch) = link.next_batch(&|_, _| Want::Whole).await.unwrap() {
        all.extend(batch);
    }
    assert_eq!(all.len(), missing);
    all
}

fn uid(message: &RawMessage) -> u32 {
    match message.origin {
        Origin::Imap { uid, .. } => uid,
        _ => panic!("not from IMAP: {message:?}"),
    }
}

#[tokio::test]
async fn a_mailbox_is_read_over_tls_byte_for_byte_and_its_flags_stay() {
    let dovecot = Dovecot::start();
    let mut sent = Vec::new();
    for n in 0..120 {
        // Beyond one batch, and every fifth of a size that makes it a literal of many packets.
        let filler = if n % 5 == 0 {
            "x".repeat(70) + "\r\n"
        } else {
            String::new()
        };
        let mut message = mail(&format!("number {n}"));
        message.extend(filler.repeat(1000).bytes());
        dovecot.deliver("ann", "INBOX", &message);
        sent.push(message);
    }
    let before = dovecot.flags("ann", "INBOX");
    assert_eq!(before.len(), 120);
    assert!(
        before.iter().all(|(_, flags)| flags.contains("\\Recent")),
        "{before:?}"
    );

    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    let fetched = fetch(&mut link, &Known::default()).await;
    for (n, (message, sent)) in fetched.iter().zip(sent).enumerate() {
        assert_eq!(uid(message), n as u32 + 1);
        assert_eq!(message.size, sent.len() as u64);
        assert!(message.internal_date.is_some());
        assert!(
            message.content == Content::Whole(sent),
            "message {n} differs"
        );
    }
    assert_eq!(link.survey(&known(1..=120)).await.unwrap(), 0);
    assert_eq!(dovecot.flags("ann", "INBOX"), before);
}

#[tokio::test]
async fn a_suspect_comes_alone_and_after_the_whole_of_another_message() {
    let dovecot = Dovecot::start();
    for subject in ["one", "two"] {
        dovecot.deliver("ann", "INBOX", &mail(subject));
    }
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    let known = Known {
        suspects: vec![2],
        ..known([1])
    };
    assert_eq!(link.survey(&known).await.unwrap(), 1);
    // The header says all, so that nothing but the other message is fetched whole.
    let gate = |_: &[u8], _| Want::Nothing;
    assert_eq!(link.next_batch(&gate).await.unwrap(), None);
    let batch = link.next_suspect(&gate).await.unwrap().unwrap();
    assert_eq!(batch.iter().map(uid).collect::<Vec<_>>(), [2]);
    let trouble = link.trouble();
    assert!(trouble.uids.is_empty() && trouble.another_came);
    assert_eq!(link.next_suspect(&gate).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_whose_certificate_another_ca_signed_is_refused() {
    let dovecot = Dovecot::start();
    let mut wrong = settings(&dovecot, "ann");
    wrong.ca_file = Some(dovecot.other_ca_file());
    let error = open(wrong).await.unwrap_err();
    assert!(matches!(error, MailboxError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");

    let mut missing = settings(&dovecot, "ann");
    missing.ca_file = Some(PathBuf::from("/nonexistent/ca.pem"));
    let error = open(missing).await.unwrap_err();
    assert!(matches!(error, MailboxError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let dovecot = Dovecot::start();
    let mut other = settings(&dovecot, "ann");
    other.host = "127.0.0.2".to_owned();
    let error = open(other).await.unwrap_err();
    assert!(
        error.to_string().contains("certificate not valid for name"),
        "{error}"
    );
}

#[tokio::test]
async fn starttls_protects_login_and_mail() {
    let dovecot = Dovecot::start();
    dovecot.deliver("ann", "INBOX", &mail("hello"));
    let starttls = || ImapSettings {
        port: dovecot.imap_port,
        tls: TlsMode::StartTls,
        ..settings(&dovecot, "ann")
    };
    let mut link = open(starttls()).await.unwrap();
    assert_eq!(fetch(&mut link, &Known::default()).await.len(), 1);

    let mut wrong = starttls();
    wrong.ca_file = Some(dovecot.other_ca_file());
    let error = open(wrong).await.unwrap_err();
    assert!(
        error.to_string().starts_with("start TLS with localhost:"),
        "{error}"
    );
    let log = dovecot.log();
    assert_eq!(log.matches("Login: user=<ann>").count(), 1, "{log}");
    assert!(log.contains(", TLS, session="), "{log}");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_folder_are_told_apart() {
    let dovecot = Dovecot::start();
    let mut wrong = settings(&dovecot, "ann");
    wrong.credential = "guess".into();
    let error = open(wrong).await.unwrap_err();
    assert!(
        matches!(&error, MailboxError::Login { answer, .. } if answer.contains("AUTHENTICATIONFAILED")),
        "{error:?}"
    );

    let mut elsewhere = settings(&dovecot, "ann");
    elsewhere.folder = "配號通知".to_owned();
    let error = open(elsewhere).await.unwrap_err();
    assert!(matches!(error, MailboxError::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with("open the folder 配號通知: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_may_be_named_in_any_script() {
    let dovecot = Dovecot::start();
    for folder in ["配號通知", "Q&A \"2026\"", "back\\slash 😀"] {
        dovecot.deliver("ann", folder, &mail("here"));
        let there = ImapSettings {
            folder: folder.to_owned(),
            ..settings(&dovecot, "ann")
        };
        let mut link = open(there).await.unwrap();
        assert_eq!(
            fetch(&mut link, &Known::default()).await.len(),
            1,
            "{folder}"
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_found_around_holes_and_behind_our_back() {
    let dovecot = Dovecot::start();
    for n in 1..=6 {
        dovecot.deliver("ann", "INBOX", &mail(&n.to_string()));
    }
    dovecot.expunge("ann", "INBOX", 2);
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    // 5 is a hole below UIDs that are known: a cursor would have jumped over it.
    let fetched = fetch(&mut link, &known([1, 4, 6])).await;
    assert_eq!(fetched.iter().map(uid).collect::<Vec<_>>(), [3, 5]);

    // One goes between survey and fetch: the batch is no `None`, and nothing is made up.
    assert_eq!(link.survey(&known([1, 3, 4, 6])).await.unwrap(), 1);
    dovecot.expunge("ann", "INBOX", 5);
    let batch = link.next_batch(&|_, _| Want::Whole).await.unwrap();
    assert_eq!(batch, Some(Vec::new()));
    assert_eq!(link.next_batch(&|_, _| Want::Whole).await.unwrap(), None);
    assert_eq!(link.survey(&known([1, 3, 4, 6])).await.unwrap(), 0);
}

#[tokio::test]
async fn idle_wakes_when_mail_arrives() {
    let dovecot = Dovecot::start();
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 0);
    let waited = async {
        timeout(DEADLINE, link.wait(Duration::MAX))
            .await
            .expect("IDLE did not wake")
            .unwrap();
        fetch(&mut link, &Known::default()).await
    };
    let delivered = async {
        // The other half of the join has run until it waits for the network.
        tokio::task::spawn_blocking({
            let message = mail("wake up");
            move || {
                dovecot.deliver("ann", "INBOX", &message);
                dovecot
            }
        })
        .await
        .unwrap()
    };
    let (fetched, _dovecot) = tokio::join!(waited, delivered);
    assert_eq!(fetched.len(), 1);
}

#[tokio::test]
async fn mail_that_arrives_between_survey_and_wait_is_not_waited_for() {
    let dovecot = Dovecot::start();
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    for n in 1..=3 {
        fetch(&mut link, &known(1..n)).await;
        dovecot.deliver("ann", "INBOX", &mail("just now"));
        timeout(DEADLINE, link.wait(Duration::MAX))
            .await
            .expect("the wait went on")
            .unwrap();
    }
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 3);
}

#[tokio::test]
async fn a_new_uidvalidity_is_seen_when_the_folder_is_opened_again() {
    let dovecot = Dovecot::start();
    dovecot.deliver("ann", "INBOX", &mail("hello"));
    let link = open(settings(&dovecot, "ann")).await.unwrap();
    let first = link.uidvalidity().unwrap();
    drop(link);
    dovecot.set_uidvalidity("ann", "INBOX", first + 77);
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    assert_eq!(link.uidvalidity(), Some(first + 77));
    let fetched = fetch(&mut link, &Known::default()).await;
    assert!(
        matches!(&fetched[0].origin, Origin::Imap { uidvalidity, .. } if *uidvalidity == first + 77)
    );
}

#[tokio::test]
async fn mail_from_before_a_day_is_told_apart() {
    let dovecot = Dovecot::start();
    for day in ["30-Dec-2025", "02-Jan-2026", "15-Jun-2025", "01-Mar-2026"] {
        let noon = format!("{day} 12:00:00 +0000");
        dovecot.deliver_dated("ann", &noon, &mail(day));
    }
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    let older = link.older_than(date(2026, 1, 1)).await.unwrap();
    assert_eq!(older, UidSet::from_iter([1, 3]));
    let none = link.older_than(date(2020, 1, 1)).await.unwrap();
    assert!(none.is_empty());
    let known = Known {
        uids: older,
        ..Known::default()
    };
    let fetched = fetch(&mut link, &known).await;
    assert_eq!(fetched.iter().map(uid).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(
        fetched[0]
            .internal_date
            .unwrap()
            .strftime("%Y-%m-%d")
            .to_string(),
        "2026-01-02"
    );
}

#[tokio::test]
async fn the_gate_sees_size_and_header_and_decides_what_is_downloaded() {
    let dovecot = Dovecot::start();
    let mut large = mail("large");
    large.resize(3 << 20, b'x');
    let mut endless = b"From: a@example.com\r\nX-Endless: ".to_vec();
    endless.resize(100 << 10, b'y');
    for message in [&mail("small"), &large, &mail("other"), &endless] {
        dovecot.deliver("ann", "INBOX", message);
    }
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 4);
    let gate = |header: &[u8], size: u64| {
        let header = String::from_utf8_lossy(header);
        assert!(
            header.contains("a@example.com") && !header.contains("Good day"),
            "{header}"
        );
        match size {
            ..=50 if header.contains("other") => Want::Nothing,
            ..=60_000 => Want::Whole,
            _ => Want::TooLarge,
        }
    };
    let batch = link.next_batch(&gate).await.unwrap().unwrap();
    assert_eq!(batch.iter().map(uid).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(matches!(&batch[0].content, Content::Whole(body) if *body == mail("small")));
    // Dovecot counts and sends its own line ends.
    assert!(batch[1].size >= 3 << 20);
    assert!(
        matches!(&batch[1].content, Content::Oversized(header) if header.ends_with(b"large\r\n\r\n"))
    );
    assert_eq!(batch[2].content, Content::Unwanted);
    assert!(matches!(&batch[3].content, Content::Oversized(header) if header.len() == 64 << 10));
    let downloaded: u64 = dovecot_sent(&dovecot, link).await;
    assert!(
        downloaded < 200_000,
        "{downloaded} bytes for what was not wanted"
    );
}

/// How many bytes Dovecot says it has sent to the user whose link is closed here.
async fn dovecot_sent(dovecot: &Dovecot, link: Link) -> u64 {
    drop(link);
    timeout(DEADLINE, async {
        loop {
            let log = dovecot.log();
            let sent = log.lines().rev().find_map(|line| {
                let (_, out) = line.split_once(" out=")?;
                out.split(' ').next()?.parse().ok()
            });
            match sent {
                Some(sent) => return sent,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
    .expect("Dovecot did not log the end of the session")
}

#[tokio::test]
async fn a_cut_connection_is_an_error_and_opening_again_works() {
    let mut dovecot = Dovecot::start();
    dovecot.deliver("ann", "INBOX", &mail("hello"));
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    fetch(&mut link, &Known::default()).await;
    dovecot.kick("ann");
    timeout(DEADLINE, link.wait(Duration::MAX))
        .await
        .expect("the cut was not seen")
        .unwrap_err();
    link.survey(&Known::default()).await.unwrap_err();

    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    fetch(&mut link, &Known::default()).await;
    dovecot.stop();
    timeout(DEADLINE, link.wait(Duration::MAX))
        .await
        .expect("the stop was not seen")
        .unwrap_err();
    let error = open(settings(&dovecot, "ann")).await.unwrap_err();
    assert!(matches!(error, MailboxError::Io { .. }), "{error:?}");

    dovecot.restart();
    let mut link = open(settings(&dovecot, "ann")).await.unwrap();
    assert_eq!(fetch(&mut link, &Known::default()).await.len(), 1);
}

#[tokio::test]
async fn several_mailboxes_do_not_disturb_each_other() {
    let dovecot = Dovecot::start();
    let mut ann = open(settings(&dovecot, "ann")).await.unwrap();
    let mut bob = open(settings(&dovecot, "bob")).await.unwrap();
    ann.survey(&Known::default()).await.unwrap();
    bob.survey(&Known::default()).await.unwrap();
    dovecot.deliver("bob", "INBOX", &mail("for bob"));
    timeout(DEADLINE, bob.wait(Duration::MAX))
        .await
        .expect("bob was not told")
        .unwrap();
    assert_eq!(fetch(&mut bob, &Known::default()).await.len(), 1);
    assert_eq!(fetch(&mut ann, &Known::default()).await.len(), 0);
}
