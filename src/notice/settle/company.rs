//! Whose numbers: the company a notice is about.
//!
//! The evidence is asked in the order of its weight: the number in the parentheses, the name
//! there, the recipient, the mailbox, a file of the platform's. Where none of them tells, a person
//! who releases a mail may.
//!
//! Guarantee: exactly one company or none; a guess is never made between two.

use super::{
    super::{Address, Ban, BanError, Company, Defect, DefectCode, Reading, Sentence, draft::shown},
    Authenticity, Circumstances, CompanySource, Judgement,
    ranges::same_numbers,
};

/// The company of a mail and how that was told, with everything that is wrong about it: a number
/// that cannot be one is said even where the recipient tells whose it is.
pub(super) fn of(
    reading: &Reading,
    given: &Circumstances<'_>,
) -> (Option<(Ban, CompanySource)>, Vec<Defect>) {
    let mut defects = Vec::new();
    if let Some(addressee) = &reading.addressee {
        let named = match addressee.parse() {
            Ok(ban) => by_ban(ban, reading, given).map(Some),
            Err(error @ BanError::Checksum(_)) => {
                defects.push(Defect::new(
                    DefectCode::BanInvalid,
                    Sentence::new(
                        error.to_string(),
                        format!("`{addressee}` 不是有效的統一編號：檢查碼不符"),
                    ),
                ));
                Ok(None)
            }
            Err(BanError::NotEightDigits(_)) => {
                match (by_name(addressee, given), ban_in(addressee)) {
                    // Words around a number do not make it another company's.
                    (Ok(None), Some(ban)) => by_ban(ban, reading, given).map(Some),
                    (named, _) => named,
                }
            }
        };
        match named {
            Ok(Some(company)) => return (Some(company), defects),
            Ok(None) => {}
            Err(defect) => return (None, vec![defect]),
        }
    }
    let company = by_recipient(reading, given)
        .map(|ban| (ban, CompanySource::Recipient))
        .or_else(|| by_mailbox(reading, given).map(|ban| (ban, CompanySource::Mailbox)))
        .or_else(|| by_file(reading, given).map(|ban| (ban, CompanySource::File)));
    if company.is_none() {
        defects.push(unknown(reading, given));
    }
    (company, defects)
}

/// Takes a person's word for the company where nothing else tells it. Where something does, that word
/// must be the same: a person overrules that a company is not known, and never that it is another's.
pub(super) fn by_person(
    ban: Ban,
    reading: &Reading,
    given: &Circumstances<'_>,
    judgement: &mut Judgement,
) {
    let mut named = reading
        .addressee
        .as_deref()
        .map_or_else(Vec::new, |addressee| named(addressee, given));
    match judgement.company {
        Some((told, _)) if told == ban => return,
        Some((told, _)) if named.is_empty() => named.push(told),
        _ => {}
    }
    let is_contradicted = !named.is_empty() && !named.contains(&ban);
    let unknown = judgement
        .defects
        .extract_if(.., |defect| defect.code == DefectCode::UnknownCompany);
    if is_contradicted {
        unknown.for_each(drop);
        let names: Vec<&str> = named.iter().map(Ban::as_str).collect();
        let (en, zh) = (names.join(" and "), names.join("、"));
        judgement.company = None;
        judgement.defects.push(Defect::new(
            DefectCode::UnknownCompany,
            Sentence::new(
                format!("the mail is for {en}, so it cannot be released for {ban}"),
                format!("這封信是給統一編號 {zh} 的，不能當作 {ban} 的號碼放行"),
            ),
        ));
    } else {
        judgement.overruled.extend(unknown);
        judgement.company = Some((ban, CompanySource::Person));
    }
}

/// The companies that the parentheses name by number, configured or not, or by a configured name.
fn named(addressee: &str, given: &Circumstances<'_>) -> Vec<Ban> {
    let by_name: Vec<Ban> = bearers(addressee, given).map(|c| c.ban).collect();
    if by_name.is_empty() {
        numbers(addressee).collect()
    } else {
        by_name
    }
}

