//! What is due for each company: looked at against the ledger, and told where it must be.
//!
//! Left out on purpose: the rules, which are `schedule`'s, and the words. Guarantees: that people
//! are told, and that they were, is written down in one transaction; what a clock that was ahead
//! has told too early is told again in its time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp, civil::Date};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::{
    clock::{taipei_date, taipei_time},
    http::Vitals,
    ledger::{
        Alarm, Alarms, Arrived, Cause, Come, Ledger, LedgerError, LinkState, Missing, Overdue,
        Pending, Reminded, Reminder, Transaction, Watched,
    },
    notice::{Ban, Companies, Company, Period},
    schedule::{self, Awaited, Booklets, Call, Progress, Stage, State, Terms},
};

/// A clock that has gone on without a jump for longer than this is believed over one that was
/// ahead. One that was set back by a day at most thus makes nobody hear anything twice.
const STEADY: SignedDuration = SignedDuration::from_hours(24);

/// From one look to the next it is a minute; where it is longer, or less than nothing, the clock
/// was set or the machine slept.
const JUMP: SignedDuration = SignedDuration::from_mins(15);

/// Whose numbers are awaited, and when.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// The configured companies.
    pub companies: Companies,
    /// The days of those that have none of their own.
    pub days: schedule::Settings,
}

/// Shared with whoever changes what is expected.
pub(super) type Current = tokio::sync::watch::Receiver<Arc<Expectations>>;

/// Looks after what is due.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// From when to when the clock has gone on while something was told that lay ahead of it.
    steady: Option<(Timestamp, Timestamp)>,
}

/// What one look has found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// How many companies lack numbers that they should have.
    pub(super) overdue: u64,
    /// Whether there is something to send.
    pub(super) has_told: bool,
}

/// What there is to be told and written down, in the order of the configuration.
#[derive(Debug, Default)]
struct Tidings<'a> {
    reminders: Vec<(&'a Company, Call)>,
    alarms: Vec<(&'a Company, Call)>,
    /// What has come, and what people were told of it.
    come: Vec<(&'a Company, (Awaited, &'a Alarm))>,
    /// What has come in part, and the rest.
    rest: Vec<(&'a Company, (Awaited, Vec<Period>))>,
    /// How many companies lack numbers that they should have.
    overdue: u64,
}

/// What is said beside an alarm: where the notices may be stuck.
struct Facts {
    mailboxes: Vec<Watched>,
    waiting: u64,
    quarantined: HashMap<Option<Ban>, Vec<i64>>,
}

impl Dues {
    /// One look. Numbers may come meanwhile, so all of it is one transaction.
    pub(super) async fn look(
        &mut self,
        ledger: &Ledger,
        expected: &Expectations,
        vitals: &Vitals,
        now: Timestamp,
    ) -> Result<Look, LedgerError> {
        let mailboxes = watched(ledger, vitals).await?;
        let waiting = ledger.waiting().await?.map_or(0, |waiting| waiting.mails);
        let running = Period::containing(taipei_date(now));
        let mut transaction = ledger.begin().await?;
        let mut alarms = transaction.alarms(running).await?;
        let premature = self.premature(&alarms, now);
        for (ban, awaited) in &premature {
            transaction.forget_told(*ban, *awaited).await?;
            alarms.get_mut(ban).map(|alarms| alarms.remove(awaited));
        }
        let booklets = transaction.booklets(first_needed(&alarms, running)).await?;
        // A ledger that a clock that was ahead has dated is watched from today on.
        let since = taipei_date(ledger.created_at().min(now));
        let tidings = reckon(expected, since, &alarms, &booklets, now);
        let overdue = tidings.overdue;
        if premature.is_empty() && tidings.is_empty() {
            let has_told = false;
            return Ok(Look { overdue, has_told });
        }
        let unheard = take_back(&mut transaction, &tidings.come).await?;
        write_down(&mut transaction, &tidings, now).await?;
        let mut news = reminders(&tidings.reminders, &booklets);
        if !tidings.alarms.is_empty() {
            let facts = Facts {
                mailboxes,
                waiting,
                quarantined: transaction.quarantined_by_company().await?,
            };
            news.extend(alarmed(&tidings.alarms, &facts));
        }
        let heard = tidings.come.iter().copied();
        let heard = heard.filter(|(company, (one, _))| !unheard.contains(&(company.ban, *one)));
        news.extend(arrived(&heard.collect::<Vec<_>>(), &booklets));
        for (about, cause) in &news {
            let mut key = format!("{}:{}:{about}", cause.theme(), taipei_date(now));
            // Told once before, on that day of a clock that was ahead.
            if transaction.is_told(&key).await? {
                key = format!("{key}:{now}");
            }
            transaction.tell(&key, cause, now).await?;
        }
        transaction.commit().await?;
        log(&tidings, premature.len());
        Ok(Look {
            overdue,
            has_told: !news.is_empty(),
        })
    }

    /// What only a clock that was ahead can have told, once this one has gone on for long enough.
    fn premature(&mut self, alarms: &Alarms, now: Timestamp) -> Vec<(Ban, Awaited)> {
        let premature: Vec<(Ban, Awaited)> = alarms
            .iter()
            .flat_map(|(ban, alarms)| alarms.iter().map(move |(one, alarm)| (*ban, *one, alarm)))
            .filter(|(_, awaited, alarm)| awaited.earliest(alarm.stage) > taipei_time(now))
            .map(|(ban, awaited, _)| (ban, awaited))
            .collect();
        let goes_on = |last: Timestamp| {
            let passed = now.duration_since(last);
            !passed.is_negative() && passed <= JUMP
        };
        let steady = self.steady.filter(|(_, last)| goes_on(*last));
        let since = steady.map_or(now, |(since, _)| since);
        self.steady = (!premature.is_empty()).then_some((since, now));
        if now.duration_since(since) > STEADY {
            premature
        } else {
            Vec::new()
        }
    }
}

impl Tidings<'_> {
    fn is_empty(&self) -> bool {
        self.reminders.is_empty()
            && self.alarms.is_empty()
            && self.come.is_empty()
            && self.rest.is_empty()
    }
}

