//! When news becomes a letter: at once, or together with what follows.
//!
//! Guarantees: each piece of news is in exactly one letter, and with it only what is for the same
//! people; none waits longer than its window, an alert never longer than six hours; a clock that is
//! set holds nothing back. What was gathered when stands in the ledger, so a restart changes nothing.
//! Left out on purpose: sending.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{Dispatcher, Style, compose, dispatch::later};
use crate::{
    ledger::{AlertWindow, Cause, Import, Ledger, LedgerError, News, Past, Pending, Transaction},
    notice::Address,
};

/// However long a cause goes on, an alert about it waits no longer than this.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

impl Dispatcher {
    /// Makes letters of the news whose time has come, of confirmations that wait in any case where
    /// `flush` asks for it, and says when the next news' time comes.
    pub(super) async fn gather(
        &self,
        now: Timestamp,
        flush: bool,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let mut transaction = self.ledger.begin().await?;
        let mut next = Vec::new();
        for (audience, alerts) in
            by_audience(transaction.pending::<Cause>().await?, &self.style.alert_to)
        {
            let gathering = self.gather_alerts(&mut transaction, &audience, alerts, now);
            next.extend(gathering.await?);
        }
        next.extend(self.gather_imports(&mut transaction, now, flush).await?);
        transaction.commit().await?;
        Ok(next.into_iter().min())
    }

    /// The first alert goes at once; those that follow within `alert_window` of the last letter
    /// wait until it is over and go together. While a cause goes on, its own window doubles and
    /// holds its alerts, and no others, for longer.
    async fn gather_alerts(
        &self,
        transaction: &mut Transaction,
        audience: &[String],
        mut alerts: Vec<Pending<Cause>>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let mut windows = Windows {
            base: self.patience.alert_window,
            last: transaction.last_alerted_at(audience).await?,
            themes: transaction.alert_windows(audience).await?,
        };
        if alerts.iter().all(|alert| now < windows.due(alert, now)) {
            return Ok(alerts.iter().map(|alert| windows.due(alert, now)).min());
        }
        // What its own window does not hold goes along, however short a while ago the last letter.
        let letter: Vec<Pending<Cause>> = alerts
            .extract_if(.., |alert| {
                windows.own(alert, now).is_none() || windows.due(alert, now) <= now
            })
            .collect();
        let style = self.style.with_readers(&[], &addresses(audience));
        let Some(composed) = compose::alert(&letter, &style, now) else {
            return Ok(None);
        };
        transaction.gather(&letter, &composed, now).await?;
        for (theme, window) in windows.next(&letter, now) {
            transaction.open_window(audience, theme, window).await?;
            windows.themes.insert(theme.to_owned(), window);
        }
        windows.last = Some(now);
        Ok(alerts.iter().map(|alert| windows.due(alert, now)).min())
    }

    /// Confirmations go together when the oldest has waited for `confirm_window`: those to everybody
    /// at the same time, so that no two to the same people are closer to each other than that.
    async fn gather_imports(
        &self,
        transaction: &mut Transaction,
        now: Timestamp,
        flush: bool,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let window = self.patience.confirm_window;
        let Some(since) = transaction.waits_since::<Import>().await? else {
            return Ok(None);
        };
        let opens = later(since, window);
        // Raised a moment after this pass began it is in the future as well, and waits; raised
        // under a clock that was ahead it would wait for as long as that was.
        if !flush && now < opens && since < later(now, window) {
            return Ok(Some(opens));
        }
        for (audience, imports) in by_audience(
            transaction.pending::<Import>().await?,
            &self.style.confirm_to,
        ) {
            let messages: Vec<i64> = imports.iter().map(|news| news.cause.message_id).collect();
            let mut granted = transaction.granted_by(&messages).await?;
            // A file of the platform's grants to several companies, whose readers may differ.
            let told: HashSet<(i64, &str)> = imports
                .iter()
                .map(|news| (news.cause.message_id, news.cause.ban.as_str()))
                .collect();
            granted.retain(|row| told.contains(&(row.message_id, row.allocation.ban.as_str())));
            let causes: Vec<&Import> = imports.iter().map(|news| &news.cause).collect();
            let handed = transaction.handed_over(&causes).await?;
            let style = self.style.with_readers(&addresses(&audience), &[]);
            if let Some(letter) = compose::digest(&imports, &granted, &handed, &style, now) {
                transaction.gather(&imports, &letter, now).await?;
            }
        }
        Ok(None)
    }
}

