//! The letters about DNS: mail has waited for it too long, and it answers again.

use jiff::Timestamp;

use super::super::{super::Language, table::facts};
use crate::{clock::taipei_minute, stranger::one_line};

/// A resolver that does not answer.
pub(super) struct Silence<'a> {
    pub(super) mails: u64,
    pub(super) since: Timestamp,
    pub(super) words: &'a str,
    /// Those that the operator names; none: the system's.
    pub(super) resolvers: &'a [String],
}

impl Silence<'_> {
    pub(super) fn text(&self, at: Timestamp, language: Language) -> String {
        let Self {
            mails,
            since,
            words,
            resolvers,
        } = *self;
        let mut text = language
            .pick(
                "DNS 沒有回應，配號通知的簽章無從查證。程式會一直重問。\n\n",
                "DNS does not answer, so the signatures of allocation notices cannot be verified. It is\n\
                 asked again and again.\n\n",
            )
            .to_owned();
        text.push_str(&facts(&[
            (
                language.pick("等候的信", "Mails waiting"),
                mails.to_string(),
            ),
            (
                language.pick("最早開始", "Since (UTC+8)"),
                taipei_minute(since),
            ),
            (
                language.pick("發現時間", "Noticed (UTC+8)"),
                taipei_minute(at),
            ),
            (
                language.pick("DNS 伺服器", "Resolvers"),
                if resolvers.is_empty() {
                    language
                        .pick(
                            "系統的（/etc/resolv.conf）",
                            "the system's (/etc/resolv.conf)",
                        )
                        .to_owned()
                } else {
                    one_line(&resolvers.join(", "), 200)
                },
            ),
            (language.pick("錯誤訊息", "Error"), one_line(words, 300)),
        ]));
        text.push_str(language.pick(
            "\n影響\n\
             \x20 * 等候的信裡，號碼都還沒有記入帳本，也沒有確認信。\n\
             \x20 * 信不會遺失：DNS 恢復後會自動判斷，照常匯入和通知，並寄信通知已恢復。\n\
             \x20 * 其他的信不受影響。\n\
             \n接下來\n\
             \x20 1. 執行 `invoice-trackd check --online`，看 DNS 卡在哪裡、該怎麼處理；\n\
             \x20    `invoice-trackd status` 列出還有多少信在等。\n\
             \x20 2. 請網路管理員查看上面的 DNS 伺服器，以及這台主機到它的 UDP、TCP 53 埠。\n\
             \x20 3. 或改用別的 DNS 伺服器：在設定檔 [authenticity] 寫\n\
             \x20    dns_servers = [\"位址:53\"]，再執行 `systemctl reload invoice-trackd`，\n\
             \x20    等候的信會立刻重問。\n\
             \x20 4. 若急著用號碼，先登入平台下載字軌檔。\n",
            "\nWhat it means\n\
             \x20 * Of the mails that wait, no number is recorded yet, and nothing is confirmed.\n\
             \x20 * Nothing is lost: once DNS answers they are judged, recorded and told of as always, and a\n\
             \x20   mail says that it does.\n\
             \x20 * Other mail does not wait for them.\n\
             \nWhat to do next\n\
             \x20 1. `invoice-trackd check --online` shows what fails with DNS and what to do about it;\n\
             \x20    `invoice-trackd status` how much still waits.\n\
             \x20 2. Have whoever runs the network look at the resolvers above, and at UDP and TCP port 53\n\
             \x20    from this machine to them.\n\
             \x20 3. Or use others: write dns_servers = [\"ADDRESS:53\"] under [authenticity] in the\n\
             \x20    configuration and run `systemctl reload invoice-trackd`. What waits is asked about at\n\
             \x20    once.\n\
             \x20 4. If the numbers are needed now, download them from the platform.\n",
        ));
        text
    }
}

pub(super) fn back(alarmed_at: Timestamp, at: Timestamp, language: Language) -> String {
    let mut text = language
        .pick(
            "DNS 恢復回應了，已經沒有信在等候。\n\n",
            "DNS answers again, and no mail waits for it any more.\n\n",
        )
        .to_owned();
    text.push_str(&facts(&[
        (
            language.pick("警示時間", "Alert raised (UTC+8)"),
            taipei_minute(alarmed_at),
        ),
        (language.pick("恢復時間", "Back (UTC+8)"), taipei_minute(at)),
    ]));
    text.push_str(language.pick(
        "\n等候過的信都判斷好了，照常匯入和通知；不需要做任何事。\n",
        "\nWhat waited has been judged, and is told of as always. There is nothing to do.\n",
    ));
    text
}