/// The first period whose booklets are asked for.
fn first_needed(alarms: &Alarms, running: Period) -> Period {
    let open = alarms.values().flat_map(BTreeMap::iter);
    let open = open.filter(|(_, alarm)| alarm.is_open());
    let first = open.map(|(awaited, _)| awaited.first()).min();
    first.map_or(running.previous(), |first| first.min(running.previous()))
}

fn reckon<'a>(
    expected: &'a Expectations,
    since: Date,
    alarms: &'a Alarms,
    booklets: &HashMap<Ban, Booklets>,
    now: Timestamp,
) -> Tidings<'a> {
    let (today, none) = (taipei_date(now), Booklets::new());
    let mut tidings = Tidings::default();
    for company in expected.companies.iter() {
        let recorded = booklets.get(&company.ban).unwrap_or(&none);
        let alarms = || alarms.get(&company.ban).into_iter().flatten();
        let terms = Terms::of(company, expected.days, since);
        let told = alarms().map(|(awaited, alarm)| (*awaited, alarm.stage));
        for call in terms.calls(recorded, &told.collect(), taipei_time(now)) {
            match call.stage {
                Stage::Reminder => tidings.reminders.push((company, call)),
                _ => tidings.alarms.push((company, call)),
            }
        }
        for (awaited, alarm) in alarms().filter(|(_, alarm)| alarm.is_open()) {
            match Progress::of(&alarm.missing, recorded, today) {
                Progress::None => {}
                Progress::Part(rest) => tidings.rest.push((company, (*awaited, rest))),
                Progress::Done => tidings.come.push((company, (*awaited, alarm))),
            }
        }
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

/// Takes back, of the alarms that are in no letter yet, those whose numbers have come: nobody need
/// hear of either. Only where it is the first; after others that have gone out, the end is news.
/// Returns whose and which.
async fn take_back(
    transaction: &mut Transaction,
    come: &[(&Company, (Awaited, &Alarm))],
) -> Result<HashSet<(Ban, Awaited)>, LedgerError> {
    let is_first = |stage: &str| stage == Stage::Overdue.as_str();
    let first = come
        .iter()
        .filter(|(_, (_, alarm))| is_first(alarm.stage.as_str()))
        .map(|(company, (awaited, _))| {
            let written = (company.ban.to_string(), awaited.to_string());
            (written, (company.ban, *awaited))
        });
    let first: HashMap<(String, String), (Ban, Awaited)> = first.collect();
    let mut taken = HashSet::new();
    if first.is_empty() {
        return Ok(taken);
    }
    for Pending { id, cause, .. } in transaction.pending::<Cause>().await? {
        let Cause::NoticeOverdue(mut overdue) = cause else {
            continue;
        };
        let told = overdue.companies.len();
        overdue.companies.retain(|one| {
            let come = first.get(&(one.ban.clone(), one.awaited.clone()));
            let come = come.filter(|_| is_first(&one.stage));
            taken.extend(come);
            come.is_none()
        });
        if overdue.companies.is_empty() {
            transaction.take_back(id).await?;
        } else if overdue.companies.len() < told {
            let rest = Cause::NoticeOverdue(overdue);
            transaction.correct(id, &rest).await?;
        }
    }
    Ok(taken)
}

/// Writes down of what people are told, and what has come.
async fn write_down(
    transaction: &mut Transaction,
    tidings: &Tidings<'_>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    for (company, call) in tidings.reminders.iter().chain(&tidings.alarms) {
        transaction.set_told(company.ban, call, now).await?;
    }
    for (company, (awaited, _)) in &tidings.come {
        transaction.set_come(company.ban, *awaited, now).await?;
    }
    for (company, (awaited, rest)) in &tidings.rest {
        let ban = company.ban;
        transaction.set_missing(ban, *awaited, rest).await?;
    }
    Ok(())
}

