//! A period with less than half the booklets of the one before: how it is said, and of which
//! notices in a digest it still is to be said.
//!
//! Left out on purpose: the reckoning, which is done where the numbers are recorded.

use std::collections::{BTreeMap, HashMap};

use super::{super::Language, extent::booklets, table::grouped};
use crate::{
    ledger::{AllocationRow, Fallen, Import},
    notice::Period,
    stranger::one_line,
};

/// What there is now, and what there was.
pub(super) fn sentence(fallen: &Fallen, language: Language) -> String {
    let (now, before) = (booklets(fallen.booklets, language), grouped(fallen.before));
    let (period, last) = match fallen.year_month.parse::<Period>() {
        Ok(period) => (period.to_string(), period.previous().to_string()),
        Err(_) => (one_line(&fallen.year_month, 20), String::new()),
    };
    language.pick(
        format!("{period} 目前只有 {now}，不到上一期（{last}，{before} 本）的一半。"),
        format!("{period} has {now} so far, less than half of the {before} for {last}"),
    )
}

/// What to do about it.
pub(super) fn follows(language: Language) -> &'static str {
    language.pick(
        "也許還有通知會到；沒有的話，請到平台核對取用本數和增加本數是不是您要的。",
        "More may come. If not, see on the platform that 取用本數 and 增加本數 are as you want them.",
    )
}

/// What is still so by the last of these notices that counts for the same company and period.
pub(super) fn standing<'a>(
    imports: &[&'a Import],
    rows: &[AllocationRow],
) -> Vec<(&'a str, &'a Fallen)> {
    let place: HashMap<(i64, &str), usize> = imports
        .iter()
        .enumerate()
        .map(|(place, import)| ((import.message_id, import.ban.as_str()), place))
        .collect();
    let mut last = BTreeMap::<(&str, String), usize>::new();
    for row in rows.iter().filter(|row| row.withdrawn_at.is_none()) {
        let Some(place) = place.get(&(row.message_id, row.allocation.ban.as_str())) else {
            continue;
        };
        let (ban, period) = (row.allocation.ban.as_str(), row.allocation.block.period);
        let known = last.entry((ban, period.year_month())).or_insert(*place);
        *known = (*known).max(*place);
    }
    let all = imports.iter().enumerate().flat_map(|(place, import)| {
        let ban = import.ban.as_str();
        import.fallen.iter().map(move |fallen| (place, ban, fallen))
    });
    all.filter(|(place, ban, fallen)| last.get(&(*ban, fallen.year_month.clone())) == Some(place))
        .map(|(_, ban, fallen)| (ban, fallen))
        .collect()
}
