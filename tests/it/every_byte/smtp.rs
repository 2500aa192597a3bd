//! One letter on its way to two people, cut off and muted behind each byte of the session with the
//! mail server. It arrives, and only where nobody could know whether it had, it arrives twice.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use invoice_trackd::{
    delivery::{Dispatcher, Pass, Patience, SmtpSettings, Transport},
    ledger::{Ledger, Letter},
    tls::TlsMode,
};
use jiff::SignedDuration;

use super::{Strike, all, ledger, moments};
use crate::support::{
    chaos_proxy::{ChaosProxy, Fault},
    exim::{self, Exim},
    outbox::{confirmation, post, start, state_of_the_outbox, style},
    scripted_smtp::ScriptedSmtp,
};

const PEOPLE: [&str; 2] = ["a@example.com", "b@example.com"];

/// No answer takes so long, on a machine however busy.
const LONG: Duration = Duration::from_secs(60);

/// Soon enough for a test. Only what is disturbed is in such a hurry; where a busy machine is taken
/// for a silent server all the same, the letter is tried once more.
const SHORT: Duration = Duration::from_secs(3);

/// Where in a session a letter may be taken by the server and not be known to be.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// So many bytes have gone both ways once the final dot is complete.
    dot: u64,
    /// And so many once its 250 is.
    accepted: u64,
    /// All of the session.
    end: u64,
}

fn letter(name: &str) -> Letter {
    confirmation(name, &PEOPLE)
}

/// A server on this machine without TLS.
fn plain(port: u16, command: Duration) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: TlsMode::None,
        ca_file: None,
        login: None,
        command,
    }
}

fn dispatcher(ledger: &Ledger, settings: SmtpSettings) -> Dispatcher {
    Dispatcher {
        ledger: ledger.clone(),
        patience: Patience {
            attempt: settings.command,
            ..Patience::default()
        },
        transport: Transport::Smtp(settings),
        style: style(),
    }
}

/// A letter's way to being sent.
struct Way {
    /// The attempts that failed.
    failures: usize,
    /// Whether one of them failed where the server may have taken the letter.
    in_doubt: bool,
}

/// Attempts the one letter there is until it is sent, once with nothing left to do. Until the line
/// was disturbed there is as much patience as `settings` have, and more after that.
async fn deliver(
    ledger: &Ledger,
    proxy: &ChaosProxy,
    settings: impl Fn(Duration) -> SmtpSettings,
    command: Duration,
) -> Way {
    let mut way = Way {
        failures: 0,
        in_doubt: false,
    };
    let mut now = start();
    loop {
        let patience = if proxy.has_struck() { LONG } else { command };
        let pass = dispatcher(ledger, settings(patience)).run_once(now).await;
        let Some(next) = pass.unwrap().next else {
            break;
        };
        let put_off = ledger.put_off(None).await.unwrap().unwrap();
        let words = put_off.answer;
        assert_eq!(put_off.letters, 1);
        way.failures += 1;
        way.in_doubt |= words.starts_with("the final dot");
        assert!(way.failures < 10, "it never goes out: {words}");
        now = next + SignedDuration::from_secs(1);
    }
    assert_eq!(state_of_the_outbox(ledger).await, "1 sent");
    let later = now + SignedDuration::from_hours(100);
    let idle = dispatcher(ledger, settings(LONG)).run_once(later).await;
    assert_eq!(idle.unwrap(), Pass::default());
    way
}

/// What an undisturbed session is like.
async fn undisturbed() -> Doubt {
    let (ledger, _home) = ledger(start()).await;
    let server = ScriptedSmtp::start(&[]).await;
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let proxy = ChaosProxy::start(address, None).await;
    let settings = |command| plain(proxy.address.port(), command);
    post(&ledger, &letter("one")).await;
    assert_eq!(deliver(&ledger, &proxy, settings, LONG).await.failures, 0);
    ledger.close().await;
    let goodbye = "QUIT\r\n221 2.0.0 bye\r\n".len() as u64;
    let thanks = "250 2.0.0 OK\r\n".len() as u64;
    let end = proxy.passed();
    Doubt {
        dot: end - goodbye - thanks,
        accepted: end - goodbye,
        end,
    }
}

/// How often a server got a letter that was disturbed once, and what that took.
async fn copies(fault: Fault, command: Duration) -> (usize, Way) {
    let (ledger, _home) = ledger(start()).await;
    let server = ScriptedSmtp::start(&[]).await;
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let proxy = ChaosProxy::start(address, Some(fault)).await;
    let letter = letter("one");
    post(&ledger, &letter).await;
    let settings = |command| plain(proxy.address.port(), command);
    let way = deliver(&ledger, &proxy, settings, command).await;
    ledger.close().await;

    let messages = server.messages();
    let text = String::from_utf8(letter.eml).unwrap();
    for message in &messages {
        assert_eq!(*message, text, "{fault:?}");
    }
    // Both at once, each time.
    let recipients = server.commands();
    let recipients = recipients.iter().filter(|line| line.starts_with("RCPT"));
    assert!(recipients.count() >= 2 * messages.len(), "{fault:?}");
    (messages.len(), way)
}

