//! What is due for each company: looked at against the ledger, and told where it must be.
//!
//! Left out on purpose: the rules, which are `schedule`'s, and the words. Guarantee: that people are
//! told, and that they were, is written down in one transaction.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::{
    clock::{taipei_date, taipei_time},
    http::Vitals,
    ledger::{
        Alarms, Arrived, Cause, Come, Ledger, LedgerError, LinkState, Missing, Overdue, Reminded,
        Reminder, Transaction, Watched,
    },
    notice::{Ban, Companies, Company, Period},
    schedule::{self, Awaited, Booklets, Call, Stage, State, Terms},
};

/// A clock that has shown the same time for so long is believed over one that was far ahead.
const STEADY: SignedDuration = SignedDuration::from_hours(24);

/// Whose numbers are awaited, and when.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// The configured companies.
    pub companies: Companies,
    /// The days of those that have none of their own.
    pub days: schedule::Settings,
}

/// Looks after what is due.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// Since when people have been told, by this clock, of what is still too far.
    too_far_since: Option<Timestamp>,
}

/// What is said beside it.
struct Facts<'a> {
    booklets: &'a HashMap<Ban, Booklets>,
    mailboxes: Vec<Watched>,
    quarantined: HashMap<Option<Ban>, Vec<i64>>,
    waiting: u64,
}

/// What there is to be told and written down.
#[derive(Debug, Default)]
struct Tidings<'a> {
    calls: Vec<(&'a Company, Call)>,
    come: Vec<(&'a Company, Awaited, Timestamp)>,
    /// How many companies lack numbers that they should have.
    overdue: u64,
}

impl Tidings<'_> {
    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.come.is_empty()
    }
}

impl Dues {
    /// One look; returns how many companies lack numbers that they should have, and whether there
    /// is something to send.
    pub(super) async fn look(
        &mut self,
        ledger: &Ledger,
        expected: &Expectations,
        vitals: &Vitals,
        now: Timestamp,
    ) -> Result<(u64, bool), LedgerError> {
        let today = taipei_date(now);
        let running = Period::containing(today);
        // A ledger that a clock that was ahead created is watched from today on.
        let since = taipei_date(ledger.created_at()).min(today);
        let alarms = ledger.alarms(running).await?;
        let booklets = ledger.booklets(first_of_interest(&alarms, running)).await?;
        self.forget_what_is_too_far(ledger, &alarms, now).await?;
        let tidings = reckon(expected, since, &alarms, &booklets, now);
        let overdue = tidings.overdue;
        if tidings.is_empty() {
            return Ok((overdue, false));
        }
        let mailboxes = watched(ledger, vitals).await?;
        let waiting = ledger.waiting().await?.map_or(0, |waiting| waiting.mails);
        // Once more where nobody else writes: a notice may have come meanwhile.
        let mut transaction = ledger.begin().await?;
        let alarms = transaction.alarms(running).await?;
        let first = first_of_interest(&alarms, running);
        let booklets = transaction.booklets(first).await?;
        let tidings = reckon(expected, since, &alarms, &booklets, now);
        let facts = Facts {
            booklets: &booklets,
            mailboxes,
            quarantined: transaction.quarantined_by_company().await?,
            waiting,
        };
        tell(&mut transaction, &tidings, &facts, now).await?;
        transaction.commit().await?;
        log(&tidings);
        Ok((tidings.overdue, true))
    }

    /// What a clock that was far ahead told is told again in its own time, once a clock has shown
    /// for a day that it was. One that is wrong for less must not have people told twice.
    async fn forget_what_is_too_far(
        &mut self,
        ledger: &Ledger,
        alarms: &Alarms,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let today = taipei_date(now);
        let too_far: Vec<(Ban, Awaited)> = alarms
            .iter()
            .flat_map(|(ban, alarms)| alarms.keys().map(|awaited| (*ban, *awaited)))
            .filter(|(_, awaited)| awaited.is_too_far(today))
            .collect();
        if too_far.is_empty() {
            self.too_far_since = None;
            return Ok(());
        }
        let since = *self.too_far_since.get_or_insert(now);
        if now.duration_since(since) < STEADY {
            return Ok(());
        }
        let mut transaction = ledger.begin().await?;
        for (ban, awaited) in &too_far {
            transaction.forget_told(*ban, *awaited).await?;
        }
        transaction.commit().await?;
        self.too_far_since = None;
        warn!(
            companies = too_far.len(),
            "what a clock that was far ahead said is due will be told again in its time"
        );
        Ok(())
    }
}

