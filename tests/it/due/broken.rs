//! What a letter says of mailboxes must be what the daemon knows now, not what the ledger was told
//! by the daemon before: the first look comes at the moment of the first scan, and the row is
//! written after that.

use invoice_trackd::ledger::LinkState;

use super::*;

/// The mailboxes of the only alarm.
async fn mailboxes(office: &Office) -> Vec<(String, Option<Timestamp>)> {
    let causes = office.causes().await;
    let [Cause::NoticeOverdue(overdue)] = &causes[..] else {
        panic!("expected one alarm, found {causes:?}");
    };
    let watched = overdue.mailboxes.iter();
    watched
        .map(|one| (one.name.clone(), one.last_ok_at))
        .collect()
}

#[tokio::test]
async fn a_mailbox_that_has_just_been_scanned_is_heard_although_the_ledger_does_not_say_so_yet() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    let up = LinkState::Up;
    let yesterday = at("2026-12-25T10:00");
    office
        .ledger
        .saw_mailbox("einvoice", &up, yesterday)
        .await
        .unwrap();
    let now = at("2026-12-26T10:00");
    office.look(now).await;
    assert_eq!(
        mailboxes(&office).await,
        [("einvoice".to_owned(), Some(now))]
    );
}

#[tokio::test]
async fn a_mailbox_that_the_ledger_does_not_know_yet_is_watched_all_the_same() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    let now = at("2026-12-26T10:00");
    office.look(now).await;
    assert_eq!(
        mailboxes(&office).await,
        [("einvoice".to_owned(), Some(now))]
    );
}

#[tokio::test]
async fn a_daemon_that_is_restarted_every_night_tells_of_what_a_clock_ahead_told_too_early() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    // It is the 16th, and the clock says New Year.
    office.look_at("2027-01-01T09:05").await;
    for day in 16..=31 {
        for hour in ["09:00", "18:00"] {
            let now = format!("2026-12-{day}T{hour}");
            office.look_at(&now).await;
            office = office.restart(at(&now)).await;
        }
    }
    office.look_at("2027-01-01T09:10").await;
    let told = office.told().await;
    assert!(told.len() > 1, "nothing but the false alarm: {told:?}");
}