async fn every_moment(strike: Strike, command: Duration, at_once: usize) {
    let doubt = undisturbed().await;
    let attempts = (0..=doubt.end + 1).map(|after| async move {
        let (copies, way) = copies(strike(after), command).await;
        // Once it is known to be taken, nothing can fail any more.
        let expected = usize::from(after < doubt.accepted);
        assert!(way.failures >= expected, "{after} of {doubt:?}");
        // More failures than that are those of a busy machine.
        if way.failures == expected {
            let in_doubt = doubt.dot <= after && after < doubt.accepted;
            assert_eq!(copies, if in_doubt { 2 } else { 1 }, "{after} of {doubt:?}");
        } else {
            assert!(
                (1..=1 + way.failures).contains(&copies),
                "{after} of {doubt:?}"
            );
        }
    });
    all(attempts, at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_cut_off_behind_any_byte_arrives_and_twice_only_in_doubt() {
    every_moment(Fault::Close, LONG, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_met_by_silence_behind_any_byte_arrives_and_twice_only_in_doubt() {
    every_moment(Fault::Mute, SHORT, 120).await;
}

fn starttls(exim: &Exim, port: u16, command: Duration) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port,
        tls: TlsMode::StartTls,
        ca_file: Some(exim.ca_file()),
        login: Some((exim::USERNAME.to_owned(), exim::PASSWORD.into())),
        command,
    }
}

/// Sends a letter of that name over a line that is disturbed once. Returns what that took, and how
/// many bytes.
async fn sends(exim: &Exim, name: &str, fault: Fault, command: Duration) -> (Way, u64) {
    let (ledger, _home) = ledger(start()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], exim.port()));
    let proxy = ChaosProxy::start(address, Some(fault)).await;
    post(&ledger, &letter(name)).await;
    let settings = |command| starttls(exim, proxy.address.port(), command);
    let way = deliver(&ledger, &proxy, settings, command).await;
    ledger.close().await;
    (way, proxy.passed())
}

async fn over_tls(strike: Strike, command: Duration, at_once: usize, stride: usize) {
    let exim = Arc::new(Exim::start());
    // As a fault that never strikes.
    let (_, length) = sends(&exim, "undisturbed", Fault::Close(u64::MAX), LONG).await;
    let in_doubt: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let mut names = Vec::new();
    let attempts = moments(length, stride).map(|after| {
        let (exim, in_doubt) = (Arc::clone(&exim), Arc::clone(&in_doubt));
        let name = format!("letter-{after}");
        names.push(name.clone());
        async move {
            let (way, _) = sends(&exim, &name, strike(after), command).await;
            if way.in_doubt {
                in_doubt.lock().unwrap().push(name);
            }
        }
    });
    all(attempts.collect::<Vec<_>>(), at_once).await;

    let in_doubt = in_doubt.lock().unwrap().clone();
    for name in &names {
        let letter = letter(name);
        // Exim moves the Message-ID.
        let text = String::from_utf8(letter.eml).unwrap().replace("\r\n", "\n");
        let (_, text) = text.split_once('\n').unwrap();
        for person in PEOPLE {
            let to = format!("Envelope-to: {person}\n");
            let got = arrived(&exim, |mail| {
                mail.contains(&to) && mail.contains(&letter.message_id) && mail.ends_with(text)
            });
            let most = if in_doubt.contains(name) { 2 } else { 1 };
            let got = got.await;
            assert!((1..=most).contains(&got), "{name}: {person} got {got}");
        }
    }
    // What is none of these is the undisturbed one.
    let mails = exim.delivered().len();
    assert!(
        mails <= (names.len() + in_doubt.len() + 1) * PEOPLE.len(),
        "{mails}"
    );
}

/// How many such mails have arrived, once there is one.
async fn arrived(exim: &Exim, is_such: impl Fn(&str) -> bool) -> usize {
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        let mails = exim.delivered();
        let such = mails.iter().filter(|mail| is_such(mail)).count();
        if such > 0 || tokio::time::Instant::now() > deadline {
            return such;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_over_starttls_gets_every_letter_that_was_cut_off() {
    over_tls(Fault::Close, LONG, 4, 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_over_starttls_gets_every_letter_that_met_silence() {
    over_tls(Fault::Mute, 2 * SHORT, 10, 89).await;
}