/// The first period whose booklets matter.
fn first_of_interest(alarms: &Alarms, running: Period) -> Period {
    let open = alarms.values().flat_map(BTreeMap::iter);
    let open = open.filter(|(_, alarm)| alarm.came_at.is_none());
    open.map(|(awaited, _)| awaited.first())
        .chain([running.previous()])
        .min()
        .unwrap_or(running)
}

fn reckon<'a>(
    expected: &'a Expectations,
    since: jiff::civil::Date,
    alarms: &Alarms,
    booklets: &HashMap<Ban, Booklets>,
    now: Timestamp,
) -> Tidings<'a> {
    let (today, none, never) = (taipei_date(now), Booklets::new(), BTreeMap::new());
    let mut tidings = Tidings::default();
    for company in expected.companies.iter() {
        let recorded = booklets.get(&company.ban).unwrap_or(&none);
        let alarms = alarms.get(&company.ban).unwrap_or(&never);
        let terms = Terms::of(company, expected.days, since);
        let told = alarms
            .iter()
            .map(|(awaited, alarm)| (*awaited, alarm.stage));
        let calls = terms.calls(recorded, &told.collect(), taipei_time(now));
        tidings
            .calls
            .extend(calls.into_iter().map(|call| (company, call)));
        let open = alarms
            .iter()
            .filter(|(_, alarm)| alarm.stage > Stage::Reminder && alarm.came_at.is_none());
        let come = open.filter(|(awaited, _)| awaited.has_come(recorded, today));
        tidings
            .come
            .extend(come.map(|(awaited, alarm)| (company, *awaited, alarm.told_at)));
        let outlook = terms.outlook(recorded, today);
        tidings.overdue += u64::from(outlook.iter().any(|due| due.state == State::Overdue));
    }
    tidings
}

/// The watched mailboxes as the ledger last saw them.
async fn watched(ledger: &Ledger, vitals: &Vitals) -> Result<Vec<Watched>, LedgerError> {
    let rows = ledger.mailboxes().await?;
    let watched = rows
        .into_iter()
        .filter(|row| vitals.mailboxes.contains_key(&row.name));
    Ok(watched
        .map(|row| Watched {
            name: row.name,
            last_ok_at: row.last_ok_at,
            trouble: match row.state {
                LinkState::Up => None,
                LinkState::Down(words) => Some(words),
            },
        })
        .collect())
}