/// A piece of news for each audience, and what it is about.
fn reminders(
    calls: &[(&Company, Call)],
    booklets: &HashMap<Ban, Booklets>,
) -> Vec<(String, Cause)> {
    // Before the 20th nothing else can be changed than what comes next, and so all await the same.
    let Some((_, first)) = calls.first() else {
        return Vec::new();
    };
    let next = first.awaited.first();
    let count = |company: &Company, period| {
        let recorded = booklets.get(&company.ban);
        let count = recorded.and_then(|recorded| recorded.get(&period));
        count.copied().unwrap_or_default()
    };
    let compose = |to, calls: &[&(&Company, Call)]| {
        let reminded = calls.iter().map(|(company, _)| Reminded {
            ban: company.ban.to_string(),
            name: company.name.clone(),
            booklets: count(company, next.previous()),
            booklets_before: count(company, next.previous().previous()),
        });
        Cause::NoticeReminder(Reminder {
            to,
            year_month: next.year_month(),
            until: schedule::last_day_to_change(next),
            companies: reminded.collect(),
        })
    };
    by_audience(calls, |call| (call.awaited, call.stage), compose)
}

/// As [`reminders`].
fn alarmed(calls: &[(&Company, Call)], facts: &Facts) -> Vec<(String, Cause)> {
    let waits = |ban| facts.quarantined.get(&ban).cloned().unwrap_or_default();
    let compose = |to, calls: &[&(&Company, Call)]| {
        let missing = calls.iter().map(|(company, call)| Missing {
            ban: company.ban.to_string(),
            name: company.name.clone(),
            stage: call.stage.as_str().to_owned(),
            awaited: call.awaited.to_string(),
            year_months: call.missing.iter().map(|one| one.year_month()).collect(),
            due_by: call.due_by,
            quarantined: waits(Some(company.ban)),
        });
        Cause::NoticeOverdue(Overdue {
            to,
            companies: missing.collect(),
            mailboxes: facts.mailboxes.clone(),
            nobodys: waits(None).len() as u64,
            waiting: facts.waiting,
        })
    };
    by_audience(calls, |call| (call.awaited, call.stage), compose)
}

/// As [`reminders`].
fn arrived(
    come: &[(&Company, (Awaited, &Alarm))],
    booklets: &HashMap<Ban, Booklets>,
) -> Vec<(String, Cause)> {
    let none = Booklets::new();
    let compose = |to, come: &[&(&Company, (Awaited, &Alarm))]| {
        let come = come.iter().map(|(company, (awaited, alarm))| Come {
            ban: company.ban.to_string(),
            name: company.name.clone(),
            awaited: awaited.to_string(),
            booklets: awaited.booklets(booklets.get(&company.ban).unwrap_or(&none)),
            told_at: alarm.told_at,
        });
        Cause::NoticeArrived(Arrived {
            to,
            companies: come.collect(),
        })
    };
    by_audience(come, |(awaited, alarm)| (*awaited, alarm.stage), compose)
}

/// Composes a piece of news for each audience; beside it stands, as a hash, for whom it is, whose,
/// and about which stage of what.
fn by_audience<T>(
    items: &[(&Company, T)],
    which: impl Fn(&T) -> (Awaited, Stage),
    compose: impl Fn(Vec<String>, &[&(&Company, T)]) -> Cause,
) -> Vec<(String, Cause)> {
    let mut audiences = BTreeMap::<Vec<String>, Vec<&(&Company, T)>>::new();
    for item in items {
        // Those who get all alerts, where the company names nobody.
        let mut to: Vec<String> = item.0.alert_to.iter().map(ToString::to_string).collect();
        to.sort();
        to.dedup();
        audiences.entry(to).or_default().push(item);
    }
    let news = audiences.into_iter().map(|(to, items)| {
        let mut hash = Sha256::new();
        hash.update(to.join(","));
        for (company, item) in &items {
            let (awaited, stage) = which(item);
            hash.update(format!("\n{} {awaited} {}", company.ban, stage.as_str()));
        }
        (format!("{:x}", hash.finalize()), compose(to, &items))
    });
    news.collect()
}

fn log(tidings: &Tidings<'_>, premature: usize) {
    let Tidings {
        reminders,
        alarms,
        come,
        ..
    } = tidings;
    if premature > 0 {
        warn!(
            alarms = premature,
            "what a clock that was ahead has told is told again in its time"
        );
    }
    if !alarms.is_empty() {
        warn!(
            companies = alarms.len(),
            "notices that were due have not come"
        );
    }
    if !reminders.is_empty() {
        info!(
            companies = reminders.len(),
            "people reminded of the next period's booklets"
        );
    }
    if !come.is_empty() {
        info!(companies = come.len(), "overdue numbers have come");
    }
}