fn by_ban(
    ban: Ban,
    reading: &Reading,
    given: &Circumstances<'_>,
) -> Result<(Ban, CompanySource), Defect> {
    if is_accepted(ban, given) {
        Ok((ban, CompanySource::Body))
    } else {
        let (en, zh) = match reading.file {
            None => ("mail", "這封信是給"),
            Some(_) => ("row of the file", "檔案的這一列是"),
        };
        Err(Defect::new(
            DefectCode::UnknownCompany,
            Sentence::new(
                format!(
                    "the {en} is for {ban}, which is not configured; add a [[company]] with this \
                     number, or a line to companies_file, or set accept_unlisted_companies"
                ),
                format!(
                    "{zh}統一編號 {ban} 的，設定檔裡沒有這家公司；\
                     請加上它的 [[company]]，或在 companies_file 加一列，或設定 accept_unlisted_companies"
                ),
            ),
        ))
    }
}

/// The one valid number in a text such as `統一編號:53567686`.
fn ban_in(addressee: &str) -> Option<Ban> {
    let mut bans = numbers(addressee);
    let first = bans.next()?;
    bans.all(|ban| ban == first).then_some(first)
}

fn numbers(addressee: &str) -> impl Iterator<Item = Ban> {
    let runs = addressee.split(|c: char| !c.is_ascii_digit());
    runs.filter_map(|run| run.parse().ok())
}

fn is_accepted(ban: Ban, given: &Circumstances<'_>) -> bool {
    given.rules.accept_unlisted_companies || given.rules.companies.get(ban).is_some()
}

fn by_name(
    addressee: &str,
    given: &Circumstances<'_>,
) -> Result<Option<(Ban, CompanySource)>, Defect> {
    let mut bearers = bearers(addressee, given);
    match (bearers.next(), bearers.next()) {
        (Some(one), None) => Ok(Some((one.ban, CompanySource::Name))),
        (Some(one), Some(other)) => {
            let (name, one, other) = (shown(addressee), one.ban, other.ban);
            Err(Defect::new(
                DefectCode::UnknownCompany,
                Sentence::new(
                    format!("the mail is for {name}, which is the name of {one} and of {other}"),
                    format!("這封信是給 {name} 的，而統一編號 {one} 與 {other} 都用這個名稱"),
                ),
            ))
        }
        _ => Ok(None),
    }
}

/// The configured companies of this name.
fn bearers<'a>(addressee: &str, given: &Circumstances<'a>) -> impl Iterator<Item = &'a Company> {
    given.rules.companies.of_name(addressee)
}

/// The one company that lists a recipient; under a signature, only signed fields count.
fn by_recipient(reading: &Reading, given: &Circumstances<'_>) -> Option<Ban> {
    let mut addressed = reading
        .recipients
        .iter()
        .filter(|(field, _)| is_signed(field, given))
        .flat_map(|(_, address)| given.rules.companies.of_recipient(address))
        .map(|company| company.ban);
    let first = addressed.next()?;
    addressed.all(|ban| ban == first).then_some(first)
}

/// Whether a field is signed, as far as the proof speaks of fields at all.
fn is_signed(field: &str, given: &Circumstances<'_>) -> bool {
    match given.authenticity {
        Authenticity::Proven {
            signed: Some(signed),
        } => signed.iter().any(|name| name.eq_ignore_ascii_case(field)),
        _ => true,
    }
}

/// The mailbox's company, when nothing speaks for another. A genuine notice for somebody else
/// can be sent again by anybody, and when its parentheses are empty its recipient is all that
/// tells: so a company that lists its recipients is held to them.
fn by_mailbox(reading: &Reading, given: &Circumstances<'_>) -> Option<Ban> {
    let company = given.rules.companies.get(given.mailbox_company?)?;
    let mut recipients = reading.recipients.iter();
    let for_another =
        reading.addressee.is_some() || recipients.any(|(_, address)| is_listed(address, given));
    (company.recipients.is_empty() && !for_another).then_some(company.ban)
}