/// Writes down what is told, each audience's by itself, and that it is.
async fn tell(
    transaction: &mut Transaction,
    tidings: &Tidings<'_>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let today = taipei_date(now);
    let none = Booklets::new();
    let of = |company: &Company| facts.booklets.get(&company.ban).unwrap_or(&none);
    let waits = |ban| facts.quarantined.get(&ban).cloned().unwrap_or_default();
    let mut reminders = BTreeMap::<Vec<String>, Reminder>::new();
    let mut overdue = BTreeMap::<Vec<String>, Overdue>::new();
    let mut arrived = BTreeMap::<Vec<String>, Arrived>::new();
    for (company, call) in &tidings.calls {
        let to = audience(company);
        transaction
            .set_told(company.ban, call.awaited, call.stage, now)
            .await?;
        if call.stage == Stage::Reminder {
            let next = call.awaited.first();
            let count = |period| of(company).get(&period).copied().unwrap_or_default();
            let reminder = reminders.entry(to.clone()).or_insert_with(|| Reminder {
                to,
                year_month: next.year_month(),
                until: schedule::last_day_to_change(next),
                companies: Vec::new(),
            });
            reminder.companies.push(Reminded {
                ban: company.ban.to_string(),
                name: company.name.clone(),
                booklets: count(next.previous()),
                booklets_before: count(next.previous().previous()),
            });
        } else {
            let letter = overdue.entry(to.clone()).or_insert_with(|| Overdue {
                to,
                companies: Vec::new(),
                mailboxes: facts.mailboxes.clone(),
                nobodys: waits(None).len() as u64,
                waiting: facts.waiting,
            });
            letter.companies.push(Missing {
                ban: company.ban.to_string(),
                name: company.name.clone(),
                stage: call.stage.as_str().to_owned(),
                awaited: call.awaited.to_string(),
                year_months: call.missing.iter().map(|one| one.year_month()).collect(),
                due_by: call.due_by,
                quarantined: waits(Some(company.ban)),
            });
        }
    }
    for (company, awaited, told_at) in &tidings.come {
        let to = audience(company);
        transaction.set_come(company.ban, *awaited, now).await?;
        let letter = arrived.entry(to.clone()).or_insert_with(|| Arrived {
            to,
            companies: Vec::new(),
        });
        letter.companies.push(Come {
            ban: company.ban.to_string(),
            name: company.name.clone(),
            awaited: awaited.to_string(),
            booklets: awaited.booklets(of(company)),
            told_at: *told_at,
        });
    }
    let causes = reminders.into_values().map(Cause::NoticeReminder);
    let causes = causes.chain(overdue.into_values().map(Cause::NoticeOverdue));
    for cause in causes.chain(arrived.into_values().map(Cause::NoticeArrived)) {
        let key = format!("{}:{today}:{}", cause.theme(), digest(&cause));
        transaction.tell(&key, &cause, now).await?;
    }
    Ok(())
}

/// Who is told of what is due for `company`; empty: those who get all alerts.
fn audience(company: &Company) -> Vec<String> {
    company.alert_to.iter().map(ToString::to_string).collect()
}

/// What tells one piece of news of a day from another: whose it is, and at which stage.
fn digest(cause: &Cause) -> String {
    let mut hash = Sha256::new();
    let mut add = |words: &[&str]| {
        words.iter().for_each(|word| {
            hash.update(word);
            hash.update("\n");
        })
    };
    match cause {
        Cause::NoticeReminder(Reminder {
            to,
            companies,
            year_month,
            ..
        }) => {
            add(&[&to.join(","), year_month]);
            companies.iter().for_each(|company| add(&[&company.ban]));
        }
        Cause::NoticeOverdue(Overdue { to, companies, .. }) => {
            add(&[&to.join(",")]);
            companies
                .iter()
                .for_each(|one| add(&[&one.ban, &one.awaited, &one.stage]));
        }
        Cause::NoticeArrived(Arrived { to, companies }) => {
            add(&[&to.join(",")]);
            companies
                .iter()
                .for_each(|one| add(&[&one.ban, &one.awaited]));
        }
        _ => {}
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.chars().take(32).collect()
}

fn log(tidings: &Tidings<'_>) {
    let count = |which: &dyn Fn(Stage) -> bool| {
        let calls = tidings.calls.iter();
        calls.filter(|(_, call)| which(call.stage)).count()
    };
    let (reminded, overdue) = (
        count(&|stage| stage == Stage::Reminder),
        count(&|stage| stage > Stage::Reminder),
    );
    if overdue > 0 {
        warn!(companies = overdue, "notices that were due have not come");
    }
    if reminded > 0 {
        info!(
            companies = reminded,
            "people reminded of the next period's booklets"
        );
    }
    if !tidings.come.is_empty() {
        info!(companies = tidings.come.len(), "overdue numbers have come");
    }
}

/// Shared with whoever changes what is expected.
pub(super) type Current = tokio::sync::watch::Receiver<Arc<Expectations>>;
