//! The letters about our own trouble: a mail that was not delivered, a mailbox that does not
//! answer, and one that does again.

use jiff::Timestamp;

use super::super::{super::Language, table::facts};
use crate::{clock::taipei_minute, ledger::Kind, stranger::one_line};

/// A letter of ours that somebody did not get.
pub(super) struct Undelivered<'a> {
    pub(super) outbox_id: i64,
    pub(super) kind: Kind,
    pub(super) subject: &'a str,
    pub(super) recipients: &'a [String],
    pub(super) answer: &'a str,
}

impl Undelivered<'_> {
    pub(super) fn text(&self, at: Timestamp, language: Language) -> String {
        let Self {
            outbox_id,
            kind,
            subject,
            recipients,
            answer,
        } = *self;
        let what = name(kind, language);
        let mut text = language.pick(
            format!("一封{what}沒有送達，已不再重試。"),
            format!("A {what} was not delivered and is no longer tried.\n"),
        );
        text.push_str(match kind {
            Kind::Withdrawal => language.pick(
                "撤回已經生效，但收件人還不知道：那段號碼可能還在開立發票的系統裡。\n\n",
                "The withdrawal holds, but its readers do not know: the range may still be in use.\n\n",
            ),
            Kind::Confirmation | Kind::Summary | Kind::Alert | Kind::Handoff => language.pick(
                "號碼已經記錄，不受影響。\n\n",
                "What is recorded stays recorded.\n\n",
            ),
        });
        text.push_str(&facts(&[
            (
                language.pick("未收到", "Not reached"),
                one_line(&recipients.join(", "), 300),
            ),
            (language.pick("主旨", "Subject"), one_line(subject, 120)),
            (language.pick("伺服器說", "Answer"), one_line(answer, 300)),
            (
                language.pick("放棄時間", "Given up (UTC+8)"),
                taipei_minute(at),
            ),
            (
                language.pick("寄件編號", "Outbox id"),
                outbox_id.to_string(),
            ),
        ]));
        text.push_str(&match kind {
            Kind::Withdrawal => language.pick(
                "\n接下來\n\
                 \x20 1. 立刻用其他方式告知收件人，把那段號碼從開立發票的系統移除。\n"
                    .to_owned(),
                "\nWhat to do next\n\
                 \x20 1. Tell them in another way, now, to take the range out of the issuing system.\n"
                    .to_owned(),
            ),
            Kind::Confirmation | Kind::Summary | Kind::Alert | Kind::Handoff => language.pick(
                "\n接下來\n\
                 \x20 1. 用其他方式告知收件人；號碼可用 `invoice-trackd allocations` 查看。\n"
                    .to_owned(),
                "\nWhat to do next\n\
                 \x20 1. Tell them in another way; `invoice-trackd allocations` lists the numbers.\n"
                    .to_owned(),
            ),
        });
        text.push_str(&language.pick(
            format!(
                "\x20 2. 看伺服器怎麼說，或請郵件管理員處理；同一個地址能收信之後，用\n\
                 \x20    `invoice-trackd outbox retry {outbox_id}` 再寄一次。\n\
                 \x20 3. 若是設定檔 [mail] 的地址寫錯：改正後執行 `systemctl reload invoice-trackd`，\n\
                 \x20    之後的信才會寄到新地址；這一封不會跟著改，用\n\
                 \x20    `invoice-trackd outbox drop {outbox_id}` 取消。\n"
            ),
            format!(
                "\x20 2. Do what the server's answer says, or show it to whoever runs the mail server. Once the\n\
                 \x20    same address takes mail, `invoice-trackd outbox retry {outbox_id}` sends it again.\n\
                 \x20 3. If an address under [mail] in the configuration is wrong, correct it and run\n\
                 \x20    `systemctl reload invoice-trackd`: later mails go to the new one. This mail keeps\n\
                 \x20    the old one: `invoice-trackd outbox drop {outbox_id}` puts an end to it.\n"
            ),
        ));
        text
    }
}