/// News to the same people, in the order in which it was raised.
fn by_audience<T: News>(
    news: Vec<Pending<T>>,
    everybody: &[Address],
) -> BTreeMap<Vec<String>, Vec<Pending<T>>> {
    let everybody: BTreeSet<&str> = everybody.iter().map(Address::as_str).collect();
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for piece in news {
        let mut audience = piece.cause.audience().to_vec();
        // Two letters to the same people would be one too many.
        let named: BTreeSet<&str> = audience.iter().map(String::as_str).collect();
        if named == everybody {
            audience.clear();
        }
        groups.entry(audience).or_default().push(piece);
    }
    groups
}

/// An audience as the addresses that were written down.
fn addresses(audience: &[String]) -> Vec<Address> {
    let addresses = audience.iter();
    addresses
        .filter_map(|address| address.parse().ok())
        .collect()
}

/// Posts one letter about all the mail that was old when the ledger was created and that no letter
/// has told of yet; returns whether there was any. It is not for a pass to decide that all of it
/// has been seen.
///
/// # Errors
/// The ledger's only.
pub async fn gather_past(
    ledger: &Ledger,
    style: &Style,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let mut transaction = ledger.begin().await?;
    let past = transaction.pending::<Past>().await?;
    let imports: Vec<&Import> = past
        .iter()
        .filter_map(|news| match &news.cause {
            Past::Imported(import) => Some(import),
            Past::Quarantined(_) => None,
        })
        .collect();
    let messages: Vec<i64> = imports.iter().map(|import| import.message_id).collect();
    let granted = transaction.granted_by(&messages).await?;
    let handed = transaction.handed_over(&imports).await?;
    let Some(letter) = compose::summary(&past, &granted, &handed, style, now) else {
        return Ok(false);
    };
    transaction.gather(&past, &letter, now).await?;
    transaction.commit().await?;
    Ok(true)
}

/// What alerts wait for.
struct Windows {
    /// How long an alert waits that follows another.
    base: Duration,
    /// When the last letter of alerts was gathered.
    last: Option<Timestamp>,
    /// Each theme's own.
    themes: BTreeMap<String, AlertWindow>,
}

impl Windows {
    /// When the alert may go; a moment that is not in the future means now.
    fn due(&self, alert: &Pending<Cause>, now: Timestamp) -> Timestamp {
        let after_the_last = self.last.and_then(|last| end(last, self.base, now));
        let opens = self.own(alert, now).max(after_the_last);
        opens.map_or(now, |opens| opens.min(later(alert.raised_at, LONGEST)))
    }

    /// Until when the alert's theme holds it.
    fn own(&self, alert: &Pending<Cause>, now: Timestamp) -> Option<Timestamp> {
        if self.base.is_zero() {
            return None;
        }
        let window = self.themes.get(alert.cause.theme())?;
        end(window.gathered_at, window.width, now)
    }

    /// The next window of each theme in `letter`: twice as long where some of its alerts were
    /// raised inside the last one, or in as long a time after it. A cause that comes round a little
    /// less often than the window is long goes on all the same.
    fn next<'a>(
        &self,
        letter: &'a [Pending<Cause>],
        now: Timestamp,
    ) -> BTreeMap<&'a str, AlertWindow> {
        let mut next = BTreeMap::new();
        for alert in letter {
            let theme = alert.cause.theme();
            let width = next.entry(theme).or_insert(self.base);
            let inside = |window: &&AlertWindow| {
                // Begun under a clock that was ahead, a window is none.
                window.gathered_at <= now
                    && end(window.gathered_at, window.width * 2, alert.raised_at).is_some()
            };
            if let Some(window) = self.themes.get(theme).filter(inside) {
                *width = (window.width * 2).min(LONGEST).max(self.base);
            }
        }
        let open = |width| AlertWindow {
            gathered_at: now,
            width,
        };
        let windows = next.into_iter();
        windows.map(|(theme, width)| (theme, open(width))).collect()
    }
}

/// The end of a window while `at` is in it. What is in the future was written under a clock that
/// was ahead, and must not hold anything for as long as that was.
fn end(begins: Timestamp, width: Duration, at: Timestamp) -> Option<Timestamp> {
    let end = later(begins, width);
    (begins <= at && at < end).then_some(end)
}
