//! The mail about a range that a person took out of use: it must leave the issuing system.

use jiff::Timestamp;

use super::{
    super::{Language, Style},
    Withdrawn,
    letter::Draft,
    systems,
    table::{facts, grouped},
};
use crate::{
    clock::taipei_minute,
    ledger::{Kind, Letter},
    notice::Address,
    stranger::one_line,
};

pub(super) fn compose(withdrawn: &Withdrawn<'_>, style: &Style, now: Timestamp) -> Option<Letter> {
    let language = style.language;
    let block = &withdrawn.allocation.block;
    let draft = Draft {
        kind: Kind::Withdrawal,
        // The same range may be recorded and withdrawn again: that is another letter.
        about: vec![
            withdrawn.allocation.ban.to_string(),
            block.invoice_type.code().to_owned(),
            block.period.year_month(),
            block.track.to_string(),
            block.range.begin().to_string(),
            block.range.end().to_string(),
            now.to_string(),
        ],
        subject: subject(withdrawn, language),
        text: text(withdrawn, style, now),
        attachment: None,
    };
    let mut everybody: Vec<Address> = Vec::new();
    for address in style.confirm_to.iter().chain(&style.alert_to) {
        if !everybody.contains(address) {
            everybody.push(address.clone());
        }
    }
    draft.address(&style.from, &everybody, now)
}

fn subject(withdrawn: &Withdrawn<'_>, language: Language) -> String {
    let block = &withdrawn.allocation.block;
    let (track, range, period) = (block.track, block.range, block.period);
    let ban = withdrawn.allocation.ban;
    let company = withdrawn.company_name.map_or_else(
        || language.pick(format!("統編 {ban}"), format!("company {ban}")),
        |name| one_line(name, 60),
    );
    language.pick(
        format!("需要處理：請停用 {track} {range}（{period}，已撤回）{company}"),
        format!("Action needed: stop using {track} {range} ({period}, withdrawn) {company}"),
    )
}

fn text(withdrawn: &Withdrawn<'_>, style: &Style, now: Timestamp) -> String {
    let language = style.language;
    let told = systems::named(style);
    let names = systems::list(&told, language);
    let Withdrawn {
        id,
        allocation,
        company_name,
        imported_at,
        who,
        reason,
    } = withdrawn;
    let block = &allocation.block;
    let ban = allocation.ban;
    let mut text = language
        .pick(
            "這段號碼已經撤回，請不要再用它開立發票。\n\n",
            "This range has been withdrawn. Issue no more invoices with it.\n\n",
        )
        .to_owned();
    let booklets = u64::from(block.range.booklets());
    let counted = language.pick(
        format!("{} 本", grouped(booklets)),
        format!(
            "{} {}",
            grouped(booklets),
            if booklets == 1 { "booklet" } else { "booklets" }
        ),
    );
    let company = company_name.map_or_else(
        || ban.to_string(),
        |name| {
            let name = one_line(name, 60);
            language.pick(format!("{name}（統編 {ban}）"), format!("{name} ({ban})"))
        },
    );
    text.push_str(&facts(&[
        (
            language.pick("字軌號碼", "Range"),
            format!("{} {}", block.track, block.range),
        ),
        (language.pick("本數", "Booklets"), counted),
        (
            language.pick("發票期別", "Period"),
            block.period.to_string(),
        ),
        (
            language.pick("發票類別", "Type"),
            format!(
                "{} {}",
                block.invoice_type.code(),
                block.invoice_type.name()
            ),
        ),
        (language.pick("營業人", "Company"), company),
        (
            language.pick("匯入時間", "Recorded (UTC+8)"),
            taipei_minute(*imported_at),
        ),
        (language.pick("配號編號", "Allocation id"), id.to_string()),
    ]));
    text.push_str(language.pick("\n撤回\n", "\nWithdrawn\n"));
    let mut rows = vec![
        (language.pick("撤回的人", "By"), one_line(who, 60)),
        (language.pick("撤回時間", "At (UTC+8)"), taipei_minute(now)),
        (language.pick("原因", "Why"), one_line(reason, 300)),
    ];
    if !told.is_empty() {
        let words = language.pick(
            format!("{names}（通知中）"),
            format!("{names} (on the way)"),
        );
        rows.push((language.pick("通知系統", "Systems told"), words));
    }
    text.push_str(&facts(&rows));
    text.push_str(language.pick(
        "\n接下來\n\
         \x20 1. 把這段號碼從開立發票的系統移除或停用；還沒載入的，就不要載入。\n",
        "\nWhat to do next\n\
         \x20 1. Take the range out of the issuing system; if it has not been loaded, do not load it.\n",
    ));
    if !told.is_empty() {
        text.push_str(&language.pick(
            format!(
                "\x20    {names} 會自動收到撤回通知；有沒有真的停用，請到系統裡確認。\n"
            ),
            format!(
                "\x20    {names} get to know by themselves: see there that the range is really out of use.\n"
            ),
        ));
    }
    text.push_str(language.pick(
        "\x20 2. 查一下有沒有已經用這段號碼開出的發票；有的話，洽平台（0800-521-988）或國稅局\n\
         \x20    確認該怎麼處理。\n\
         \n紀錄仍保留在帳本裡，但不再列入重疊檢查，也不算這一期已收到的配號。\n",
        "\x20 2. See whether invoices were issued with it already; if so, ask the platform\n\
         \x20    (0800-521-988) or the tax office what to do about them.\n\
         \nThe record is kept, but it counts no more: neither for overlaps nor as what this period was\n\
         given.\n",
    ));
    text
}