/// What a letter of this kind is called, within a sentence.
pub(super) fn name(kind: Kind, language: Language) -> &'static str {
    match kind {
        Kind::Confirmation => language.pick("確認信", "confirmation"),
        Kind::Summary => language.pick("首次掃描的總結信", "summary of the first scan"),
        Kind::Withdrawal => language.pick("撤回通知", "withdrawal notice"),
        Kind::Alert => language.pick("警示信", "alert"),
        Kind::Handoff => language.pick("字軌交付", "hand-off"),
    }
}

pub(super) fn unreachable(
    mailbox: &str,
    last_ok_at: Option<Timestamp>,
    trouble: Option<&str>,
    at: Timestamp,
    language: Language,
) -> String {
    let mut text = language
        .pick(
            "信箱沒有回應，程式會一直重試。\n\n",
            "A mailbox does not answer. It is tried again and again.\n\n",
        )
        .to_owned();
    text.push_str(&facts(&[
        (language.pick("信箱", "Mailbox"), one_line(mailbox, 200)),
        (
            language.pick("最後回應", "Last answer (UTC+8)"),
            last_ok_at.map_or_else(
                || language.pick("從未回應過", "never").to_owned(),
                taipei_minute,
            ),
        ),
        (
            language.pick("發現時間", "Noticed (UTC+8)"),
            taipei_minute(at),
        ),
        (
            language.pick("錯誤訊息", "Error"),
            trouble.map_or_else(
                || {
                    language
                        .pick("沒有訊息，只是不回應", "none, it is only silent")
                        .to_owned()
                },
                |words| one_line(words, 300),
            ),
        ),
    ]));
    text.push_str(language.pick(
        "\n影響\n\
         \x20 * 這段時間寄到的配號通知看不到，不會匯入，也不會有確認信。\n\
         \x20 * 信不會遺失：信箱恢復後會自動補抓，並寄信通知已恢復。\n\
         \n接下來\n\
         \x20 1. 執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。\n\
         \x20 2. 密碼若改過或過期：更新密碼，再執行 `systemctl restart invoice-trackd`。\n\
         \x20 3. 用郵件軟體登入同一個信箱；也連不上的話，請洽郵件管理員。\n\
         \x20 4. 若正在等配號通知，先登入平台下載字軌檔。\n",
        "\nWhat it means\n\
         \x20 * Notices that come meanwhile are not seen: not imported, not confirmed.\n\
         \x20 * Nothing is lost: they are fetched when the mailbox is back, and a mail says that it is.\n\
         \nWhat to do next\n\
         \x20 1. `invoice-trackd check --online` shows which step fails and what to do about it.\n\
         \x20 2. If the password was changed or has run out, put the new one in place and run\n\
         \x20    `systemctl restart invoice-trackd`.\n\
         \x20 3. Log in to the mailbox with a mail program. If that fails as well, ask whoever runs the\n\
         \x20    mail server.\n\
         \x20 4. If a notice is due, download the ranges from the platform meanwhile.\n",
    ));
    text
}

pub(super) fn back(
    mailbox: &str,
    alarmed_at: Timestamp,
    at: Timestamp,
    language: Language,
) -> String {
    let mut text = language
        .pick("信箱恢復回應了。\n\n", "A mailbox answers again.\n\n")
        .to_owned();
    text.push_str(&facts(&[
        (language.pick("信箱", "Mailbox"), one_line(mailbox, 200)),
        (
            language.pick("警示時間", "Alert raised (UTC+8)"),
            taipei_minute(alarmed_at),
        ),
        (language.pick("恢復時間", "Back (UTC+8)"), taipei_minute(at)),
    ]));
    text.push_str(language.pick(
        "\n這段時間寄到的信會自動補抓，照常匯入和通知；不需要做任何事。\n",
        "\nWhat came meanwhile is fetched by itself, and told of as always. There is nothing to do.\n",
    ));
    text
}