/// Whether a company lists this recipient.
fn is_listed(address: &Address, given: &Circumstances<'_>) -> bool {
    let mut listing = given.rules.companies.of_recipient(address);
    listing.next().is_some()
}

/// The one company for which a file of the platform's holds one of the ranges.
fn by_file(reading: &Reading, given: &Circumstances<'_>) -> Option<Ban> {
    let mut holders = given
        .neighbours
        .iter()
        .filter(|neighbour| {
            let mut blocks = reading.blocks.iter();
            neighbour.from_file
                && blocks.any(|block| same_numbers(block, &neighbour.allocation.block))
        })
        .map(|neighbour| neighbour.allocation.ban);
    let first = holders.next()?;
    (holders.all(|ban| ban == first) && is_accepted(first, given)).then_some(first)
}

/// Says what the mail offered and what would settle it.
fn unknown(reading: &Reading, given: &Circumstances<'_>) -> Defect {
    const MAX_LISTED: usize = 5;
    let addressee = match reading.addressee.as_deref().map(shown) {
        Some(name) => Sentence::new(
            format!("貴公司(…) holds {name}, which is no company's name"),
            format!("「貴公司（…）」寫的是 {name}，不是任何一家公司的名稱"),
        ),
        None => Sentence::new("貴公司(…) names nobody", "「貴公司（…）」沒有寫是哪一家"),
    };
    let listed: Vec<&str> = reading
        .recipients
        .iter()
        .take(MAX_LISTED)
        .map(|(_, address)| address.as_str())
        .collect();
    let (en, zh) = (listed.join(", "), listed.join("、"));
    let recipients = match given.authenticity {
        _ if listed.is_empty() => {
            Sentence::new("there is no recipient to go by", "也沒有收件地址可以判斷")
        }
        Authenticity::Proven { signed: Some(_) } => Sentence::new(
            format!("no signed recipient field names exactly one company ({en})"),
            format!("有簽章的收件欄位也無法對應到唯一一家公司（{zh}）"),
        ),
        _ => Sentence::new(
            format!("the recipients are not exactly one company's ({en})"),
            format!("收件地址也無法對應到唯一一家公司（{zh}）"),
        ),
    };
    // What is not signed anybody can have written, so that adding it would settle nothing.
    let advice = match unsigned(reading, given) {
        Some(field) => Sentence::new(
            format!(
                "{field} does, but the signature does not cover it, so anybody may have written \
                 it; compare with the platform and say whose it is with --ban"
            ),
            format!(
                "{field} 欄位可以，但不在簽章範圍內，誰都能改寫；\
                 請登入平台核對，確認後用 --ban 指明是哪一家"
            ),
        ),
        None if listed.is_empty() => Sentence::new(
            "compare with the platform and say whose it is with --ban",
            "請登入平台核對，確認後用 --ban 指明是哪一家",
        ),
        None => Sentence::new(
            "only where one of them is registered for a company of yours, add it to its \
             `recipients`: anybody can pass on somebody else's notice",
            "其中若有您的公司在平台登記的信箱，才加進該公司的 `recipients`：\
             別人的通知，誰都能轉寄過來",
        ),
    };
    Defect::new(
        DefectCode::UnknownCompany,
        Sentence::new(
            format!("{}, and {}; {}", addressee.en, recipients.en, advice.en),
            format!("{}，{}；{}", addressee.zh, recipients.zh, advice.zh),
        ),
    )
}

/// The first recipient field that names a company and is not signed, although fields are.
fn unsigned<'a>(reading: &'a Reading, given: &Circumstances<'_>) -> Option<&'a str> {
    let mut fields = reading
        .recipients
        .iter()
        .filter(|(field, address)| !is_signed(field, given) && is_listed(address, given));
    fields.next().map(|(field, _)| field.as_str())
}
